-- grain = "one row per shop, day and interaction that a later day of the week after has as well"
-- key = ["shop_id", "interaction_date", "interaction_id"]
-- partition = "interaction_date"
-- inputs = ["gold.interaction_ids"]
-- moved_rows_of = "silver.crm_interactions"
-- lookahead_days = 7   # how much later a correction may be
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- interaction_date = "The day of the version that does not count (UTC)."
-- interaction_id = "The interaction."

-- A correction has the same id and a later time. Of one day the view of the dataset returns the
-- newest version; these are the versions of a day that a version of a later day replaces.

with ids as (
    select
        shop_id,
        interaction_date,
        interaction_id
    from gold.interaction_ids
),

final as (
    select
        ids.shop_id,
        ids.interaction_date,
        ids.interaction_id
    from ids
    left semi join ids as others
        on
            ids.shop_id = others.shop_id
            and ids.interaction_id = others.interaction_id
            and ids.interaction_date < others.interaction_date
            and ids.interaction_date >= cast(others.interaction_date - interval '7' day as date)
)

select *
from final
