-- grain = "one row per shop, day and interaction"
-- key = ["shop_id", "interaction_date", "interaction_id"]
-- partition = "interaction_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- interaction_date = "The day of the interaction (UTC)."
-- interaction_id = "The interaction."

-- The ids of a day in one object, so that moved_interactions can read those of a week.

with final as (
    select
        shop_id,
        cast(occurred_at as date) as interaction_date,
        interaction_id
    from silver.crm_interactions
)

select *
from final
