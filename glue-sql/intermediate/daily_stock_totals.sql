-- grain = "one row per shop, day, location, product and currency of the unit cost"
-- key = ["shop_id", "stock_date", "location_id", "product_id", "currency"]
-- partition = "stock_date"
-- inputs = ["silver.inventory_levels"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- stock_date = "The day of the snapshots (UTC)."
-- location_id = "The store or warehouse."
-- product_id = "The product."
-- currency = "The currency of the unit cost (ISO 4217)."
-- snapshots = "Snapshots of the item with this currency."
-- on_hand_total = "Units on hand, added up over the snapshots."
-- value_total = "Units on hand times unit cost, added up over the snapshots."
--
-- [checks]
-- not_null = ["snapshots", "on_hand_total", "value_total"]
-- bounds = ["snapshots >= 1"]

-- The parts of an average over any number of days: sums and the number of snapshots. The location
-- is in the key, because each location is averaged over its own snapshots: a location without a
-- snapshot at some hour was not empty then. Amounts of different currencies are never added up.

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

select *
from days
