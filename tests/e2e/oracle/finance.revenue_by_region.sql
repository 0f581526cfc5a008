-- key: shop_id, business_date, region, currency
with sums as (
    select
        shop_id,
        business_date,
        region,
        currency,
        coalesce(sum(quantity * unit_price) filter (quantity > 0), 0) as gross_sales,
        coalesce(sum(-quantity * unit_price) filter (quantity < 0), 0) as returns,
        sum(discount) as discounts,
        coalesce(sum(quantity * unit_cost), 0) as cost_of_goods,
        coalesce(sum(abs(quantity)) filter (unit_cost is null), 0) as units_without_cost
    from pos_sales
    group by all
)
select
    shop_id,
    business_date,
    region,
    currency,
    gross_sales,
    returns,
    discounts,
    gross_sales - returns - discounts as net_revenue,
    cost_of_goods,
    gross_sales - returns - discounts - cost_of_goods as gross_margin,
    units_without_cost
from sums
