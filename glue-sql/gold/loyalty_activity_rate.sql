-- grain = "one row per shop and day with any event of the web or the CRM"
-- key = ["shop_id", "activity_date"]
-- partition = "activity_date"
-- inputs = ["silver.web_traffic", "silver.crm_interactions"]
-- every_seconds = 20
-- warehouse = "marketing.loyalty_activity_rate"

-- Of the customers who did something on a day, the share who did something about loyalty: signed
-- up, earned or redeemed. A visitor who is not signed in is no customer, so a day may have events
-- and no active customer; then there is no rate.

with activities as (
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        0 as is_loyalty
    from silver.web_traffic
    union all
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        case when interaction_type in ('loyalty_signup', 'loyalty_earn', 'loyalty_redeem') then 1 else 0 end as is_loyalty
    from silver.crm_interactions
),

-- the events without a customer are one group of their own, which keeps the day
customers as (
    select
        shop_id,
        activity_date,
        customer_id,
        max(is_loyalty) as is_loyalty
    from activities
    group by
        shop_id,
        activity_date,
        customer_id
),

days as (
    select
        shop_id,
        activity_date,
        sum(is_loyalty) as loyalty_customers,
        count(customer_id) as active_customers
    from customers
    group by
        shop_id,
        activity_date
),

final as (
    select
        shop_id,
        activity_date,
        loyalty_customers,
        active_customers,
        cast(loyalty_customers as double) / nullif(cast(active_customers as double), 0) as loyalty_activity_rate
    from days
)

select
    shop_id,
    activity_date,
    loyalty_customers,
    active_customers,
    loyalty_activity_rate
from final
