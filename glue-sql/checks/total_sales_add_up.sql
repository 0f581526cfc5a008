-- model = "total_sales_by_region_product"
-- severity = "warn"
-- description = "net sales are gross sales less discounts"

select
    shop_id,
    business_date,
    region,
    product_id,
    currency,
    gross_sales,
    discounts,
    net_sales
from gold.total_sales_by_region_product
where net_sales is distinct from cast(gross_sales - discounts as decimal(38, 4))
