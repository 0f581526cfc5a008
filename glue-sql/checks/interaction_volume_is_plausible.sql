-- model = "interaction_volume_by_type"
-- severity = "warn"
-- description = "where there is a row there is an interaction, and no more customers than interactions"

select
    shop_id,
    interaction_date,
    channel,
    interaction_type,
    interactions,
    distinct_customers
from gold.interaction_volume_by_type
where
    interactions is null
    or distinct_customers is null
    or distinct_customers < 1
    or distinct_customers > interactions
