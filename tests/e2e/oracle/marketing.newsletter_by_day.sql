-- key: shop_id, event_date
select
    shop_id,
    event_date,
    count(*) filter (event_type = 'subscribe') as subscriptions,
    count(*) filter (event_type = 'unsubscribe') as unsubscriptions,
    count(*) filter (event_type = 'subscribe') - count(*) filter (event_type = 'unsubscribe')
        as net_subscriptions,
    count(*) filter (event_type = 'open') as opens,
    count(distinct customer_id) filter (event_type = 'open') as opening_customers
from newsletter_events
group by all
