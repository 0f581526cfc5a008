-- grain = "one row per shop, location, product and snapshot with another state than the one before"
-- key = ["shop_id", "change_date", "location_id", "product_id", "changed_at"]
-- partition = "change_date"
-- inputs = ["silver.inventory_levels"]
-- lookback_days = 1    # the snapshot before the first one of a day
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- change_date = "The day of the change (UTC)."
-- location_id = "The store or warehouse."
-- product_id = "The product."
-- changed_at = "The time of the snapshot that shows the new state."
-- state = "out: no unit is available. low: at most the reorder point is. ok: more than that is."
-- on_hand = "Units on hand."
-- reserved = "Reserved units."
-- available = "Units on hand less reserved units."
-- reorder_point = "The reorder point."
--
-- [checks]
-- not_null = ["state", "on_hand", "reserved", "reorder_point"]
-- bounds = [
--     "state in ('out', 'low', 'ok')",
--     "state <> 'out' or available <= 0",
--     "state <> 'low' or (available > 0 and available <= reorder_point)",
--     "state <> 'ok' or (available > 0 and available > reorder_point)",
-- ]
-- reconciles = { available = "on_hand - reserved", change_date = "cast(changed_at as date)" }

-- A snapshot without another one before it, on its day or the day before, counts as a change. Its
-- state may equal the state that was last seen: a reader of the changes compares them.

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

select *
from changes
