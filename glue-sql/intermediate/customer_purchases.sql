-- grain = "one row per shop, business date, customer, receipt, product and currency"
-- key = ["shop_id", "business_date", "customer_id", "transaction_id", "product_id", "currency"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- business_date = "The trading day of the sale or return."
-- customer_id = "The customer."
-- transaction_id = "The receipt."
-- product_id = "The product."
-- currency = "The currency of the amounts (ISO 4217)."
-- net_sales = "Gross sales less discounts. Returns lower it."
-- units_sold = "Units of lines with a positive quantity."
-- units_returned = "Units of lines with a negative quantity, as a positive number."
--
-- [checks]
-- not_null = ["net_sales", "units_sold", "units_returned"]
-- bounds = ["units_sold >= 0", "units_returned >= 0", "units_sold + units_returned > 0"]

-- The sales lines of known customers, with the columns that customer_features needs. The product is
-- in the key, because the number of distinct products of a year does not follow from the numbers of
-- its days.

with lines as (
    select
        shop_id,
        business_date,
        customer_id,
        transaction_id,
        product_id,
        currency,
        quantity,
        -- 12 digits are more than a line has, and few enough for an exact sum in both engines
        cast(quantity as decimal(12, 0)) * unit_price - discount as net_amount
    from silver.pos_sales
    where customer_id is not null
),

purchases as (
    select
        shop_id,
        business_date,
        customer_id,
        transaction_id,
        product_id,
        currency,
        cast(sum(net_amount) as decimal(38, 4)) as net_sales,
        sum(case when quantity > 0 then quantity else 0 end) as units_sold,
        sum(case when quantity < 0 then -quantity else 0 end) as units_returned
    from lines
    group by
        shop_id,
        business_date,
        customer_id,
        transaction_id,
        product_id,
        currency
)

select *
from purchases
