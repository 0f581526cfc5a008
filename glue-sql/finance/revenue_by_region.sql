-- grain = "one row per shop, business date, region and currency"
-- key = ["shop_id", "business_date", "region", "currency"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- every_seconds = 20
--
-- [columns]
-- shop_id = "The shop."
-- business_date = "The trading day."
-- region = "The region of the store."
-- currency = "The currency of the amounts (ISO 4217)."
-- gross_sales = "Sold lines before discount."
-- returns = "Returned lines before discount, as a positive amount."
-- discounts = "Discounts. A discount that is given back with a return is negative."
-- net_revenue = "Gross sales - returns - discounts."
-- cost_of_goods = "Cost of the sold lines less cost of the returned lines, where known."
-- gross_margin = "Net revenue - cost of goods. It is too high where a cost is unknown."
-- units_without_cost = "Units sold or returned at an unknown cost."
--
-- [checks]
-- not_null = ["gross_sales", "returns", "net_revenue", "gross_margin", "units_without_cost"]
-- bounds = ["gross_sales >= 0", "returns >= 0", "units_without_cost >= 0"]
--
-- [checks.reconciles]
-- net_revenue = "cast(gross_sales - returns - discounts as decimal(38, 4))"
-- gross_margin = "cast(net_revenue - cost_of_goods as decimal(38, 4))"

with lines as (
    select
        shop_id,
        business_date,
        region,
        currency,
        quantity,
        -- 12 digits are more than a line has, and few enough for an exact sum in both engines
        cast(quantity as decimal(12, 0)) * unit_price as amount,
        cast(quantity as decimal(12, 0)) * unit_cost as cost,
        discount
    from silver.pos_sales
),

totals as (
    select
        shop_id,
        business_date,
        region,
        currency,
        cast(
            sum(case when quantity > 0 then amount else cast(0 as decimal(31, 4)) end)
            as decimal(38, 4)
        ) as gross_sales,
        cast(
            sum(case when quantity < 0 then -amount else cast(0 as decimal(31, 4)) end)
            as decimal(38, 4)
        ) as returns,
        cast(sum(discount) as decimal(38, 4)) as discounts,
        cast(sum(coalesce(cost, cast(0 as decimal(31, 4)))) as decimal(38, 4)) as cost_of_goods,
        sum(case when cost is null then abs(quantity) else 0 end) as units_without_cost
    from lines
    group by
        shop_id,
        business_date,
        region,
        currency
),

final as (
    select
        shop_id,
        business_date,
        region,
        currency,
        gross_sales,
        returns,
        discounts,
        cast(gross_sales - returns - discounts as decimal(38, 4)) as net_revenue,
        cost_of_goods,
        cast(gross_sales - returns - discounts - cost_of_goods as decimal(38, 4)) as gross_margin,
        units_without_cost
    from totals
)

select *
from final
