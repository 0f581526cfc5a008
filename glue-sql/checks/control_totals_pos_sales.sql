-- model = "total_sales_by_region_product"
-- severity = "warn"
-- inputs = ["silver.pos_sales", "silver.control_totals", "silver.quarantined"]
-- description = "what a shop's point of sale says it sent on a day is what landed, in silver or in quarantine"

with totals as (
    select
        shop_id,
        business_date,
        row_count as expected_rows,
        quantity_sum as expected_quantity
    from silver.control_totals
    where dataset = 'pos_sales'
),

landed as (
    select
        shop_id,
        business_date,
        count(*) as landed_rows,
        sum(quantity) as landed_quantity
    from silver.pos_sales
    group by
        shop_id,
        business_date
),

-- a line that was rejected first and accepted later, when it was replayed, has landed
still_quarantined as (
    select
        quarantined.shop_id,
        try_cast(quarantined.batch as date) as business_date,
        case
            when quarantined.envelope_id = '_unknown' then quarantined.origin
            else quarantined.envelope_id
        end as line_id
    from silver.quarantined as quarantined
    left anti join silver.pos_sales as sales
        on
            quarantined.shop_id = sales.shop_id
            and quarantined.envelope_id = sales._envelope_id
    where quarantined.dataset = 'pos_sales'
),

-- the same line may be rejected more than once
rejected as (
    select
        shop_id,
        business_date,
        count(distinct line_id) as rejected_rows
    from still_quarantined
    group by
        shop_id,
        business_date
),

final as (
    select
        totals.shop_id,
        totals.business_date,
        totals.expected_rows,
        coalesce(landed.landed_rows, 0) + coalesce(rejected.rejected_rows, 0) as actual_rows,
        coalesce(rejected.rejected_rows, 0) as rejected_rows,
        totals.expected_quantity,
        coalesce(landed.landed_quantity, 0) as actual_quantity
    from totals
    left join landed
        on
            totals.shop_id = landed.shop_id
            and totals.business_date = landed.business_date
    left join rejected
        on
            totals.shop_id = rejected.shop_id
            and totals.business_date = rejected.business_date
)

select
    shop_id,
    business_date,
    expected_rows,
    actual_rows,
    rejected_rows,
    expected_quantity,
    actual_quantity
from final
where
    expected_rows <> actual_rows
    or (rejected_rows = 0 and expected_quantity <> actual_quantity)
