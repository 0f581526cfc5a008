-- key: shop_id, business_date, product_id
-- The trailing 30 days are the day and the 29 before it. Without stock, or with a debt of it, there is no rate.
with sold as (
    select shop_id, business_date as day, product_id, sum(greatest(quantity, 0)) as units
    from pos_sales
    group by all
),
stocked as (
    select
        shop_id,
        cast(snapshot_at as date) as day,
        product_id,
        sum(on_hand) as total_on_hand,
        count(distinct snapshot_at) as times
    from inventory_levels
    group by all
),
seen as (
    select shop_id, day, product_id, units, null as total_on_hand, null as times from sold
    union all
    select shop_id, day, product_id, null, total_on_hand, times from stocked
),
days as (
    select distinct shop_id, day from seen
),
totals as (
    select
        days.shop_id,
        days.day,
        seen.product_id,
        coalesce(sum(seen.units), 0) as units,
        sum(seen.total_on_hand) / sum(seen.times) as average_on_hand
    from days
    join seen on seen.shop_id = days.shop_id and seen.day between days.day - 29 and days.day
    group by all
)
select
    shop_id,
    day as business_date,
    product_id,
    units as units_sold_30d,
    average_on_hand as average_on_hand_30d,
    case when average_on_hand > 0 then units / average_on_hand end as turnover_rate
from totals
