-- model = "customer_purchases"
-- severity = "warn"
-- description = "units are not negative, and where there is a row something was sold or returned, for an amount"

select
    shop_id,
    business_date,
    customer_id,
    transaction_id,
    product_id,
    currency,
    net_sales,
    units_sold,
    units_returned
from silver.customer_purchases
where
    net_sales is null
    or units_sold is null
    or units_returned is null
    or units_sold < 0
    or units_returned < 0
    or units_sold + units_returned = 0
