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
-- expected_quantity = "The sum of their quantities in its control total; null if they have none."
-- landed_rows = "Distinct rows of it that have arrived in silver."
-- landed_quantity = "The sum of the quantities of the landed rows; null if they have none."
-- rejected_rows = "Rows of it that are in quarantine."
-- is_complete = "Whether rows and quantity are those of its control total."
--
-- [checks]
-- not_null = ["is_complete"]
-- bounds = ["landed_rows >= 0", "rejected_rows >= 0"]

-- The newest delivery of each batch. The contract of the dataset says when a delivery is complete.
-- Until it is, the complete delivery before it counts. The freshness check alerts people about
-- batches that stay incomplete.

with ranked as (
    select
        shop_id,
        business_date,
        dataset,
        batch,
        run,
        completed_at,
        expected_rows,
        expected_quantity,
        landed_rows,
        landed_quantity,
        rejected_rows,
        is_complete,
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
        expected_quantity,
        landed_rows,
        landed_quantity,
        rejected_rows,
        is_complete
    from ranked
    where place = 1
)

select *
from final
