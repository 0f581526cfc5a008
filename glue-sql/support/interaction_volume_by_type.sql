-- grain = "one row per shop, day, channel and type of interaction"
-- key = ["shop_id", "interaction_date", "channel", "interaction_type"]
-- partition = "interaction_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- interaction_date = "The day of the interactions (UTC)."
-- channel = "The channel of the interactions."
-- interaction_type = "The type of the interactions."
-- interactions = "Interactions."
-- distinct_customers = "Distinct customers of this row. The numbers of several rows do not add up."
--
-- [checks]
-- not_null = ["interactions", "distinct_customers"]
-- bounds = ["distinct_customers between 1 and interactions"]

with interactions as (
    select
        shop_id,
        cast(occurred_at as date) as interaction_date,
        channel,
        interaction_type,
        customer_id
    from silver.crm_interactions
),

days as (
    select
        shop_id,
        interaction_date,
        channel,
        interaction_type,
        count(*) as interactions,
        count(distinct customer_id) as distinct_customers
    from interactions
    group by
        shop_id,
        interaction_date,
        channel,
        interaction_type
)

select *
from days
