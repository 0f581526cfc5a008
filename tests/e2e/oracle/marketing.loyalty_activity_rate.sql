-- key: shop_id, activity_date
with activities as (
    select
        shop_id, cast(occurred_at as date) as activity_date, customer_id, false as is_loyalty
    from web_traffic
    union all
    select
        shop_id, cast(occurred_at as date), customer_id, starts_with(interaction_type, 'loyalty_')
    from crm_interactions
)
select
    shop_id,
    activity_date,
    count(distinct customer_id) filter (is_loyalty) as loyalty_customers,
    count(distinct customer_id) as active_customers,
    count(distinct customer_id) filter (is_loyalty) / nullif(count(distinct customer_id), 0)
        as loyalty_activity_rate
from activities
group by all
