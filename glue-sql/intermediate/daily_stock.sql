-- grain = "one row per shop, day, location and product with a stock snapshot"
-- key = ["shop_id", "stock_date", "location_id", "product_id"]
-- partition = "stock_date"
-- inputs = ["silver.inventory_levels"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- stock_date = "The day of the snapshots (UTC)."
-- location_id = "The store or warehouse."
-- product_id = "The product."
-- snapshots = "Snapshots of the item on the day."
-- available_snapshots = "Snapshots with at least one available unit."
-- last_snapshot_at = "The time of the day's last snapshot."
-- on_hand = "Units on hand at the last snapshot."
-- reserved = "Reserved units at the last snapshot."
-- reorder_point = "The reorder point at the last snapshot."
-- restocks = "Snapshots with a restock."
-- restocked_quantity = "Units that came in."
-- first_restock_at = "The time of the first snapshot with a restock."
-- last_restock_at = "The time of the last snapshot with a restock."
-- known_restock_at = "The latest restock that a snapshot or the inventory system knows."
--
-- [checks]
-- not_null = [
--     "snapshots", "available_snapshots", "on_hand", "reserved", "reorder_point", "restocks",
--     "restocked_quantity",
-- ]
-- bounds = [
--     "snapshots >= 1",
--     "available_snapshots between 0 and snapshots",
--     "restocks between 0 and snapshots",
--     "restocked_quantity >= restocks",
--     """restocks > 0
--         or (restocked_quantity = 0 and first_restock_at is null and last_restock_at is null)""",
--     """restocks = 0
--         or (
--             first_restock_at is not null
--             and last_restock_at is not null
--             and known_restock_at is not null
--         )""",
--     "first_restock_at <= last_restock_at",
--     "last_restock_at <= known_restock_at",
--     "last_restock_at <= last_snapshot_at",
-- ]
-- reconciles = { stock_date = "cast(last_snapshot_at as date)" }

-- The hourly snapshots of a day, summarised for the models that read a month. A restock is a
-- snapshot whose item received units since the snapshot before; its time is the snapshot's. The
-- inventory system may know a restock that no snapshot saw, or its exact time.

with snapshots as (
    select
        shop_id,
        cast(snapshot_at as date) as stock_date,
        location_id,
        product_id,
        snapshot_at,
        on_hand,
        reserved,
        reorder_point,
        restocked_quantity,
        case when restocked_quantity > 0 then snapshot_at end as restock_at,
        case
            when
                restocked_quantity > 0
                and (last_restocked_at is null or last_restocked_at < snapshot_at)
                then snapshot_at
            else last_restocked_at
        end as known_restock_at,
        max(snapshot_at) over (
            partition by shop_id, cast(snapshot_at as date), location_id, product_id
        ) as last_snapshot_at
    from silver.inventory_levels
),

days as (
    select
        shop_id,
        stock_date,
        location_id,
        product_id,
        count(*) as snapshots,
        sum(case when on_hand - reserved > 0 then 1 else 0 end) as available_snapshots,
        max(last_snapshot_at) as last_snapshot_at,
        -- an item has one snapshot at a time, so max returns the value of that one
        max(case when snapshot_at = last_snapshot_at then on_hand end) as on_hand,
        max(case when snapshot_at = last_snapshot_at then reserved end) as reserved,
        max(case when snapshot_at = last_snapshot_at then reorder_point end) as reorder_point,
        count(restock_at) as restocks,
        sum(restocked_quantity) as restocked_quantity,
        min(restock_at) as first_restock_at,
        max(restock_at) as last_restock_at,
        max(known_restock_at) as known_restock_at
    from snapshots
    group by
        shop_id,
        stock_date,
        location_id,
        product_id
)

select *
from days
