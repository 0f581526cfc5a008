-- grain = "one row per shop, day and list"
-- key = ["shop_id", "day", "list"]
-- partition = "day"
-- inputs = ["silver.newsletter_signups"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- day = "The day of the signups (UTC)."
-- list = "The newsletter."
-- signups = "Signups."
-- people = "Distinct addresses."
--
-- [checks]
-- bounds = ["people between 1 and signups"]

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

select *
from final
