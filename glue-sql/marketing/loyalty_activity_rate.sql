-- grain = "one row per shop and day with a web event or an interaction"
-- key = ["shop_id", "activity_date"]
-- partition = "activity_date"
-- inputs = ["silver.web_traffic", "silver.crm_interactions"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- activity_date = "The day of the activities (UTC)."
-- loyalty_customers = "Customers who signed up for loyalty, earned or redeemed."
-- active_customers = "Customers with any activity."
-- loyalty_activity_rate = "Loyalty customers / active customers; null without an active customer."
--
-- [checks]
-- not_null = ["loyalty_customers", "active_customers"]
-- bounds = ["loyalty_customers between 0 and active_customers"]
--
-- [checks.reconciles]
-- loyalty_activity_rate = """
--     cast(loyalty_customers as double) / nullif(cast(active_customers as double), 0)"""

-- Events before a visitor signs in have no customer. A day may have such events only, and then no
-- active customer.

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
        case
            when interaction_type in ('loyalty_signup', 'loyalty_earn', 'loyalty_redeem')
                then 1
            else 0
        end as is_loyalty
    from silver.crm_interactions
),

-- events without a customer are a group of their own, so that their day has a row
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
        cast(loyalty_customers as double)
        / nullif(cast(active_customers as double), 0) as loyalty_activity_rate
    from days
)

select *
from final
