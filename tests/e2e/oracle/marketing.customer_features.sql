-- key: shop_id, as_of_date, customer_id
-- A customer at the end of a day, from that day and the 364 before it. A purchase is a receipt (of
-- one day and currency) with a sold item. The currency of most purchases counts; of equal ones, the
-- first by its code.
with sold as (
    select *, business_date as day, quantity * unit_price - discount as net
    from pos_sales
    where customer_id is not null
),
visits as (
    select
        *,
        cast(occurred_at as date) as day,
        coalesce(
            occurred_at - lag(occurred_at) over (
                partition by shop_id, customer_id, session_id, cast(occurred_at as date)
                order by occurred_at, event_id
            ) > interval 30 minutes,
            true
        ) as is_start
    from web_traffic
    where customer_id is not null
),
contacts as (
    select *, cast(occurred_at as date) as day from crm_interactions
),
seen as (
    select shop_id, customer_id, day from sold
    union
    select shop_id, customer_id, day from visits
    union
    select shop_id, customer_id, day from contacts
),
views as (
    select distinct shop_id, day as as_of_date from seen
),
customers as (
    select views.*, customer_id, min(day) as first_day, max(day) as last_day
    from views
    join seen on seen.shop_id = views.shop_id and day between as_of_date - 364 and as_of_date
    group by all
),
receipts as (
    select
        shop_id, customer_id, day, transaction_id, currency, sum(net) as net,
        bool_or(quantity > 0) as is_purchase
    from sold
    group by all
),
wallets as (
    select
        views.*,
        customer_id,
        currency,
        count(*) filter (is_purchase) as purchases,
        sum(net) as net,
        max(day) filter (is_purchase) as last_purchase_day
    from views
    join receipts
        on receipts.shop_id = views.shop_id and day between as_of_date - 364 and as_of_date
    group by all
),
purses as (
    select
        shop_id,
        as_of_date,
        customer_id,
        sum(purchases) as frequency,
        max(last_purchase_day) as last_purchase_day,
        first(currency order by purchases desc, currency) as currency,
        first(net order by purchases desc, currency) as monetary,
        max(purchases) as currency_purchases
    from wallets
    group by all
),
goods as (
    select
        views.*,
        customer_id,
        sum(greatest(quantity, 0)) as units_sold,
        sum(greatest(-quantity, 0)) as units_returned,
        count(distinct product_id) filter (quantity > 0) as products
    from views
    join sold on sold.shop_id = views.shop_id and day between as_of_date - 364 and as_of_date
    group by all
),
browsing as (
    select
        views.*,
        customer_id,
        count(*) as web_events,
        count(*) filter (is_start) as sessions,
        count(*) filter (event_type = 'purchase') as web_purchases
    from views
    join visits on visits.shop_id = views.shop_id and day between as_of_date - 364 and as_of_date
    group by all
),
talking as (
    select
        views.*,
        customer_id,
        count(*) as interactions,
        count(*) filter (interaction_type = 'complaint') as complaints,
        count(*) filter (starts_with(interaction_type, 'loyalty_')) as loyalty_actions,
        count(distinct (day, ticket_id))
            filter (ticket_status = 'opened' and ticket_id is not null) as tickets,
        count(rating) as ratings,
        sum(rating) as stars
    from views
    join contacts
        on contacts.shop_id = views.shop_id and day between as_of_date - 364 and as_of_date
    group by all
)
select
    shop_id,
    as_of_date,
    customer_id,
    as_of_date - last_purchase_day as recency_days,
    coalesce(frequency, 0) as frequency,
    case when frequency > 0 then currency end as currency,
    case when frequency > 0 then monetary end as monetary,
    coalesce(currency_purchases, 0) as currency_purchases,
    case
        when frequency > 0 then cast(monetary as double) / currency_purchases
    end as average_order_value,
    coalesce(units_sold, 0) as units_sold,
    coalesce(units_returned, 0) as units_returned,
    coalesce(products, 0) as products,
    as_of_date - first_day as tenure_days,
    as_of_date - last_day as inactive_days,
    coalesce(web_events, 0) as web_events,
    coalesce(sessions, 0) as sessions,
    coalesce(web_purchases, 0) as web_purchases,
    coalesce(interactions, 0) as interactions,
    coalesce(complaints, 0) as complaints,
    coalesce(loyalty_actions, 0) as loyalty_actions,
    coalesce(tickets, 0) as tickets,
    coalesce(ratings, 0) as ratings,
    stars / nullif(ratings, 0) as average_rating
from customers
left join purses using (shop_id, as_of_date, customer_id)
left join goods using (shop_id, as_of_date, customer_id)
left join browsing using (shop_id, as_of_date, customer_id)
left join talking using (shop_id, as_of_date, customer_id)
