-- view = true
-- grain = "one row per shop, month and list"
-- key = ["shop_id", "month", "list"]
-- inputs = ["gold.newsletter_signups_by_list"]
--
-- [columns]
-- shop_id = "The shop."
-- month = "The first day of the month (UTC)."
-- list = "The newsletter."
-- signups = "Signups."
-- signups_per_day = "Signups divided by the days that have any."

with final as (
    select
        shop_id,
        cast(date_trunc('month', day) as date) as month,
        list,
        cast(sum(signups) as bigint) as signups,
        cast(sum(signups) as double) / cast(count(*) as double) as signups_per_day
    from gold.newsletter_signups_by_list
    group by
        shop_id,
        cast(date_trunc('month', day) as date),
        list
)

select *
from final
