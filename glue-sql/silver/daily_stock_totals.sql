-- grain = "one row per shop, day, location, product and currency of cost that was counted"
-- key = ["shop_id", "stock_date", "location_id", "product_id", "currency"]
-- partition = "stock_date"
-- inputs = ["silver.inventory_levels"]
-- every_seconds = 60

-- The parts of an average over any number of days: units on hand and their value at cost, both
-- summed over the day's snapshots of the item, and the number of those snapshots. The location is
-- in the key because each location is averaged over its own snapshots: one that was not counted at
-- some time was not empty then.
-- Amounts of different currencies are never added up: an item whose cost changes its currency on a
-- day has a row in each.

with snapshots as (
    select
        shop_id,
        cast(snapshot_at as date) as stock_date,
        location_id,
        product_id,
        currency,
        on_hand,
        cast(on_hand as decimal(12, 0)) * unit_cost as stock_value
    from silver.inventory_levels
),

days as (
    select
        shop_id,
        stock_date,
        location_id,
        product_id,
        currency,
        count(*) as snapshots,
        sum(on_hand) as on_hand_total,
        cast(sum(stock_value) as decimal(38, 4)) as value_total
    from snapshots
    group by
        shop_id,
        stock_date,
        location_id,
        product_id,
        currency
)

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    currency,
    snapshots,
    on_hand_total,
    value_total
from days
