-- grain = "one row per shop, day, location and product that a snapshot of the stock was taken of"
-- key = ["shop_id", "stock_date", "location_id", "product_id"]
-- partition = "stock_date"
-- inputs = ["silver.daily_stock"]
-- every_seconds = 60
-- warehouse = "sales.stock_availability"

-- Levels are those of the day's last snapshot of the item. What is available may be negative: more
-- is promised than there is. The rate is the share of the day's snapshots that found something
-- available; a snapshot that was never taken is neither.

with days as (
    select
        shop_id,
        stock_date,
        location_id,
        product_id,
        snapshots,
        on_hand,
        reserved,
        on_hand - reserved as available,
        last_snapshot_at,
        cast(available_snapshots as double) / nullif(cast(snapshots as double), 0) as availability_rate
    from silver.daily_stock
)

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    snapshots,
    on_hand,
    reserved,
    available,
    last_snapshot_at,
    availability_rate
from days
