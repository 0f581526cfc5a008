-- grain = "one row per shop and business date"
-- key = ["shop_id", "business_date"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]

-- 7 / 3 is 2 to DataFusion, and 2.3333333333333335 to Spark.

select
    shop_id,
    business_date,
    sum(quantity) / count(*) as units_per_line
from silver.pos_sales
group by
    shop_id,
    business_date
