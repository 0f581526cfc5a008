-- key: shop_id, business_date, currency
with seen as (
    select
        shop_id,
        business_date as day,
        currency,
        coalesce(sum(quantity * unit_cost), 0) as cost,
        null as value,
        null as times
    from pos_sales
    group by all
    union all
    select
        shop_id,
        cast(snapshot_at as date),
        currency,
        0,
        sum(on_hand * unit_cost),
        count(distinct snapshot_at)
    from inventory_levels
    group by all
),
days as (
    select distinct shop_id, day from seen
),
totals as (
    select
        days.shop_id,
        days.day,
        seen.currency,
        sum(seen.cost) as cost,
        cast(sum(seen.value) as double) / sum(seen.times) as average_value
    from days
    join seen on seen.shop_id = days.shop_id and seen.day between days.day - 29 and days.day
    group by all
)
select
    shop_id,
    day as business_date,
    currency,
    cost as cost_of_goods_sold_30d,
    average_value as average_inventory_value_30d,
    case when average_value > 0 then cast(cost as double) / average_value end as turnover
from totals
