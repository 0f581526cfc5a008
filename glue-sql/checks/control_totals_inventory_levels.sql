-- model = "daily_stock"
-- severity = "warn"
-- inputs = ["silver.inventory_levels", "silver.control_totals", "silver.quarantined"]
-- description = "what a shop's inventory system says it sent for an hour is what landed, in silver or in quarantine"

-- A warning, as a row that is missing in one hour must not hide the stock of all others; the next
-- hour brings them all again. A batch is named after its hour, 2026-11-21T10, in which the time of
-- its snapshot lies.

with totals as (
    select
        shop_id,
        batch,
        row_count as expected_rows,
        quantity_sum as expected_on_hand
    from silver.control_totals
    where dataset = 'inventory_levels'
),

rows_of_hours as (
    select
        shop_id,
        cast(cast(snapshot_at as date) as string)
        || 'T'
        || lpad(cast(extract(hour from snapshot_at) as string), 2, '0') as batch,
        on_hand
    from silver.inventory_levels
),

landed as (
    select
        shop_id,
        batch,
        count(*) as landed_rows,
        sum(on_hand) as landed_on_hand
    from rows_of_hours
    group by
        shop_id,
        batch
),

-- a row that was rejected first and accepted later, when it was replayed, has landed
still_quarantined as (
    select
        quarantined.shop_id,
        quarantined.batch,
        case
            when quarantined.envelope_id = '_unknown' then quarantined.origin
            else quarantined.envelope_id
        end as line_id
    from silver.quarantined as quarantined
    left anti join silver.inventory_levels as levels
        on
            quarantined.shop_id = levels.shop_id
            and quarantined.envelope_id = levels._envelope_id
    where quarantined.dataset = 'inventory_levels'
),

-- the same row may be rejected more than once
rejected as (
    select
        shop_id,
        batch,
        count(distinct line_id) as rejected_rows
    from still_quarantined
    group by
        shop_id,
        batch
),

final as (
    select
        totals.shop_id,
        totals.batch,
        totals.expected_rows,
        coalesce(landed.landed_rows, 0) + coalesce(rejected.rejected_rows, 0) as actual_rows,
        coalesce(rejected.rejected_rows, 0) as rejected_rows,
        totals.expected_on_hand,
        coalesce(landed.landed_on_hand, 0) as actual_on_hand
    from totals
    left join landed
        on
            totals.shop_id = landed.shop_id
            and totals.batch = landed.batch
    left join rejected
        on
            totals.shop_id = rejected.shop_id
            and totals.batch = rejected.batch
)

select
    shop_id,
    batch,
    expected_rows,
    actual_rows,
    rejected_rows,
    expected_on_hand,
    actual_on_hand
from final
where
    expected_rows <> actual_rows
    or (rejected_rows = 0 and expected_on_hand <> actual_on_hand)
