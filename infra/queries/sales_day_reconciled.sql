-- Reconciliation of sales lines of the last 7 days by shop and batch: lines in the control total,
-- distinct lines in the lake, lines in quarantine, and missing lines.

with totals as (
    select
        shop_id,
        batch,
        business_date,
        max_by(row_count, completed_at) as sent
    from ${silver}.control_totals
    where dataset = 'pos_sales' and dt >= current_date - interval '7' day
    group by
        shop_id,
        batch,
        business_date
),

lines as (
    select distinct
        shop_id,
        business_date,
        transaction_id,
        line_no
    from ${silver}.pos_sales
    where dt >= current_date - interval '7' day
),

landed as (
    select
        shop_id,
        business_date,
        count(*) as landed
    from lines
    group by
        shop_id,
        business_date
),

-- A rejected line that was redriven successfully is in both.
rejected as (
    select
        shop_id,
        batch,
        count(distinct envelope_id) as quarantined
    from ${silver}.quarantined
    where dataset = 'pos_sales' and dt >= current_date - interval '7' day
    group by
        shop_id,
        batch
)

select
    totals.shop_id,
    totals.batch,
    totals.sent,
    coalesce(landed.landed, 0) as landed,
    coalesce(rejected.quarantined, 0) as quarantined,
    greatest(totals.sent - coalesce(landed.landed, 0) - coalesce(rejected.quarantined, 0), 0)
        as missing
from totals
left join landed
on landed.shop_id = totals.shop_id and landed.business_date = totals.business_date
left join rejected
on rejected.shop_id = totals.shop_id and rejected.batch = totals.batch
order by
    missing desc,
    totals.batch desc,
    totals.shop_id
