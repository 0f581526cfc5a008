-- Reconciliation of the newest delivery of sales lines of the last 7 days by shop and batch: lines
-- in the control total, distinct lines in the lake, lines in quarantine, and missing lines.

with totals as (
    select
        shop_id,
        batch,
        business_date,
        max(coalesce(run, '')) as run,
        max_by(row_count, coalesce(run, '') || cast(completed_at as varchar)) as sent
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
        coalesce(_run, '') as run,
        transaction_id,
        line_no
    from ${silver}.pos_sales
    where dt >= current_date - interval '7' day
),

landed as (
    select
        shop_id,
        business_date,
        run,
        count(*) as landed
    from lines
    group by
        shop_id,
        business_date,
        run
),

-- A rejected line that was redriven successfully is in both.
rejected as (
    select
        shop_id,
        batch,
        coalesce(run, '') as run,
        count(distinct envelope_id) as quarantined
    from ${silver}.quarantined
    where dataset = 'pos_sales' and dt >= current_date - interval '7' day
    group by
        shop_id,
        batch,
        coalesce(run, '')
)

select
    totals.shop_id,
    totals.batch,
    totals.run,
    totals.sent,
    coalesce(landed.landed, 0) as landed,
    coalesce(rejected.quarantined, 0) as quarantined,
    greatest(totals.sent - coalesce(landed.landed, 0) - coalesce(rejected.quarantined, 0), 0)
        as missing
from totals
left join landed
    on
        landed.shop_id = totals.shop_id
        and landed.business_date = totals.business_date
        and landed.run = totals.run
left join rejected
    on
        rejected.shop_id = totals.shop_id
        and rejected.batch = totals.batch
        and rejected.run = totals.run
order by
    missing desc,
    totals.batch desc,
    totals.shop_id
