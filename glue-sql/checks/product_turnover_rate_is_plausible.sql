-- model = "product_turnover_rate"
-- severity = "warn"
-- description = "units sold are not negative, and there is a rate exactly where there was stock"

select
    shop_id,
    business_date,
    product_id,
    units_sold_30d,
    average_on_hand_30d,
    turnover_rate
from gold.product_turnover_rate
where
    units_sold_30d is null
    or units_sold_30d < 0
    or turnover_rate < 0
    or (average_on_hand_30d > 0 and turnover_rate is null)
    or (turnover_rate is not null and (average_on_hand_30d is null or average_on_hand_30d <= 0))
