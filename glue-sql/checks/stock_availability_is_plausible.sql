-- model = "stock_availability"
-- severity = "warn"
-- description = "there are snapshots, what is available is what is in the place and not reserved, and the rate is a share"

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
from gold.stock_availability
where
    snapshots is null
    or on_hand is null
    or reserved is null
    or last_snapshot_at is null
    or availability_rate is null
    or snapshots < 1
    or (available is distinct from on_hand - reserved)
    or availability_rate < 0
    or availability_rate > 1
    or (available > 0 and availability_rate = 0)
    or (available <= 0 and availability_rate = 1)
