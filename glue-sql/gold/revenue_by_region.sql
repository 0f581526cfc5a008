-- grain = "one row per shop, business date, region and currency"
-- key = ["shop_id", "business_date", "region", "currency"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- every_seconds = 20
-- warehouse = "finance.revenue_by_region"

-- Gross sales are the lines that were sold, returns the lines that were taken back, both as
-- positive amounts before discount; a discount that is given back with a return is a negative
-- discount. What is returned lowers the cost of goods. A line whose cost is not known adds nothing
-- to it, so the margin is too high there: units_without_cost says by how many units, sold and
-- returned ones alike.

with lines as (
    select
        shop_id,
        business_date,
        region,
        currency,
        quantity,
        -- 12 digits are more than a line can hold, and few enough for the sum to stay exact in both
        -- engines
        cast(quantity as decimal(12, 0)) * unit_price as amount,
        cast(quantity as decimal(12, 0)) * unit_cost as cost,
        discount
    from silver.pos_sales
),

totals as (
    select
        shop_id,
        business_date,
        region,
        currency,
        cast(
            sum(case when quantity > 0 then amount else cast(0 as decimal(31, 4)) end) as decimal(38, 4)
        ) as gross_sales,
        cast(
            sum(case when quantity < 0 then -amount else cast(0 as decimal(31, 4)) end) as decimal(38, 4)
        ) as returns,
        cast(sum(discount) as decimal(38, 4)) as discounts,
        cast(sum(coalesce(cost, cast(0 as decimal(31, 4)))) as decimal(38, 4)) as cost_of_goods,
        sum(case when cost is null then abs(quantity) else 0 end) as units_without_cost
    from lines
    group by
        shop_id,
        business_date,
        region,
        currency
),

final as (
    select
        shop_id,
        business_date,
        region,
        currency,
        gross_sales,
        returns,
        discounts,
        cast(gross_sales - returns - discounts as decimal(38, 4)) as net_revenue,
        cost_of_goods,
        cast(gross_sales - returns - discounts - cost_of_goods as decimal(38, 4)) as gross_margin,
        units_without_cost
    from totals
)

select
    shop_id,
    business_date,
    region,
    currency,
    gross_sales,
    returns,
    discounts,
    net_revenue,
    cost_of_goods,
    gross_margin,
    units_without_cost
from final
