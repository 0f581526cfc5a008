-- grain = "one row per shop, business date and product that was sold or counted within the 30 days that end with it"
-- key = ["shop_id", "business_date", "product_id"]
-- partition = "business_date"
-- inputs = ["gold.total_sales_by_region_product", "silver.daily_product_stock"]
-- lookback_days = 29   # the trailing 30 days
-- every_seconds = 60
-- warehouse = "sales.product_turnover_rate"

-- How often the average stock was sold within the 30 days that end with the business date.
-- Units sold are those of lines with a positive quantity; a return does not take a sale back. The average is of the units
-- on hand in all locations, over the times at which the product was counted. It is null if it never was, and the rate is
-- also null if there was no stock on average (none, or a negative one, which only a wrong count can be).
-- A shop has rows for a day on which it sold, took back or counted anything: then for every product of its 30 days.

with items as (
    select
        shop_id,
        business_date as item_date,
        product_id,
        units_sold,
        cast(0 as bigint) as on_hand_total,
        cast(0 as bigint) as snapshot_times
    from gold.total_sales_by_region_product
    union all
    select
        shop_id,
        stock_date as item_date,
        product_id,
        cast(0 as bigint) as units_sold,
        on_hand_total,
        snapshot_times
    from silver.daily_product_stock
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

months as (
    select
        days.shop_id,
        days.business_date,
        items.product_id,
        sum(items.units_sold) as units_sold_30d,
        sum(items.on_hand_total) as on_hand_total,
        sum(items.snapshot_times) as snapshot_times
    from days
    inner join items
        on
            days.shop_id = items.shop_id
            and items.item_date >= cast(days.business_date - interval '29' day as date)
            and items.item_date <= days.business_date
    group by
        days.shop_id,
        days.business_date,
        items.product_id
),

final as (
    select
        shop_id,
        business_date,
        product_id,
        units_sold_30d,
        cast(on_hand_total as double) / nullif(cast(snapshot_times as double), 0) as average_on_hand_30d,
        -- units / (total / times), as one division of whole numbers
        case
            when on_hand_total > 0 then cast(units_sold_30d * snapshot_times as double) / cast(on_hand_total as double)
        end as turnover_rate
    from months
)

select
    shop_id,
    business_date,
    product_id,
    units_sold_30d,
    average_on_hand_30d,
    turnover_rate
from final
