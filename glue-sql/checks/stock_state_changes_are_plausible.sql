-- model = "stock_state_changes"
-- severity = "warn"
-- description = "what is available is what is in the place and not reserved, and the state is the one of that many units"

select
    shop_id,
    change_date,
    location_id,
    product_id,
    changed_at,
    state,
    on_hand,
    reserved,
    available,
    reorder_point
from silver.stock_state_changes
where
    state is null
    or on_hand is null
    or reserved is null
    or reorder_point is null
    or (available is distinct from on_hand - reserved)
    or (cast(changed_at as date) is distinct from change_date)
    or (state = 'out' and available > 0)
    or (state = 'low' and (available <= 0 or available > reorder_point))
    or (state = 'ok' and (available <= 0 or available <= reorder_point))
    or state not in ('out', 'low', 'ok')
