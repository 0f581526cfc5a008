-- grain = "one row per shop, business date, receipt, product and currency that a known customer bought or returned"
-- key = ["shop_id", "business_date", "customer_id", "transaction_id", "product_id", "currency"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- every_seconds = 60

-- The sales lines of customers, without what the features of a year do not need. The product stays:
-- how many different ones somebody bought in a year does not follow from the numbers of days. Net
-- sales are gross sales less discounts. A return lowers them; the units of both are positive
-- numbers.

with lines as (
    select
        shop_id,
        business_date,
        customer_id,
        transaction_id,
        product_id,
        currency,
        quantity,
        -- 12 digits are more than a line can hold, and few enough for the sum to stay exact in both
        -- engines
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
from purchases
