-- grain = "one row per shop, day, location and product that a snapshot of the stock was taken of"
-- key = ["shop_id", "stock_date", "location_id", "product_id"]
-- partition = "stock_date"
-- inputs = ["silver.inventory_levels"]
-- every_seconds = 60

-- What the models of a month need of a day of hourly snapshots, so that none of them reads the
-- snapshots again. Levels are those of the day's last snapshot of the item. Units are available if
-- they are in the place and not reserved. A restock is a snapshot before which units came in; its
-- time is the snapshot's. The inventory system may know of one that was never seen in a snapshot,
-- or know its time better: known_restock_at is the latest that either of them tells.

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
            when restocked_quantity > 0 and (last_restocked_at is null or last_restocked_at < snapshot_at) then snapshot_at
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
        -- an item has one snapshot at a time, so there is exactly one to take the greatest of
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

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    snapshots,
    available_snapshots,
    last_snapshot_at,
    on_hand,
    reserved,
    reorder_point,
    restocks,
    restocked_quantity,
    first_restock_at,
    last_restock_at,
    known_restock_at
from days
