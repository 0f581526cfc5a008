-- model = "daily_stock_totals"
-- severity = "warn"
-- description = "an item that has a row was counted, with units and a value"

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    currency,
    snapshots,
    on_hand_total,
    value_total
from silver.daily_stock_totals
where
    snapshots is null
    or on_hand_total is null
    or value_total is null
    or snapshots < 1
