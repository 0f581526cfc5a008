-- grain = "one row per shop, business date and currency that was sold or valued in within the 30 days that end with it"
-- key = ["shop_id", "business_date", "currency"]
-- partition = "business_date"
-- inputs = ["gold.revenue_by_region", "silver.daily_stock_value"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
-- warehouse = "operations.inventory_turnover"

-- How often the average inventory was sold, at cost, within the 30 days that end with the business date.
-- What was returned lowers the cost of goods sold, which may so be negative; lines without a cost add nothing. The average
-- is of the value of all stock, over the times at which it was counted. It is null if it never was, and the turnover is
-- also null if the stock was worth nothing on average (or less, which only a wrong count can be).
-- A shop has rows for a day on which it sold, took back or counted anything: then for every currency of its 30 days.

with amounts as (
    select
        shop_id,
        business_date as amount_date,
        currency,
        cost_of_goods,
        cast(0 as decimal(38, 4)) as value_total,
        cast(0 as bigint) as snapshot_times
    from gold.revenue_by_region
    union all
    select
        shop_id,
        stock_date as amount_date,
        currency,
        cast(0 as decimal(18, 4)) as cost_of_goods,
        value_total,
        snapshot_times
    from silver.daily_stock_value
),

days as (
    select
        shop_id,
        amount_date as business_date
    from amounts
    group by
        shop_id,
        amount_date
),

months as (
    select
        days.shop_id,
        days.business_date,
        amounts.currency,
        cast(sum(amounts.cost_of_goods) as decimal(18, 4)) as cost_of_goods_sold_30d,
        cast(sum(amounts.value_total) as decimal(38, 4)) as value_total,
        sum(amounts.snapshot_times) as snapshot_times
    from days
    inner join amounts
        on
            days.shop_id = amounts.shop_id
            and amounts.amount_date >= cast(days.business_date - interval '29' day as date)
            and amounts.amount_date <= days.business_date
    group by
        days.shop_id,
        days.business_date,
        amounts.currency
),

-- a decimal becomes a double by way of its text: each engine rounds it in a way of its own, but they read texts alike
final as (
    select
        shop_id,
        business_date,
        currency,
        cost_of_goods_sold_30d,
        cast(cast(value_total as string) as double)
        / nullif(cast(snapshot_times as double), 0) as average_inventory_value_30d,
        -- cost / (total / times), as one division
        case
            when value_total > 0
                then
                    cast(cast(cost_of_goods_sold_30d * cast(snapshot_times as decimal(12, 0)) as string) as double)
                    / cast(cast(value_total as string) as double)
        end as turnover
    from months
)

select
    shop_id,
    business_date,
    currency,
    cost_of_goods_sold_30d,
    average_inventory_value_30d,
    turnover
from final
