-- grain = "one row per shop, business date, region, product and currency"
-- key = ["shop_id", "business_date", "region", "product_id", "currency"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- business_date = "The trading day."
-- region = "The region of the store."
-- product_id = "The product."
-- currency = "The currency of the amounts (ISO 4217)."
-- gross_sales = "Quantity times unit price, added up. Returns lower it."
-- discounts = "Discounts, added up."
-- net_sales = "Gross sales - discounts."
-- units_sold = "Units of lines with a positive quantity."
-- units_returned = "Units of lines with a negative quantity, as a positive number."
-- transactions = "Distinct receipts."
--
-- [checks]
-- not_null = ["units_sold", "units_returned", "transactions"]
-- bounds = [
--     "units_sold >= 0",
--     "units_returned >= 0",
--     "units_sold + units_returned > 0",
--     "transactions between 1 and units_sold + units_returned",
-- ]
-- reconciles = { net_sales = "cast(gross_sales - discounts as decimal(38, 4))" }

-- Amounts of different currencies are never added up: the currency is part of the key. Sums are
-- wider than the amounts of one line: a price at its limit times the most units has 24 digits.

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
        -- 12 digits are more than a line has, and few enough for an exact sum in both engines
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

select *
from final
