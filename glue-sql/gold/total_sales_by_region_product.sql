-- grain = "one row per shop, business date, region, product and currency"
-- key = ["shop_id", "business_date", "region", "product_id", "currency"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- every_seconds = 20
-- warehouse = "sales.total_sales_by_region_product"

-- Returns are lines with a negative quantity, so they lower gross and net sales; the units of both
-- are positive numbers. Amounts of different currencies are never added up: the currency is part of
-- the key. Sums are wider than the amounts of one line: a price at its limit times the most units
-- has 24 digits.

with lines as (
    select
        shop_id,
        business_date,
        region,
        product_id,
        currency,
        transaction_id,
        quantity,
        discount,
        -- 12 digits are more than a line can hold, and few enough for the sum to stay exact in both
        -- engines
        cast(quantity as decimal(12, 0)) * unit_price as gross_amount
    from silver.pos_sales
),

totals as (
    select
        shop_id,
        business_date,
        region,
        product_id,
        currency,
        cast(sum(gross_amount) as decimal(38, 4)) as gross_sales,
        cast(sum(discount) as decimal(38, 4)) as discounts,
        sum(case when quantity > 0 then quantity else 0 end) as units_sold,
        sum(case when quantity < 0 then -quantity else 0 end) as units_returned,
        count(distinct transaction_id) as transactions
    from lines
    group by
        shop_id,
        business_date,
        region,
        product_id,
        currency
),

final as (
    select
        shop_id,
        business_date,
        region,
        product_id,
        currency,
        gross_sales,
        discounts,
        cast(gross_sales - discounts as decimal(38, 4)) as net_sales,
        units_sold,
        units_returned,
        transactions
    from totals
)

select
    shop_id,
    business_date,
    region,
    product_id,
    currency,
    gross_sales,
    discounts,
    net_sales,
    units_sold,
    units_returned,
    transactions
from final
