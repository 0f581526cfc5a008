-- key: shop_id, activity_date, customer_id
with weights (activity, weight) as (
    values
        ('page_view', 1.0000),
        ('search', 1.0000),
        ('product_view', 2.0000),
        ('add_to_cart', 5.0000),
        ('remove_from_cart', 0.0000),
        ('checkout', 8.0000),
        ('purchase', 13.0000),
        ('crm_interaction', 3.0000),
        ('loyalty_action', 5.0000)
),
activities as (
    select shop_id, occurred_at, customer_id, event_type as activity from web_traffic
    union all
    select
        shop_id,
        occurred_at,
        customer_id,
        case
            when interaction_type like 'loyalty\_%' escape '\' then 'loyalty_action'
            else 'crm_interaction'
        end
    from crm_interactions
),
scores as (
    select
        shop_id,
        cast(occurred_at as date) as activity_date,
        customer_id,
        count(*) as events,
        sum(coalesce(weight, 0)) as score
    from activities
    left join weights using (activity)
    where customer_id is not null
    group by all
)
select *, rank() over (partition by shop_id, activity_date order by score desc) as score_rank
from scores
