//! Loads into the warehouse again what is in gold: after loads that failed, or after the warehouse
//! was lost.

use chrono::{DateTime, Utc};
use shoplake_aws::{Executions, PortError};
use shoplake_index::{IndexedModel, ModelIndex};
use shoplake_jobs::Partition;
use shoplake_lake::{Store, state};
use shoplake_platform::failure::Failure;
use shoplake_warehouse::{LoadRecord, Warehouse, load_records};

use crate::failure::{self, Failures};
use crate::partitions;
use crate::response::Reloaded;

/// The most partitions of one reload, a leap year of days: each is an execution, and all of them
/// load into one warehouse.
const MAX_PARTITIONS: usize = 366;

/// Starts silver-to-gold with the committed result of each of the model's partitions, both ends
/// included. A partition that fails keeps no other one back, unless a service is away. Run it again
/// if it fails: the warehouse loads only commits that it does not have. A partition owes its load
/// from then on, so the sweep loads it again if its execution fails.
///
/// What is in gold is right, also if the warehouse has a newer commit because an older object was
/// restored: [`LoadRecord::reload_planned_at`](shoplake_warehouse::LoadRecord::reload_planned_at)
/// gives its place in the order of loads.
///
/// An object that was committed before its model changed is loaded unchanged. A column that its
/// table lacks is added. A column that only the table has is null in its rows. A column of another
/// type fails the load until the partition is computed again.
pub(crate) async fn reload(
    models: &ModelIndex,
    lake: &dyn Store,
    warehouse: &dyn Warehouse,
    executions: &dyn Executions,
    name: String,
    (from, to): (Partition, Partition),
    now: DateTime<Utc>,
) -> Result<Reloaded, Failure> {
    let model = partitions::model(models, &name)?;
    if model.warehouse.is_none() {
        return Err(Failure::permanent(format!(
            "cannot reload {name:?}: expected a model with a warehouse table, this one only serves \
             other models"
        )));
    }
    let partitions = partitions::range(model, from, to, MAX_PARTITIONS)?;
    // Before gold, so that a commit in between does not look like a restore.
    let loaded = load_records(warehouse, &name).await.map_err(|error| {
        Failure::retryable(format!(
            "cannot read what the warehouse has of {name}: {error}; run the same reload again (in \
             a new warehouse, run migrate first)"
        ))
    })?;
    let (mut started, mut restored, mut absent) = (0, 0, 0);
    let mut failures = Failures::default();
    for partition in partitions {
        let record = loaded.get(&partition.to_string());
        match start(model, lake, executions, partition, record, now).await {
            Ok(Some(is_restored)) => {
                started += 1;
                restored += usize::from(is_restored);
                failures.succeeded();
            }
            Ok(None) => {
                absent += 1;
                failures.succeeded();
            }
            Err(failure) => failures.add(model.output_key(partition), failure),
        }
        if failures.show_an_outage() {
            break;
        }
    }
    tracing::info!(name, %from, %to, started, restored, absent, "reload");
    failures.or(Reloaded { model: name, started, restored, absent })
}

/// Starts silver-to-gold with the committed result of a partition. Returns whether the object was
/// restored; `None` if the partition is not in gold.
async fn start(
    model: &IndexedModel,
    lake: &dyn Store,
    executions: &dyn Executions,
    partition: Partition,
    record: Option<&LoadRecord>,
    now: DateTime<Utc>,
) -> Result<Option<bool>, Failure> {
    let object = lake.get(&model.output_key(partition)).await.map_err(Failure::retryable)?;
    let Some(object) = object else { return Ok(None) };
    let mut result =
        shoplake_gold::committed(model, partition, &object).map_err(Failure::permanent)?;
    let planned_at = result.planned_at;
    if let Some(record) = record {
        result.planned_at = record.reload_planned_at(planned_at, result.version);
    }
    let version = result.version;
    state::update(lake, &model.name, partition, |state| state.reload(version, now))
        .await
        .map_err(Failure::retryable)?;
    executions.start_silver_to_gold_with_result(&result).await.map_err(unavailable)?;
    Ok(Some(result.planned_at != planned_at))
}

fn unavailable(error: PortError) -> Failure {
    let advice = "run the same reload again (a second load of a partition has no effect)";
    failure::unavailable(error, advice)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
    use chrono::TimeDelta;
    use serde_json::{Value, json};
    use shoplake_aws::{Execution, Fault, MemoryExecutions};
    use shoplake_gold::Gold;
    use shoplake_jobs::JobDocument;
    use shoplake_lake::state::{DebtKind, Step};
    use shoplake_lake::{Condition, ETag, Entry, MemoryStore, Metadata};
    use shoplake_models::{Listing, Models, Plan};
    use shoplake_warehouse::{RecordingWarehouse, WarehouseError};

    use super::*;

    fn models() -> Models {
        shoplake_testing::definitions().1
    }

    const MODEL: &str = "total_sales_by_region_product";

    fn day(text: &str) -> Partition {
        text.parse().unwrap()
    }

    fn now() -> DateTime<Utc> {
        "2010-12-06T00:00:00Z".parse().unwrap()
    }

    /// The job of a day that has one object of sales.
    fn job(models: &Models, text: &str) -> JobDocument {
        let sales = Entry {
            key: format!("silver/pos_sales/dt={text}/a.parquet"),
            etag: ETag::new("\"a\""),
            size: 1,
            last_modified: "2010-12-05T00:00:00Z".parse().unwrap(),
        };
        let listing = Listing::from([("silver.pos_sales".to_owned(), vec![sales])]);
        match models.plan(models.get(MODEL).unwrap(), text.parse().unwrap(), &listing, None) {
            Plan::Job(job) => *job,
            Plan::UpToDate => panic!("expected a job"),
        }
    }

    /// Commits two rows of a day, as the function transform does; returns the job's id.
    async fn commit(lake: &MemoryStore, models: &Models, text: &str) -> String {
        let job = job(models, text);
        // 14_944 is 2010-12-01, in days since 1970.
        let columns: [(&str, ArrayRef); 3] = [
            ("shop_id", Arc::new(StringArray::from(vec!["acme", "zenith"]))),
            ("business_date", Arc::new(Date32Array::from(vec![14_944, 14_944]))),
            ("units_sold", Arc::new(Int64Array::from(vec![3, 4]))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let gold = Gold { rows, dirtied: vec![], failed_checks: vec![], alert: vec![] };
        let metadata = [
            ("version", "1"),
            ("inputs", &job.output.inputs_digest),
            ("job", &job.id),
            ("rows", "2"),
            ("planned-at", "2010-12-05T06:07:08Z"),
        ];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let file = shoplake_gold::encode(&gold, &job).unwrap();
        lake.put(&job.output.key, file, metadata, Condition::Always).await.unwrap();
        job.id
    }

    fn inputs(executions: &MemoryExecutions) -> Vec<Value> {
        let input = |execution| match execution {
            Execution::SilverToGoldWithResult { input } => input,
            other => panic!("unexpected {other:?}"),
        };
        executions.started().into_iter().map(input).collect()
    }

    /// A warehouse whose `shoplake.loads` has these rows of the model.
    fn warehouse(rows: Value) -> RecordingWarehouse {
        RecordingWarehouse::answering(move |_| {
            let rows = rows.as_array().unwrap().iter();
            Ok(vec![Some(rows.map(|row| row.as_object().cloned().unwrap()).collect())])
        })
    }

    /// The row of a day in `shoplake.loads`.
    fn loaded(day: &str, version: u64, planned_at: Value) -> Value {
        json!({"partition_value": day, "version": version, "row_count": 2,
               "planned_at": planned_at, "loaded_at": "2010-12-05 06:08:00"})
    }

    /// Reloads the first days of December 2010 into an empty warehouse.
    async fn december(
        lake: &MemoryStore,
        executions: &MemoryExecutions,
        to: &str,
    ) -> Result<Reloaded, Failure> {
        december_into(&warehouse(json!([])), lake, executions, to).await
    }

    async fn december_into(
        warehouse: &RecordingWarehouse,
        lake: &MemoryStore,
        executions: &MemoryExecutions,
        to: &str,
    ) -> Result<Reloaded, Failure> {
        let (models, from) = (models().index(), day("2010-12-01"));
        reload(&models, lake, warehouse, executions, MODEL.to_owned(), (from, day(to)), now()).await
    }

    #[tokio::test]
    async fn each_day_with_gold_is_started_with_its_result() {
        let (lake, executions, models) =
            (MemoryStore::default(), MemoryExecutions::default(), models());
        let first = commit(&lake, &models, "2010-12-01").await;
        let third = commit(&lake, &models, "2010-12-03").await;
        commit(&lake, &models, "2010-12-05").await;

        let answer = december(&lake, &executions, "2010-12-04").await.unwrap();

        let expected = Reloaded { model: MODEL.to_owned(), started: 2, restored: 0, absent: 2 };
        assert_eq!(answer, expected);
        let shown = inputs(&executions);
        let jobs: Vec<_> = shown.iter().map(|input| input["job"].as_str().unwrap()).collect();
        assert_eq!(
            jobs,
            [
                format!("jobs/total_sales_by_region_product/2010-12-01/{first}.json"),
                format!("jobs/total_sales_by_region_product/2010-12-03/{third}.json"),
            ]
        );
        let result = &shown[0]["transform"]["result"];
        assert_eq!((&result["outcome"], &result["job"]), (&json!("committed"), &json!(first)));
        assert_eq!(result["planned_at"], "2010-12-05T06:07:08Z");
        assert_eq!((&result["received_at"], &result["notify"]), (&Value::Null, &Value::Null));
        assert_eq!(
            result["load"],
            json!({
                "model": "total_sales_by_region_product",
                "warehouse": "sales.total_sales_by_region_product",
                "partition": {"column": "business_date", "type": "date", "value": "2010-12-01"},
                "key": "gold/total_sales_by_region_product/business_date=2010-12-01/data.parquet",
                "version": 1,
                "columns": [
                    {"name": "shop_id", "type": "string"},
                    {"name": "business_date", "type": "date"},
                    {"name": "units_sold", "type": "bigint"},
                ],
                "sort": ["shop_id", "business_date"],
            })
        );
    }

    #[tokio::test]
    async fn a_reloaded_day_owes_its_load() {
        let (lake, executions, models) =
            (MemoryStore::default(), MemoryExecutions::default(), models());
        commit(&lake, &models, "2010-12-01").await;
        let partition = day("2010-12-01");
        let settle = |state: &mut state::PartitionState| {
            state.found_commit(1);
            (state.published, state.loaded, state.notified) = (1, 1, 1);
        };
        state::update(&lake, MODEL, partition, settle).await.unwrap();

        december(&lake, &executions, "2010-12-01").await.unwrap();

        let mut state = state::read(&lake, MODEL, partition).await.unwrap().state;
        let debts = state.owes(TimeDelta::zero(), now());
        let debts: Vec<_> = debts.into_iter().map(|debt| (debt.kind, debt.due)).collect();
        assert_eq!(debts, [(DebtKind::Load, now() + state::DELIVERY)]);
        assert!(state.fail(Step::Load, "a", "away", now()), "its failure is news");
        state.load(1);
        assert!(state.is_settled());
    }

    #[tokio::test]
    async fn a_restored_day_is_planned_right_after_what_it_undoes() {
        let (lake, executions, models) =
            (MemoryStore::default(), MemoryExecutions::default(), models());
        let days = ["2010-12-01", "2010-12-02", "2010-12-03", "2010-12-04"];
        for text in days {
            commit(&lake, &models, text).await;
        }
        let warehouse = warehouse(json!([
            // The commit in gold, one before it, one after it, one from before the times.
            loaded(days[0], 1, json!("2010-12-05 06:07:08")),
            loaded(days[1], 9, json!("2010-12-05 06:07:07")),
            loaded(days[2], 2, json!("2010-12-05 06:07:20")),
            loaded(days[3], 2, Value::Null),
        ]));

        let answer = december_into(&warehouse, &lake, &executions, "2010-12-04").await.unwrap();

        let expected = Reloaded { model: MODEL.to_owned(), started: 4, restored: 2, absent: 0 };
        assert_eq!(answer, expected);
        let results = inputs(&executions).into_iter().map(|mut input| input["transform"].take());
        let times: Vec<_> = results.map(|mut input| input["result"]["planned_at"].take()).collect();
        assert_eq!(
            times,
            [
                "2010-12-05T06:07:08Z",
                "2010-12-05T06:07:08Z",
                "2010-12-05T06:07:20.000001Z",
                "2010-12-05T06:08:00.000001Z",
            ]
        );
    }

    #[tokio::test]
    async fn an_outage_of_the_warehouse_starts_nothing() {
        let (lake, executions, models) =
            (MemoryStore::default(), MemoryExecutions::default(), models());
        commit(&lake, &models, "2010-12-01").await;
        let down = RecordingWarehouse::answering(|_| {
            let operation = "BatchExecuteStatement";
            Err(WarehouseError::Request { operation, source: "timed out".into() })
        });
        let failure = december_into(&down, &lake, &executions, "2010-12-01").await.unwrap_err();
        let text = failure.to_string();
        assert!(!failure.is_permanent() && text.contains("run the same reload again"), "{text}");
        assert!(executions.is_empty());
    }

    #[tokio::test]
    async fn a_failed_reload_may_be_repeated() {
        let (lake, executions, models) =
            (MemoryStore::default(), MemoryExecutions::default(), models());
        for text in ["2010-12-01", "2010-12-02"] {
            commit(&lake, &models, text).await;
        }
        executions.fail([None, Some(Fault::Refused)]);
        let failure = december(&lake, &executions, "2010-12-02").await.unwrap_err();
        assert!(
            !failure.is_permanent() && failure.to_string().contains("run the same reload again"),
            "{failure}"
        );

        assert_eq!(december(&lake, &executions, "2010-12-02").await.unwrap().started, 2);
        assert_eq!(inputs(&executions).len(), 3);
    }

    #[tokio::test]
    async fn an_outage_of_the_lake_is_retryable() {
        let lake = MemoryStore::default();
        lake.fail([true]);
        assert!(
            !december(&lake, &MemoryExecutions::default(), "2010-12-01")
                .await
                .unwrap_err()
                .is_permanent()
        );
    }

    #[tokio::test]
    async fn an_object_that_no_job_wrote_is_named() {
        let (lake, executions) = (MemoryStore::default(), MemoryExecutions::default());
        let key = "gold/total_sales_by_region_product/business_date=2010-12-01/data.parquet";
        lake.put(key, "rows".into(), Metadata::new(), Condition::Always).await.unwrap();
        let failure = december(&lake, &executions, "2010-12-01").await.unwrap_err();
        assert!(failure.is_permanent(), "{failure}");
        assert!(
            failure.to_string().starts_with(key) && failure.to_string().contains("delete it"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn a_day_that_fails_keeps_no_other_day_back() {
        let (lake, executions, models) =
            (MemoryStore::default(), MemoryExecutions::default(), models());
        for text in ["2010-12-01", "2010-12-03", "2010-12-04"] {
            commit(&lake, &models, text).await;
        }
        let broken = "gold/total_sales_by_region_product/business_date=2010-12-02/data.parquet";
        lake.put(broken, "rows".into(), Metadata::new(), Condition::Always).await.unwrap();
        executions.fail([None, Some(Fault::Refused)]);

        let failure = december(&lake, &executions, "2010-12-04").await.unwrap_err();

        let text = failure.to_string();
        assert!(!failure.is_permanent(), "the third day may succeed: {text}");
        assert!(text.starts_with(broken) && text.contains("business_date=2010-12-03/"), "{text}");
        let shown = inputs(&executions);
        let days: Vec<_> =
            shown.iter().map(|input| &input["transform"]["result"]["partition"]).collect();
        assert_eq!(days, ["2010-12-01", "2010-12-04"]);
    }

    #[tokio::test]
    async fn an_outage_ends_a_reload_early() {
        let (lake, executions) = (MemoryStore::default(), MemoryExecutions::default());
        commit(&lake, &models(), "2010-12-11").await;
        // The days before it.
        lake.fail([true; 10]);
        let failure = december(&lake, &executions, "2010-12-11").await.unwrap_err();
        assert!(!failure.is_permanent() && executions.is_empty(), "{failure}");
    }

    #[tokio::test]
    async fn an_invalid_reload_is_permanent() {
        let silver = models().iter().find(|model| model.warehouse.is_none()).unwrap().name.clone();
        for (model, from, to, expected) in [
            ("totals", "2010-12-01", "2010-12-01", "unknown model"),
            (silver.as_str(), "2010-12-01", "2010-12-01", "only serves other models"),
            (MODEL, "2010-12-02", "2010-12-01", "1 to 366 partitions"),
            (MODEL, "2010-12-01", "2011-12-02", "1 to 366 partitions"),
        ] {
            let (lake, executions) = (MemoryStore::default(), MemoryExecutions::default());
            let failure = reload(
                &models().index(),
                &lake,
                &warehouse(json!([])),
                &executions,
                model.to_owned(),
                (day(from), day(to)),
                now(),
            )
            .await
            .unwrap_err();
            assert!(failure.is_permanent() && failure.to_string().contains(expected), "{failure}");
        }
        // The longest there is.
        let (lake, executions) = (MemoryStore::default(), MemoryExecutions::default());
        let year = reload(
            &models().index(),
            &lake,
            &warehouse(json!([])),
            &executions,
            MODEL.to_owned(),
            (day("2011-03-01"), day("2012-02-29")),
            now(),
        )
        .await;
        assert_eq!(year.unwrap().absent, 366);
    }
}
