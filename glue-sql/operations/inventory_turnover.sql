-- grain = "one row per shop, business date and currency of sales or stock in the 30 days up to it"
-- key = ["shop_id", "business_date", "currency"]
-- partition = "business_date"
-- inputs = ["gold.revenue_by_region", "gold.daily_stock_totals"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- business_date = "The last of the 30 days."
-- currency = "The currency of the amounts (ISO 4217)."
-- cost_of_goods_sold_30d = "Cost of goods sold in 30 days. Returns lower it, even below zero."
-- average_inventory_value_30d = "Average value of the stock at cost; null without a snapshot."
-- turnover = "Cost of goods sold / average inventory value; null unless that value is positive."
-- units_without_cost_30d = "Units sold or returned at an unknown cost, which is missing above."
--
-- [checks]
-- not_null = ["cost_of_goods_sold_30d", "units_without_cost_30d"]
-- bounds = [
--     "units_without_cost_30d >= 0",
--     "(turnover is not null) = coalesce(average_inventory_value_30d > 0, false)",
--     "cost_of_goods_sold_30d < 0 or turnover >= 0",
--     "cost_of_goods_sold_30d > 0 or turnover <= 0",
-- ]

-- The average value is the sum over locations and products of each one's average over its own
-- snapshots: an item without a snapshot at some hour still existed then. An item whose cost changed
-- its currency counts in each currency, over the snapshots in that currency.
-- A shop has rows for a day with a sale, a return or a snapshot: then for every currency of its 30
-- days.

with amounts as (
    select
        shop_id,
        business_date as amount_date,
        currency,
        -- sales belong to no item, and so to no average
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
    from gold.daily_stock_totals
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

-- An average is kept as its whole amount and the rest in units of 1e-15. Both are whole numbers, so
-- that their sums do not depend on the order of items, as a sum of doubles would. The division of
-- decimals has no remainder, so the engines' different scales of a quotient do not matter.
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

-- a decimal is cast to a double through its text: the engines round decimals differently, and read
-- texts alike
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

select *
from final
