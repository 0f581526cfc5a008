-- grain = "one row per shop and business date"
-- key = ["shop_id", "business_date"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]

-- 5 / 3 is 1.66666666 to DataFusion, which cuts off, and 1.66666667 to Spark, which rounds.

select
    shop_id,
    business_date,
    avg(unit_price) as average_price
from silver.pos_sales
group by
    shop_id,
    business_date
