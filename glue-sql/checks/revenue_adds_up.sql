-- model = "revenue_by_region"
-- severity = "warn"
-- description = "net revenue is gross sales less returns and discounts, and the gross margin is what the cost of goods leaves of it"

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
    gross_margin
from gold.revenue_by_region
where
    (net_revenue is distinct from cast(gross_sales - returns - discounts as decimal(38, 4)))
    or (gross_margin is distinct from cast(net_revenue - cost_of_goods as decimal(38, 4)))
