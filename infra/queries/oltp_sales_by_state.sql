-- Orders of the last 90 days by the customers' state and the orders' status, from the shops'
-- databases. The lake has a row for each read of an order; the newest one counts, unless the order
-- was deleted later. Items count if they were read with it or later.

with orders as (
    select
        shop_id,
        order_id,
        max(extracted_at) as extracted_at,
        max_by(customer_id, extracted_at) as customer_id,
        max_by(status, extracted_at) as status
    from ${silver}.oltp_orders
    where order_date >= current_timestamp - interval '90' day
    group by
        shop_id,
        order_id
),

customers as (
    select
        shop_id,
        customer_id,
        max_by(state, extracted_at) as state
    from ${silver}.oltp_customers
    group by
        shop_id,
        customer_id
),

items as (
    select
        shop_id,
        order_id,
        order_item_id,
        max(extracted_at) as extracted_at,
        max_by(currency, extracted_at) as currency,
        max_by(quantity, extracted_at) as quantity,
        max_by(subtotal, extracted_at) as subtotal
    from ${silver}.oltp_order_items
    where order_date >= current_timestamp - interval '90' day
    group by
        shop_id,
        order_id,
        order_item_id
)

select
    orders.shop_id,
    customers.state,
    orders.status,
    items.currency,
    count(distinct orders.order_id) as orders,
    sum(items.quantity) as units,
    sum(items.subtotal) as amount
from orders
inner join items
on
    items.shop_id = orders.shop_id
    and items.order_id = orders.order_id
    and items.extracted_at >= orders.extracted_at
left join customers
on customers.shop_id = orders.shop_id and customers.customer_id = orders.customer_id
left join ${silver}.oltp_deletions as deletions
on
    deletions.shop_id = orders.shop_id
    and deletions.dataset = 'oltp_orders'
    and deletions.id = orders.order_id
    and deletions.extracted_at > orders.extracted_at
where deletions.id is null
group by
    orders.shop_id,
    customers.state,
    orders.status,
    items.currency
order by
    orders.shop_id,
    amount desc
