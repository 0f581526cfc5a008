-- grain = "one row per shop, day, location and product with a stock snapshot"
-- key = ["shop_id", "stock_date", "location_id", "product_id"]
-- partition = "stock_date"
-- inputs = ["gold.daily_stock"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- stock_date = "The last of the 30 days (UTC)."
-- location_id = "The store or warehouse."
-- product_id = "The product."
-- restocks_30d = "Snapshots with a restock in 30 days."
-- restocked_quantity_30d = "Units that came in."
-- mean_days_between = "Average days between the restocks; null with fewer than two."
-- days_since_last = "Days from the last known restock to the day's last snapshot; null if unknown."
--
-- [checks]
-- not_null = ["restocks_30d", "restocked_quantity_30d"]
-- bounds = [
--     "restocks_30d >= 0",
--     "restocked_quantity_30d >= restocks_30d",
--     "restocks_30d > 0 or restocked_quantity_30d = 0",
--     "(restocks_30d >= 2) = (mean_days_between is not null)",
--     "restocks_30d = 0 or days_since_last is not null",
--     "mean_days_between between 0 and 30",
--     "days_since_last >= 0",
-- ]

-- A restock is a snapshot whose item received units since the snapshot before. The last known
-- restock may be older than 30 days, or known by the inventory system only. It is 0 days ago if the
-- clock of the inventory system is ahead of the snapshot.

with months as (
    select
        days.shop_id,
        days.stock_date,
        days.location_id,
        days.product_id,
        sum(history.restocks) as restocks_30d,
        sum(history.restocked_quantity) as restocked_quantity_30d,
        unix_micros(min(history.first_restock_at)) as first_restock_us,
        unix_micros(max(history.last_restock_at)) as last_restock_us,
        unix_micros(max(history.known_restock_at)) as known_restock_us,
        unix_micros(max(days.last_snapshot_at)) as last_snapshot_us
    from gold.daily_stock as days
    inner join gold.daily_stock as history
        on
            days.shop_id = history.shop_id
            and days.location_id = history.location_id
            and days.product_id = history.product_id
            and history.stock_date >= cast(days.stock_date - interval '29' day as date)
            and history.stock_date <= days.stock_date
    group by
        days.shop_id,
        days.stock_date,
        days.location_id,
        days.product_id
),

final as (
    select
        shop_id,
        stock_date,
        location_id,
        product_id,
        restocks_30d,
        restocked_quantity_30d,
        cast(last_restock_us - first_restock_us as double)
        / nullif(cast((restocks_30d - 1) * 86400000000 as double), 0) as mean_days_between,
        case
            when known_restock_us > last_snapshot_us then cast(0 as double)
            else cast(last_snapshot_us - known_restock_us as double) / cast(86400000000 as double)
        end as days_since_last
    from months
)

select *
from final
