-- key: shop_id, business_date, product_id
-- The trailing 30 days are the day and the 29 before it. Average stock is the sum over locations of
-- the mean of their snapshots. If it is not above zero, the rate is null.
with sold as (
    select shop_id, business_date as day, product_id, sum(greatest(quantity, 0)) as units
    from pos_sales
    group by all
),
counted as (
    select
        shop_id,
        cast(snapshot_at as date) as day,
        product_id,
        location_id,
        sum(on_hand) as units,
        count(*) as times
    from inventory_levels
    group by all
),
days as (
    select shop_id, day from sold
    union
    select shop_id, day from counted
),
sales as (
    select days.shop_id, days.day, product_id, sum(units) as units
    from days
    join sold on sold.shop_id = days.shop_id and sold.day between days.day - 29 and days.day
    group by all
),
means as (
    select days.shop_id, days.day, product_id, location_id, sum(units) / sum(times) as mean
    from days
    join counted
        on counted.shop_id = days.shop_id and counted.day between days.day - 29 and days.day
    group by all
),
stock as (
    select shop_id, day, product_id, sum(mean) as average_on_hand
    from means
    group by all
)
select
    shop_id,
    day as business_date,
    product_id,
    coalesce(units, 0) as units_sold_30d,
    average_on_hand as average_on_hand_30d,
    case when average_on_hand > 0 then coalesce(units, 0) / average_on_hand end as turnover_rate
from sales
full join stock using (shop_id, day, product_id)
