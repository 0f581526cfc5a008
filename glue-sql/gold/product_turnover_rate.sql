-- grain = "one row per shop, business date and product that was sold or counted within the 30 days that end with it"
-- key = ["shop_id", "business_date", "product_id"]
-- partition = "business_date"
-- inputs = ["gold.total_sales_by_region_product", "silver.daily_stock_totals"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
-- warehouse = "sales.product_turnover_rate"

-- How often the average stock was sold within the 30 days that end with the business date. Units
-- sold are those of lines with a positive quantity; a return does not take a sale back.
--
-- The average stock is the sum over locations of the average units on hand of each, over the
-- snapshots of the product there: a location that was not counted at some time was not empty then.
-- It is null without any snapshot, and the rate is also null if there was no stock on average
-- (none, or a negative one, which only a wrong count can be).
--
-- A shop has rows for a day on which it sold, took back or counted anything: then for every product
-- of its 30 days.

with items as (
    select
        shop_id,
        business_date as item_date,
        product_id,
        -- sales have no part in any location's average
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
    from silver.daily_stock_totals
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

-- A location's average is its whole units and the rest in units of 1e-15, both whole numbers: their
-- sums do not depend on the order of locations, as a sum of doubles would.
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
        -- more than 9,000 locations leave a bigint
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

select
    shop_id,
    business_date,
    product_id,
    units_sold_30d,
    average_on_hand_30d,
    turnover_rate
from final
