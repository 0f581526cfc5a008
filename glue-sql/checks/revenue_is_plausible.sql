-- model = "revenue_by_region"
-- severity = "warn"
-- description = "there are amounts, and what was sold, what was returned and the units without a cost are not negative"

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
from gold.revenue_by_region
where
    gross_sales is null
    or returns is null
    or net_revenue is null
    or gross_margin is null
    or units_without_cost is null
    or gross_sales < 0
    or returns < 0
    or units_without_cost < 0
