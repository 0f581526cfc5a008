-- Products out of stock or low that have not recovered, with their net sales in the 7 days before,
-- the highest first.

with alerts as (
    select
        shop_id,
        alert_date,
        location_id,
        product_id,
        state,
        started_at,
        available,
        reorder_point
    from ${gold}.stockout_alerts
    where alert_date >= current_date - interval '30' day and ended_at is null
),

sales as (
    select
        alerts.shop_id,
        alerts.alert_date,
        alerts.location_id,
        alerts.product_id,
        alerts.state,
        sales.currency,
        sum(sales.units_sold) as units_sold,
        sum(sales.net_sales) as net_sales
    from alerts
    inner join ${gold}.total_sales_by_region_product as sales
    on
        sales.shop_id = alerts.shop_id
        and sales.product_id = alerts.product_id
        and sales.business_date between alerts.alert_date - interval '7' day
        and alerts.alert_date - interval '1' day
    where sales.business_date >= current_date - interval '37' day
    group by
        alerts.shop_id,
        alerts.alert_date,
        alerts.location_id,
        alerts.product_id,
        alerts.state,
        sales.currency
)

select
    alerts.shop_id,
    alerts.product_id,
    alerts.location_id,
    alerts.state,
    alerts.started_at,
    alerts.available,
    alerts.reorder_point,
    sales.units_sold as units_sold_before,
    sales.net_sales as net_sales_before,
    sales.currency
from alerts
left join sales
on
    sales.shop_id = alerts.shop_id
    and sales.alert_date = alerts.alert_date
    and sales.location_id = alerts.location_id
    and sales.product_id = alerts.product_id
    and sales.state = alerts.state
order by
    sales.net_sales desc nulls last,
    alerts.started_at
