-- model = "product_turnover_rate"
-- severity = "warn"
-- description = "a product sold in 30 days is in the inventory, if the shop has one"

with shops_with_inventory as (
    select shop_id
    from gold.product_turnover_rate
    where average_on_hand_30d is not null
    group by shop_id
)

select
    rates.shop_id,
    rates.business_date,
    rates.product_id,
    rates.units_sold_30d
from gold.product_turnover_rate as rates
left semi join shops_with_inventory
    on rates.shop_id = shops_with_inventory.shop_id
where
    rates.average_on_hand_30d is null
    and rates.units_sold_30d > 0
