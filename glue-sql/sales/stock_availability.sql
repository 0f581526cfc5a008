-- grain = "one row per shop, day, location and product with a stock snapshot"
-- key = ["shop_id", "stock_date", "location_id", "product_id"]
-- partition = "stock_date"
-- inputs = ["gold.daily_stock"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- stock_date = "The day of the snapshots (UTC)."
-- location_id = "The store or warehouse."
-- product_id = "The product."
-- snapshots = "Snapshots of the item on the day."
-- on_hand = "Units on hand at the last snapshot."
-- reserved = "Reserved units at the last snapshot."
-- available = "Units on hand less reserved units; negative if more is reserved than there is."
-- last_snapshot_at = "The time of the day's last snapshot."
-- availability_rate = "Snapshots with an available unit / snapshots."
--
-- [checks]
-- not_null = ["snapshots", "on_hand", "reserved", "last_snapshot_at", "availability_rate"]
-- bounds = [
--     "snapshots >= 1",
--     "availability_rate between 0 and 1",
--     "available <= 0 or availability_rate > 0",
--     "available > 0 or availability_rate < 1",
-- ]
-- reconciles = { available = "on_hand - reserved" }

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
from gold.daily_stock
