-- grain = "one row per shop, location, product and snapshot that found it in another state than the snapshot before"
-- key = ["shop_id", "change_date", "location_id", "product_id", "changed_at"]
-- partition = "change_date"
-- inputs = ["silver.inventory_levels"]
-- lookback_days = 1    # the snapshot before the first of a day is one of the day before
-- every_seconds = 60

-- An item is out if nothing of it is available, low if no more than its reorder point is, and ok
-- otherwise. A snapshot that has none before it, neither on its day nor on the day before, counts
-- as a change: its state may be the one that was last seen, which whoever reads the changes has to
-- compare.

with snapshots as (
    select
        shop_id,
        cast(snapshot_at as date) as change_date,
        location_id,
        product_id,
        snapshot_at,
        on_hand,
        reserved,
        on_hand - reserved as available,
        reorder_point,
        case
            when on_hand - reserved <= 0 then 'out'
            when on_hand - reserved <= reorder_point then 'low'
            else 'ok'
        end as state
    from silver.inventory_levels
),

compared as (
    select
        shop_id,
        change_date,
        location_id,
        product_id,
        snapshot_at,
        on_hand,
        reserved,
        available,
        reorder_point,
        state,
        lag(change_date) over (
            partition by shop_id, location_id, product_id
            order by snapshot_at
        ) as previous_date,
        lag(state) over (
            partition by shop_id, location_id, product_id
            order by snapshot_at
        ) as previous_state
    from snapshots
),

changes as (
    select
        shop_id,
        change_date,
        location_id,
        product_id,
        snapshot_at as changed_at,
        state,
        on_hand,
        reserved,
        available,
        reorder_point
    from compared
    where
        previous_state is null
        or previous_state <> state
        or previous_date < cast(change_date - interval '1' day as date)
)

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
from changes
