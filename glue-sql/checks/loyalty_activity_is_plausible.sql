-- model = "loyalty_activity_rate"
-- severity = "warn"
-- description = "loyal customers are active ones, and the rate is their share"

select
    shop_id,
    activity_date,
    loyalty_customers,
    active_customers,
    loyalty_activity_rate
from gold.loyalty_activity_rate
where
    loyalty_customers is null
    or active_customers is null
    or loyalty_customers < 0
    or loyalty_customers > active_customers
    or (loyalty_activity_rate is distinct from cast(loyalty_customers as double) / nullif(cast(active_customers as double), 0))
