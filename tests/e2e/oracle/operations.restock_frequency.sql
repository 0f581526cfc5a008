-- key: shop_id, stock_date, location_id, product_id
with days as (
    select
        shop_id,
        cast(snapshot_at as date) as stock_date,
        location_id,
        product_id,
        max(snapshot_at) as last_snapshot_at
    from inventory_levels
    group by all
),
window_of_days as (
    select
        days.*,
        levels.snapshot_at,
        levels.restocked_quantity,
        levels.last_restocked_at,
        levels.restocked_quantity > 0 as is_restock
    from days
    join inventory_levels as levels
        on levels.shop_id = days.shop_id
        and levels.location_id = days.location_id
        and levels.product_id = days.product_id
        and cast(levels.snapshot_at as date) between days.stock_date - 29 and days.stock_date
    -- The other snapshots say nothing about restocks.
    where levels.restocked_quantity > 0 or levels.last_restocked_at is not null
),
restocks as (
    select
        shop_id,
        stock_date,
        location_id,
        product_id,
        count(*) filter (is_restock) as restocks,
        sum(restocked_quantity) filter (is_restock) as quantity,
        min(snapshot_at) filter (is_restock) as first_at,
        max(snapshot_at) filter (is_restock) as last_at,
        -- A source may report a restock before the window or before its first snapshot.
        greatest(max(snapshot_at) filter (is_restock), max(last_restocked_at)) as latest_known_at
    from window_of_days
    group by all
)
select
    shop_id,
    stock_date,
    location_id,
    product_id,
    coalesce(restocks, 0) as restocks_30d,
    coalesce(quantity, 0) as restocked_quantity_30d,
    case
        when restocks >= 2
            then (epoch_us(last_at) - epoch_us(first_at)) / 86400e6 / (restocks - 1)
    end as mean_days_between,
    case
        when latest_known_at is not null
            then greatest(epoch_us(last_snapshot_at) - epoch_us(latest_known_at), 0) / 86400e6
    end as days_since_last
from days
left join restocks using (shop_id, stock_date, location_id, product_id)
