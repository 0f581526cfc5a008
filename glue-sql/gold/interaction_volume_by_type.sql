-- grain = "one row per shop, day, channel and type of interaction"
-- key = ["shop_id", "interaction_date", "channel", "interaction_type"]
-- partition = "interaction_date"
-- inputs = ["silver.crm_interactions"]
-- every_seconds = 20
-- warehouse = "support.interaction_volume_by_type"

-- Customers are distinct within the row: one who writes and calls is in two of them, so the column
-- does not add up.

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

select
    shop_id,
    interaction_date,
    channel,
    interaction_type,
    interactions,
    distinct_customers
from days
