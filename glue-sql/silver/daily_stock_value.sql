-- grain = "one row per shop, day and currency that stock is valued in"
-- key = ["shop_id", "stock_date", "currency"]
-- partition = "stock_date"
-- inputs = ["silver.inventory_levels"]
-- every_seconds = 60

-- The parts of an average over any number of days: units on hand at their cost, summed over items and snapshots, and the
-- number of times at which anything was counted. Amounts of different currencies are never added up.
-- The sum of a day is wider than an amount of money, and wide enough for any sum: 10 digits of units times 18 of cost leave
-- room for a billion rows.

with snapshots as (
    select
        shop_id,
        cast(snapshot_at as date) as stock_date,
        currency,
        snapshot_at,
        cast(on_hand as decimal(12, 0)) * unit_cost as stock_value
    from silver.inventory_levels
),

days as (
    select
        shop_id,
        stock_date,
        currency,
        cast(sum(stock_value) as decimal(38, 4)) as value_total,
        count(distinct snapshot_at) as snapshot_times
    from snapshots
    group by
        shop_id,
        stock_date,
        currency
)

select
    shop_id,
    stock_date,
    currency,
    value_total,
    snapshot_times
from days
