-- key: shop_id, alert_date, location_id, product_id, state
-- A product is out at a location if nothing is available, and low if at most the reorder point is.
with states as (
    select
        *,
        case
            when available <= 0 then 'out'
            when available <= reorder_point then 'low'
            else 'ok'
        end as state
    from inventory_levels
),
changes as (
    select *
    from states
    qualify state is distinct from
        lag(state) over (partition by shop_id, location_id, product_id order by snapshot_at)
),
spans as (
    select
        *,
        lead(snapshot_at) over (
            partition by shop_id, location_id, product_id order by snapshot_at
        ) as ended_at
    from changes
)
select
    shop_id,
    cast(snapshot_at as date) as alert_date,
    location_id,
    product_id,
    state,
    snapshot_at as started_at,
    ended_at,
    on_hand,
    reserved,
    available,
    reorder_point
from spans
where state in ('out', 'low')
qualify row_number() over (
    partition by shop_id, location_id, product_id, alert_date, state order by snapshot_at
) = 1
