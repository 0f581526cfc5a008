-- model = "total_sales_by_region_product"
-- severity = "warn"
-- description = "units are not negative, and where there is a row something was sold or returned, in a transaction"

select
    shop_id,
    business_date,
    region,
    product_id,
    currency,
    units_sold,
    units_returned,
    transactions
from gold.total_sales_by_region_product
where
    units_sold is null
    or units_returned is null
    or transactions is null
    or units_sold < 0
    or units_returned < 0
    or units_sold + units_returned = 0
    or transactions < 1
    or transactions > units_sold + units_returned
