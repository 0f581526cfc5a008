-- model = "stockout_alerts"
-- severity = "warn"
-- description = "an alert starts on its day, ends later if it ends, and had levels that are out or low"

select
    shop_id,
    alert_date,
    location_id,
    product_id,
    state,
    started_at,
    ended_at,
    on_hand,
    reserved,
    available,
    reorder_point
from gold.stockout_alerts
where
    on_hand is null
    or reserved is null
    or reorder_point is null
    or (available is distinct from on_hand - reserved)
    or (cast(started_at as date) is distinct from alert_date)
    or ended_at <= started_at
    or (state = 'out' and available > 0)
    or (state = 'low' and (available <= 0 or available > reorder_point))
    or state not in ('out', 'low')
