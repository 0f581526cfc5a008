-- model = "inventory_turnover"
-- severity = "warn"
-- description = "there is a turnover exactly where stock had a value, and it has the sign of the cost of goods sold"

select
    shop_id,
    business_date,
    currency,
    cost_of_goods_sold_30d,
    average_inventory_value_30d,
    turnover,
    units_without_cost_30d
from gold.inventory_turnover
where
    cost_of_goods_sold_30d is null
    or units_without_cost_30d is null
    or units_without_cost_30d < 0
    or (average_inventory_value_30d > 0 and turnover is null)
    or (turnover is not null and (average_inventory_value_30d is null or average_inventory_value_30d <= 0))
    or (cost_of_goods_sold_30d >= 0 and turnover < 0)
    or (cost_of_goods_sold_30d <= 0 and turnover > 0)
