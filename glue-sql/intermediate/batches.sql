-- grain = "one row per shop, business date, dataset and batch with a control total"
-- key = ["shop_id", "business_date", "dataset", "batch"]
-- partition = "business_date"
-- inputs = ["silver.batch_runs"]
-- every_seconds = 60
--
-- [columns]
-- shop_id = "The shop."
-- business_date = "The day of the batch."
-- dataset = "The dataset of its rows."
-- batch = "The batch: a day, or an hour of one."
-- run = "The newest delivery: the time when it began (UTC); null if it is not known."
-- completed_at = "When the connector had sent the whole delivery."
-- expected_rows = "Rows in its control total."
-- landed_rows = "Distinct rows of it that have arrived in silver."
-- rejected_rows = "Rows of it that are in quarantine."
--
-- [checks]
-- bounds = ["landed_rows >= 0", "rejected_rows >= 0"]

-- The newest delivery of each batch. It is complete if landed and rejected rows are as many as
-- expected. The freshness check alerts people about batches that stay incomplete: until
-- then the complete delivery before it counts.

with ranked as (
    select
        shop_id,
        business_date,
        dataset,
        batch,
        run,
        completed_at,
        expected_rows,
        landed_rows,
        rejected_rows,
        row_number() over (
            partition by shop_id, dataset, batch
            order by run desc
        ) as place
    from silver.batch_runs
),

final as (
    select
        shop_id,
        business_date,
        dataset,
        batch,
        nullif(run, '') as run,
        completed_at,
        expected_rows,
        landed_rows,
        rejected_rows
    from ranked
    where place = 1
)

select *
from final
