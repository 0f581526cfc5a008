-- grain = "one row per shop, business date and product sold or counted in the 30 days up to it"
-- key = ["shop_id", "business_date", "product_id"]
-- partition = "business_date"
-- inputs = ["gold.total_sales_by_region_product", "gold.daily_stock_totals"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- business_date = "The last of the 30 days."
-- product_id = "The product."
-- units_sold_30d = "Units sold in 30 days. Returns do not lower it."
-- average_on_hand_30d = "Average units on hand, added up over locations; null without a snapshot."
-- turnover_rate = "Units sold / average on hand; null unless that average is positive."
--
-- [checks]
-- not_null = ["units_sold_30d"]
-- bounds = [
--     "units_sold_30d >= 0",
--     "turnover_rate >= 0",
--     "(turnover_rate is not null) = coalesce(average_on_hand_30d > 0, false)",
-- ]

-- Each location is averaged over its own snapshots of the product: a location without a snapshot at
-- some hour was not empty then.
-- A shop has rows for a day with a sale, a return or a snapshot: then for every product of its 30
-- days.

with items as (
    select
        shop_id,
        business_date as item_date,
        product_id,
        -- sales belong to no location, and so to no average
        cast(null as string) as location_id,
        units_sold,
        cast(null as bigint) as on_hand_total,
        cast(null as bigint) as snapshots
    from gold.total_sales_by_region_product
    union all
    select
        shop_id,
        stock_date as item_date,
        product_id,
        location_id,
        cast(0 as bigint) as units_sold,
        on_hand_total,
        snapshots
    from gold.daily_stock_totals
),

days as (
    select
        shop_id,
        item_date as business_date
    from items
    group by
        shop_id,
        item_date
),

locations as (
    select
        days.shop_id,
        days.business_date,
        items.product_id,
        items.location_id,
        sum(items.units_sold) as units_sold,
        sum(items.on_hand_total) as on_hand_total,
        sum(items.snapshots) as snapshots
    from days
    inner join items
        on
            days.shop_id = items.shop_id
            and items.item_date >= cast(days.business_date - interval '29' day as date)
            and items.item_date <= days.business_date
    group by
        days.shop_id,
        days.business_date,
        items.product_id,
        items.location_id
),

-- An average is kept as its whole units and the rest in units of 1e-15. Both are whole numbers, so
-- that their sums do not depend on the order of locations, as a sum of doubles would.
averages as (
    select
        shop_id,
        business_date,
        product_id,
        units_sold,
        cast(
            cast(on_hand_total - on_hand_total % snapshots as double)
            / cast(snapshots as double) as bigint
        ) as whole_units,
        cast(
            floor(
                cast(on_hand_total % snapshots as double)
                / cast(snapshots as double)
                * cast(1000000000000000 as double)
                + cast(0.5 as double)
            ) as bigint
        ) as rest_units
    from locations
),

products as (
    select
        shop_id,
        business_date,
        product_id,
        sum(units_sold) as units_sold_30d,
        sum(whole_units) as whole_units,
        -- the sum over more than 9,000 locations exceeds a bigint
        cast(sum(cast(rest_units as decimal(16, 0))) as decimal(38, 0)) as rest_units
    from averages
    group by
        shop_id,
        business_date,
        product_id
),

stocked as (
    select
        shop_id,
        business_date,
        product_id,
        units_sold_30d,
        cast(whole_units as double)
        + cast(cast(rest_units as string) as double)
        / cast(1000000000000000 as double) as average_on_hand_30d
    from products
),

final as (
    select
        shop_id,
        business_date,
        product_id,
        units_sold_30d,
        average_on_hand_30d,
        case
            when average_on_hand_30d > 0 then cast(units_sold_30d as double) / average_on_hand_30d
        end as turnover_rate
    from stocked
)

select *
from final
