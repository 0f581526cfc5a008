-- key: shop_id, business_date, region, product_id, currency
select
    shop_id,
    business_date,
    region,
    product_id,
    currency,
    sum(quantity * unit_price) as gross_sales,
    sum(discount) as discounts,
    sum(quantity * unit_price - discount) as net_sales,
    sum(greatest(quantity, 0)) as units_sold,
    sum(greatest(-quantity, 0)) as units_returned,
    count(distinct transaction_id) as transactions
from pos_sales
group by all
