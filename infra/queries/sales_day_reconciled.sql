-- Reconciliation of the newest delivery of sales lines of the last 7 days by shop and batch: lines
-- in the control total, distinct lines in the lake, rejected lines, missing lines, units, and
-- whether the delivery is complete. A delivery that is not complete does not count.

select
    shop_id,
    batch,
    run,
    expected_rows as sent,
    landed_rows as landed,
    rejected_rows as rejected,
    greatest(expected_rows - landed_rows - rejected_rows, 0) as missing,
    expected_quantity as units_sent,
    landed_quantity as units_landed,
    is_complete
from ${gold}.batches
where
    dataset = 'pos_sales'
    and business_date >= current_date - interval '7' day
order by
    is_complete,
    missing desc,
    batch desc,
    shop_id
