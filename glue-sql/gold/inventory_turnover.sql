-- grain = "one row per shop, business date and currency that was sold or valued in within the 30 days that end with it"
-- key = ["shop_id", "business_date", "currency"]
-- partition = "business_date"
-- inputs = ["gold.revenue_by_region", "silver.daily_stock_totals"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
-- warehouse = "operations.inventory_turnover"

-- How often the average inventory was sold, at cost, within the 30 days that end with the business
-- date. What was returned lowers the cost of goods sold, which may so be negative. A line whose
-- cost is not known adds nothing to it, so the turnover is too low there: units_without_cost_30d
-- says by how many units, sold and returned ones alike.
--
-- The average value is the sum over locations and products of the average value of each, over its
-- own snapshots: an item that was not counted at some time was not gone then. An item whose cost
-- changed its currency counts in each, over the snapshots in that currency. The average is null
-- without any snapshot, and the turnover is also null if the stock was worth nothing on average (or
-- less, which only a wrong count can be).
--
-- A shop has rows for a day on which it sold, took back or counted anything: then for every
-- currency of its 30 days.

with amounts as (
    select
        shop_id,
        business_date as amount_date,
        currency,
        -- sales have no part in any item's average
        cast(null as string) as location_id,
        cast(null as string) as product_id,
        cost_of_goods,
        units_without_cost,
        cast(null as decimal(38, 4)) as value_total,
        cast(null as bigint) as snapshots
    from gold.revenue_by_region
    union all
    select
        shop_id,
        stock_date as amount_date,
        currency,
        location_id,
        product_id,
        cast(0 as decimal(38, 4)) as cost_of_goods,
        cast(0 as bigint) as units_without_cost,
        value_total,
        snapshots
    from silver.daily_stock_totals
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

items as (
    select
        days.shop_id,
        days.business_date,
        amounts.currency,
        amounts.location_id,
        amounts.product_id,
        cast(sum(amounts.cost_of_goods) as decimal(38, 4)) as cost_of_goods,
        sum(amounts.units_without_cost) as units_without_cost,
        cast(sum(amounts.value_total) as decimal(38, 4)) as value_total,
        cast(sum(amounts.snapshots) as decimal(12, 0)) as snapshots
    from days
    inner join amounts
        on
            days.shop_id = amounts.shop_id
            and amounts.amount_date >= cast(days.business_date - interval '29' day as date)
            and amounts.amount_date <= days.business_date
    group by
        days.shop_id,
        days.business_date,
        amounts.currency,
        amounts.location_id,
        amounts.product_id
),

-- An item's average is its whole amount and the rest in units of 1e-15, both whole numbers: their
-- sums do not depend on the order of items, as a sum of doubles would. What is divided here has no
-- remainder, so the engines' different scales of a quotient do not matter.
averages as (
    select
        shop_id,
        business_date,
        currency,
        cost_of_goods,
        units_without_cost,
        cast((value_total - value_total % snapshots) / snapshots as decimal(38, 0)) as whole_value,
        cast(
            floor(
                cast(cast(value_total % snapshots as string) as double)
                / cast(cast(snapshots as string) as double)
                * cast(1000000000000000 as double)
                + cast(0.5 as double)
            ) as bigint
        ) as rest_value
    from items
),

currencies as (
    select
        shop_id,
        business_date,
        currency,
        cast(sum(cost_of_goods) as decimal(38, 4)) as cost_of_goods_sold_30d,
        sum(units_without_cost) as units_without_cost_30d,
        cast(sum(whole_value) as decimal(38, 0)) as whole_value,
        cast(sum(cast(rest_value as decimal(16, 0))) as decimal(38, 0)) as rest_value
    from averages
    group by
        shop_id,
        business_date,
        currency
),

-- a decimal becomes a double by way of its text: each engine rounds it in a way of its own, but
-- they read texts alike
valued as (
    select
        shop_id,
        business_date,
        currency,
        cost_of_goods_sold_30d,
        units_without_cost_30d,
        cast(cast(whole_value as string) as double)
        + cast(cast(rest_value as string) as double)
        / cast(1000000000000000 as double) as average_inventory_value_30d
    from currencies
),

final as (
    select
        shop_id,
        business_date,
        currency,
        cost_of_goods_sold_30d,
        average_inventory_value_30d,
        case
            when average_inventory_value_30d > 0
                then
                    cast(cast(cost_of_goods_sold_30d as string) as double)
                    / average_inventory_value_30d
        end as turnover,
        units_without_cost_30d
    from valued
)

select
    shop_id,
    business_date,
    currency,
    cost_of_goods_sold_30d,
    average_inventory_value_30d,
    turnover,
    units_without_cost_30d
from final
