-- grain = "one row per shop, day and web event"
-- key = ["shop_id", "event_date", "event_id"]
-- partition = "event_date"
-- inputs = ["silver.web_traffic"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- event_date = "The day of the event (UTC)."
-- event_id = "The event."

-- The ids of a day in one object, so that repeated_web_events can read those of a week.

with final as (
    select
        shop_id,
        cast(occurred_at as date) as event_date,
        event_id
    from silver.web_traffic
)

select *
from final
