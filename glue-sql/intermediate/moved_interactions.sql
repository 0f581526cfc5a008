-- grain = "one row per shop, day and interaction that was corrected to the next day"
-- key = ["shop_id", "interaction_date", "interaction_id"]
-- partition = "interaction_date"
-- inputs = ["silver.crm_interactions"]
-- moved_rows_of = "silver.crm_interactions"
-- lookahead_days = 1   # a correction over midnight
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- interaction_date = "The day that the interaction left (UTC)."
-- interaction_id = "The interaction."

-- A correction has the same id and a later time. Of one day the view of the dataset returns the
-- newest version; these are the versions of a day that a version of the next day replaces. All
-- other models read the dataset without them. So they read one day of interactions, and only this
-- small model reads two.

with versions as (
    select
        shop_id,
        cast(occurred_at as date) as interaction_date,
        interaction_id
    from silver.crm_interactions
),

final as (
    select
        versions.shop_id,
        versions.interaction_date,
        versions.interaction_id
    from versions
    left semi join versions as corrections
        on
            versions.shop_id = corrections.shop_id
            and versions.interaction_id = corrections.interaction_id
            and cast(versions.interaction_date + interval '1' day as date)
            = corrections.interaction_date
)

select *
from final
