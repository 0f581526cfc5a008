-- grain = "one row per shop, day, location and product that a snapshot of the stock was taken of"
-- key = ["shop_id", "stock_date", "location_id", "product_id"]
-- partition = "stock_date"
-- inputs = ["silver.daily_stock"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
-- warehouse = "operations.restock_frequency"

-- Restocks are snapshots before which units came in, within the 30 days that end with the day. The
-- mean distance is the one from the first of them to the last, divided by how many follow the
-- first: null if there are fewer than two. The days since the last restock reach from the latest
-- one that is known, even an older one that only the inventory system remembers, to the day's last
-- snapshot of the item: null if none is known, and 0 if the inventory system's clock is ahead.

with days as (
    select
        shop_id,
        stock_date,
        location_id,
        product_id,
        last_snapshot_at
    from silver.daily_stock
),

months as (
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
    from days
    inner join silver.daily_stock as history
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

select
    shop_id,
    stock_date,
    location_id,
    product_id,
    restocks_30d,
    restocked_quantity_30d,
    mean_days_between,
    days_since_last
from final
