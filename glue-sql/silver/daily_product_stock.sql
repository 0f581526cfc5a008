-- grain = "one row per shop, day and product that a snapshot of the stock was taken of"
-- key = ["shop_id", "stock_date", "product_id"]
-- partition = "stock_date"
-- inputs = ["silver.inventory_levels"]
-- every_seconds = 60

-- The parts of an average over any number of days: units on hand, summed over locations and snapshots, and the number of
-- times at which the product was counted anywhere. Their quotient is what the shop had on hand on average, in all locations.

with snapshots as (
    select
        shop_id,
        cast(snapshot_at as date) as stock_date,
        product_id,
        snapshot_at,
        on_hand
    from silver.inventory_levels
),

days as (
    select
        shop_id,
        stock_date,
        product_id,
        sum(on_hand) as on_hand_total,
        count(distinct snapshot_at) as snapshot_times
    from snapshots
    group by
        shop_id,
        stock_date,
        product_id
)

select
    shop_id,
    stock_date,
    product_id,
    on_hand_total,
    snapshot_times
from days
