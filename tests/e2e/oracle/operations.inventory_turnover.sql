-- key: shop_id, business_date, currency
-- The trailing 30 days. The average value is the sum over products and locations of the mean of
-- their snapshots.
with sold as (
    select
        shop_id,
        business_date as day,
        currency,
        coalesce(sum(quantity * unit_cost), 0) as cost,
        coalesce(sum(abs(quantity)) filter (unit_cost is null), 0) as uncosted
    from pos_sales
    group by all
),
counted as (
    select
        shop_id,
        cast(snapshot_at as date) as day,
        currency,
        location_id,
        product_id,
        sum(on_hand * unit_cost) as value,
        count(*) as times
    from inventory_levels
    group by all
),
days as (
    select shop_id, day from sold
    union
    select shop_id, day from counted
),
costs as (
    select days.shop_id, days.day, currency, sum(cost) as cost, sum(uncosted) as uncosted
    from days
    join sold on sold.shop_id = days.shop_id and sold.day between days.day - 29 and days.day
    group by all
),
means as (
    select
        days.shop_id,
        days.day,
        currency,
        location_id,
        product_id,
        cast(sum(value) as double) / sum(times) as mean
    from days
    join counted
        on counted.shop_id = days.shop_id and counted.day between days.day - 29 and days.day
    group by all
),
stock as (
    select shop_id, day, currency, sum(mean) as average_value
    from means
    group by all
)
select
    shop_id,
    day as business_date,
    currency,
    coalesce(cost, 0) as cost_of_goods_sold_30d,
    average_value as average_inventory_value_30d,
    case
        when average_value > 0 then cast(coalesce(cost, 0) as double) / average_value
    end as turnover,
    coalesce(uncosted, 0) as units_without_cost_30d
from costs
full join stock using (shop_id, day, currency)
