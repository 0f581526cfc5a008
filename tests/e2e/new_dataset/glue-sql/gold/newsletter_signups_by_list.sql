-- grain = "one row per shop, day and list"
-- key = ["shop_id", "day", "list"]
-- partition = "day"
-- inputs = ["silver.newsletter_signups"]
-- every_seconds = 5
-- warehouse = "marketing.newsletter_signups_by_list"

with signups as (
    select
        shop_id,
        cast(signed_up_at as date) as day,
        list,
        contact_email
    from silver.newsletter_signups
),

final as (
    select
        shop_id,
        day,
        list,
        count(*) as signups,
        count(distinct contact_email) as people
    from signups
    group by
        shop_id,
        day,
        list
)

select
    shop_id,
    day,
    list,
    signups,
    people
from final
