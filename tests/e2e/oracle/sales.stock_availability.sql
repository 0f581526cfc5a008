-- key: shop_id, stock_date, location_id, product_id
select
    shop_id,
    cast(snapshot_at as date) as stock_date,
    location_id,
    product_id,
    count(*) as snapshots,
    arg_max(on_hand, snapshot_at) as on_hand,
    arg_max(reserved, snapshot_at) as reserved,
    arg_max(available, snapshot_at) as available,
    max(snapshot_at) as last_snapshot_at,
    count(*) filter (available > 0) / count(*) as availability_rate
from inventory_levels
group by all
