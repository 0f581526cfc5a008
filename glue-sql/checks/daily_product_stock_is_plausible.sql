-- model = "daily_product_stock"
-- severity = "stop"
-- description = "a product that has a row was counted"

select
    shop_id,
    stock_date,
    product_id,
    on_hand_total,
    snapshot_times
from silver.daily_product_stock
where
    on_hand_total is null
    or snapshot_times is null
    or snapshot_times < 1
