-- key: shop_id, interaction_date, channel, interaction_type
select
    shop_id,
    cast(occurred_at as date) as interaction_date,
    channel,
    interaction_type,
    count(*) as interactions,
    count(distinct customer_id) as distinct_customers
from crm_interactions
group by all
