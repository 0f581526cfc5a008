-- grain = "one row per shop, day and web event that an earlier day of the week before has as well"
-- key = ["shop_id", "event_date", "event_id"]
-- partition = "event_date"
-- inputs = ["gold.web_event_ids"]
-- moved_rows_of = "silver.web_traffic"
-- lookback_days = 7    # how far copies of an event may be apart
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- event_date = "The day of the copy that does not count (UTC)."
-- event_id = "The event."

-- One id is one event. Copies of it with times of several days count on the first of these days.
-- So a copy never changes a day before its own.

with ids as (
    select
        shop_id,
        event_date,
        event_id
    from gold.web_event_ids
),

final as (
    select
        ids.shop_id,
        ids.event_date,
        ids.event_id
    from ids
    left semi join ids as others
        on
            ids.shop_id = others.shop_id
            and ids.event_id = others.event_id
            and ids.event_date > others.event_date
            and ids.event_date <= cast(others.event_date + interval '7' day as date)
)

select *
from final
