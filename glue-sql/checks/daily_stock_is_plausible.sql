-- model = "daily_stock"
-- severity = "warn"
-- description = "there are snapshots of the day, with levels, and restocks are some of them and have times where there are any"

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    snapshots,
    available_snapshots,
    last_snapshot_at,
    on_hand,
    reserved,
    reorder_point,
    restocks,
    restocked_quantity,
    first_restock_at,
    last_restock_at,
    known_restock_at
from silver.daily_stock
where
    snapshots is null
    or available_snapshots is null
    or on_hand is null
    or reserved is null
    or reorder_point is null
    or restocks is null
    or restocked_quantity is null
    or snapshots < 1
    or available_snapshots < 0
    or available_snapshots > snapshots
    or (cast(last_snapshot_at as date) is distinct from stock_date)
    or restocks < 0
    or restocks > snapshots
    or restocked_quantity < restocks
    or (restocks = 0 and (restocked_quantity > 0 or first_restock_at is not null or last_restock_at is not null))
    or (restocks > 0 and (first_restock_at is null or last_restock_at is null or known_restock_at is null))
    or first_restock_at > last_restock_at
    or last_restock_at > known_restock_at
    or last_restock_at > last_snapshot_at
