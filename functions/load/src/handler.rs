//! The handler of the function, without Lambda and AWS.

use std::{fmt::Display, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use shoplake_index::ModelIndex;
use shoplake_jobs::{
    CheckRun, FailedCheck, JobOutcome, JobResult, LoadRequest, Partition, Severity,
};
use shoplake_lake::{Store, state};
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::{EVENT_TO_KPI, Metrics};
use shoplake_warehouse::{
    CheckFailure, CheckResult, CheckResults, Comments, Literal, LoadError, LoadOutcome, Loader,
    MartColumn, PartitionCopy, Recorded, WarehouseError,
};

/// The function with its ports.
pub struct Load {
    /// Copies partitions.
    pub loader: Loader,
    /// The lake, for the states of partitions. The warehouse reads the rows.
    pub store: Arc<dyn Store>,
    /// The deployed models, whose descriptions become comments of their tables.
    pub models: ModelIndex,
    /// The lake's bucket.
    pub bucket: String,
    /// The ARN of the role with which Redshift reads the bucket.
    pub role: Literal,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The function's metrics.
    pub metrics: Metrics,
}

/// The output of the function.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The model.
    pub model: String,
    /// Its partition.
    pub partition: Partition,
    /// The result of the copy; none without a partition to copy.
    pub load: Option<CopyResponse>,
    /// The result of recording the checks; none if no check ran.
    pub checks: Option<CheckResponse>,
}

/// The result of a copy.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct CopyResponse {
    /// The version of the commit.
    pub version: u64,
    /// How the copy ended.
    pub outcome: LoadOutcome,
    /// The rows that the warehouse has for the partition.
    pub rows: u64,
}

/// The result of recording the checks of a job.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct CheckResponse {
    /// How the recording ended.
    pub outcome: Recorded,
    /// The number of checks that passed.
    pub passed: usize,
    /// The number of checks that failed.
    pub failed: usize,
}

impl Load {
    /// Copies the partition that the job committed, if it did and its model has a table, and
    /// records the results of its checks. The state of the partition then has the version as
    /// loaded, or the results of a job without a commit as recorded.
    ///
    /// # Errors
    /// When `event` is not the result of a job, or the warehouse or the lake fails.
    pub async fn handle(&self, event: Value) -> Result<Response, Failure> {
        let result: JobResult = serde_json::from_value(event).map_err(invalid)?;
        // A job that ended in a conflict ran no checks and has no rows to copy.
        let checks = (!result.checks.is_empty()).then(|| checks(&result));
        let copy = result.load.as_ref().map(|request| self.copy(&result, request)).transpose()?;
        let (load, recorded) = match (&copy, &checks) {
            (Some(copy), Some(checks)) => {
                let loaded = self.loader.load(copy, checks).await.map_err(failure)?;
                let copied = CopyResponse {
                    version: copy.version,
                    outcome: loaded.outcome,
                    rows: loaded.rows,
                };
                (Some(copied), Some(loaded.checks))
            }
            (None, Some(checks)) => {
                (None, Some(self.loader.record(checks).await.map_err(unavailable)?))
            }
            (Some(_), None) => {
                return Err(invalid("a result with rows to load needs the checks that ran"));
            }
            (None, None) => (None, None),
        };
        tracing::info!(
            job = result.job,
            model = result.model,
            partition = %result.partition,
            version = result.version,
            planned_at = %result.planned_at,
            load = ?load,
            checks = ?recorded,
            "load"
        );
        if load.as_ref().is_some_and(|copied| copied.outcome == LoadOutcome::Loaded) {
            self.measure(&result);
        }
        // A commit of a model without a table owes the results of its checks alone. A job without a
        // commit has the version of the next one, which is not loaded.
        state::update(self.store.as_ref(), &result.model, result.partition, |state| {
            match result.outcome {
                JobOutcome::Committed => state.load(result.version),
                JobOutcome::Unchanged | JobOutcome::Conflict => state.record_checks(&result.job),
            }
        })
        .await
        .map_err(Failure::retryable)?;
        let failed = result.failed_checks.len();
        Ok(Response {
            load,
            checks: recorded.map(|outcome| CheckResponse {
                outcome,
                passed: result.checks.len() - failed,
                failed,
            }),
            model: result.model,
            partition: result.partition,
        })
    }

    /// Emits the time from the receipt of the oldest loaded event until now, when queries see it.
    fn measure(&self, result: &JobResult) {
        if let Some(received_at) = result.received_at {
            let seconds = (self.clock.now() - received_at).as_seconds_f64().max(0.0);
            self.metrics.emit_of_model(&result.model, &[(EVENT_TO_KPI, seconds)]);
        }
    }

    /// Returns the copy of the commit of `result`. The results of its checks have the same time of
    /// planning, so that the warehouse shows rows and results of one job.
    fn copy(&self, result: &JobResult, request: &LoadRequest) -> Result<PartitionCopy, Failure> {
        let columns = request
            .columns
            .iter()
            .map(|column| {
                Ok(MartColumn { name: column.name.parse()?, column_type: column.column_type })
            })
            .collect::<Result<_, shoplake_warehouse::InvalidIdentifier>>()
            .map_err(invalid)?;
        Ok(PartitionCopy {
            model: request.model.clone(),
            table: request.warehouse.parse().map_err(invalid)?,
            columns,
            sort: request
                .sort
                .iter()
                .map(|column| column.parse())
                .collect::<Result<_, _>>()
                .map_err(invalid)?,
            comments: self.models.get(&request.model).map(Comments::from).unwrap_or_default(),
            partition_column: request.partition.column.parse().map_err(invalid)?,
            partition: request.partition.value,
            planned_at: result.planned_at,
            version: request.version,
            source: Literal::new(format!("s3://{}/{}", self.bucket, request.key))
                .map_err(invalid)?,
            key: request.key.clone(),
            role: self.role.clone(),
        })
    }
}

/// Returns the results of the job's checks for the warehouse.
fn checks(result: &JobResult) -> CheckResults {
    let failure = |check: &CheckRun| {
        let failed = result.failed_checks.iter().find(|failed| failed.name == check.name)?;
        Some(CheckFailure {
            rows: failed.rows,
            shops: failed.shops.clone(),
            sample: sample(failed),
        })
    };
    let checks = result.checks.iter().map(|check| CheckResult {
        name: check.name.clone(),
        severity: match check.severity {
            Severity::Error => "error",
            Severity::Warn => "warn",
        },
        description: check.description.clone(),
        failure: failure(check),
    });
    CheckResults {
        model: result.model.clone(),
        partition: result.partition.to_string(),
        job: result.job.clone(),
        version: result.version,
        planned_at: result.planned_at,
        checks: checks.collect(),
    }
}

fn sample(failed: &FailedCheck) -> Vec<String> {
    failed.sample.iter().map(|row| serde_json::json!(row).to_string()).collect()
}

fn invalid(error: impl Display) -> Failure {
    Failure::permanent(format!("expected the result of the transform function: {error}"))
}

fn unavailable(error: WarehouseError) -> Failure {
    failure(error.into())
}

fn failure(error: LoadError) -> Failure {
    if error.is_permanent() { Failure::permanent(error) } else { Failure::retryable(error) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shoplake_lake::MemoryStore;
    use shoplake_lake::state::PartitionState;
    use shoplake_platform::clock::ManualClock;
    use shoplake_platform::metrics::MemorySink;
    use shoplake_warehouse::{RecordingWarehouse, Rows, WarehouseError};

    use super::*;

    /// The result of a job that has committed, with one check that passed and one that failed.
    fn event() -> Value {
        json!({
            "outcome": "committed",
            "model": "total_sales",
            "partition": "2010-12-01",
            "job": "0a1b2c",
            "version": 4,
            "planned_at": "2010-12-02T03:04:05Z",
            "received_at": "2010-12-02T03:03:40.5Z",
            "rows": 3,
            "checks": [
                {"name": "total_sales_key_is_unique", "severity": "error",
                 "description": "no key occurs twice"},
                {"name": "nothing_is_given_away", "severity": "warn",
                 "description": "all has a price"},
            ],
            "failed_checks": [
                {"name": "nothing_is_given_away", "severity": "warn", "rows": 7,
                 "shops": ["acme"], "sample": [{"product_id": "p1"}, {"product_id": null}]},
            ],
            "load": {
                "model": "total_sales",
                "warehouse": "sales.total_sales",
                "partition": {"column": "business_date", "type": "date", "value": "2010-12-01"},
                "key": "gold/total_sales/business_date=2010-12-01/data.parquet",
                "version": 4,
                "columns": [{"name": "shop_id", "type": "string"},
                            {"name": "business_date", "type": "date"}],
                "sort": ["shop_id", "business_date"],
            },
            "notify": null,
        })
    }

    /// The same result with one value replaced.
    fn event_with(pointer: &str, value: Value) -> Value {
        let mut event = event();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    }

    fn rows(row: Value) -> Option<Rows> {
        Some(row.as_object().cloned().into_iter().collect())
    }

    /// A warehouse without the model, which loads three rows of it.
    fn empty() -> Arc<RecordingWarehouse> {
        Arc::new(RecordingWarehouse::answering(|statements| {
            Ok(statements
                .iter()
                .map(|statement| match statement.sql() {
                    sql if sql.contains("staged_rows\nfrom") => rows(json!({
                        "version": 4,
                        "planned_at": "2010-12-02 03:04:05",
                        "loaded_at": null,
                        "row_count": null,
                        "staged_rows": 3,
                    })),
                    sql if sql.contains("is_this_run") && statements.len() > 2 => {
                        rows(json!({"is_this_run": 1}))
                    }
                    sql if sql.starts_with("select") => rows(Value::Null),
                    _ => None,
                })
                .collect())
        }))
    }

    fn handler(warehouse: Arc<RecordingWarehouse>) -> Load {
        measured(warehouse).0
    }

    /// The handler at 03:04:10, and its metrics.
    fn measured(warehouse: Arc<RecordingWarehouse>) -> (Load, Arc<MemorySink>) {
        let sink = Arc::new(MemorySink::default());
        let load = Load {
            loader: Loader::new(warehouse),
            store: Arc::new(MemoryStore::default()),
            models: ModelIndex::default(),
            bucket: "lake".into(),
            role: Literal::new("arn:aws:iam::000000000000:role/copy").unwrap(),
            clock: Arc::new(ManualClock::new("2010-12-02T03:04:10Z".parse().unwrap())),
            metrics: Metrics::new("load", sink.clone()),
        };
        (load, sink)
    }

    #[tokio::test]
    async fn a_committed_partition_is_copied_from_the_lake() {
        let warehouse = empty();

        let response = handler(warehouse.clone()).handle(event()).await.unwrap();

        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({
                "model": "total_sales",
                "partition": "2010-12-01",
                "load": {"version": 4, "outcome": "loaded", "rows": 3},
                "checks": {"outcome": "recorded", "passed": 1, "failed": 1},
            })
        );
        let statements: Vec<_> = warehouse.transactions().into_iter().flatten().collect();
        let copied = statements.iter().any(|statement| {
            statement
                .sql()
                .contains("from 's3://lake/gold/total_sales/business_date=2010-12-01/data.parquet'")
        });
        assert!(copied);
        let claim =
            statements.iter().find(|statement| statement.sql().contains("gold_key =")).unwrap();
        assert_eq!(claim.parameters()["planned_at"], "2010-12-02 03:04:05.000000");
        assert_eq!(claim.parameters()["version"], "4");
    }

    #[tokio::test]
    async fn a_bucket_replaces_the_rows_of_its_bucket() {
        let warehouse = empty();
        let mut event = event_with("/partition", json!("0007"));
        event["load"]["partition"] = json!({"column": "bucket", "type": "bucket", "value": "0007"});
        let response = handler(warehouse.clone()).handle(event).await.unwrap();
        assert_eq!(response.partition.to_string(), "0007");
        let statements: Vec<_> = warehouse.transactions().into_iter().flatten().collect();
        let deletion = statements
            .iter()
            .find(|statement| statement.sql().starts_with("delete from \"sales\""));
        assert!(deletion.unwrap().sql().contains("where \"bucket\" = 7\n"));
    }

    #[tokio::test]
    async fn the_state_has_the_version_that_was_loaded() {
        let store = Arc::new(MemoryStore::default());
        let loaded = async || {
            let partition = "2010-12-01".parse().unwrap();
            state::read(store.as_ref(), "total_sales", partition).await.unwrap().state.loaded
        };
        let down = RecordingWarehouse::answering(|_| {
            Err(WarehouseError::Request {
                operation: "BatchExecuteStatement",
                source: "timed out".into(),
            })
        });
        let load = |warehouse| Load { store: store.clone(), ..handler(warehouse) };
        load(Arc::new(down)).handle(event()).await.unwrap_err();
        let mut unchanged = event_with("/load", Value::Null);
        unchanged["outcome"] = json!("unchanged");
        load(empty()).handle(unchanged).await.unwrap();
        assert_eq!(loaded().await, 0);
        load(empty()).handle(event()).await.unwrap();
        assert_eq!(loaded().await, 4);

        store.fail([true]);
        let failure = load(empty()).handle(event()).await.unwrap_err();
        assert!(!failure.is_permanent(), "the next attempt records it: {failure}");
    }

    #[tokio::test]
    async fn a_commit_without_a_table_is_loaded_once_its_checks_are_recorded() {
        let store = Arc::new(MemoryStore::default());
        let partition = "2010-12-01".parse().unwrap();
        let change = |state: &mut PartitionState| {
            state.found_commit(4);
            (state.published, state.notified) = (4, 4);
        };
        state::update(store.as_ref(), "total_sales", partition, change).await.unwrap();
        let is_settled = async || {
            let stored = state::read(store.as_ref(), "total_sales", partition).await.unwrap();
            stored.state.is_settled()
        };
        let load = |warehouse| Load { store: store.clone(), ..handler(warehouse) };
        let event = event_with("/load", Value::Null);
        let down = RecordingWarehouse::answering(|_| {
            Err(WarehouseError::Request {
                operation: "BatchExecuteStatement",
                source: "timed out".into(),
            })
        });

        load(Arc::new(down)).handle(event.clone()).await.unwrap_err();
        assert!(!is_settled().await, "the sweep has the results recorded");
        load(empty()).handle(event).await.unwrap();
        assert!(is_settled().await);
    }

    #[tokio::test]
    async fn check_results_without_a_commit_are_owed_until_they_are_recorded() {
        let store = Arc::new(MemoryStore::default());
        let partition = "2010-12-01".parse().unwrap();
        let unrecorded = async |job: &str| {
            state::update(
                store.as_ref(),
                "total_sales",
                partition,
                |state: &mut PartitionState| {
                    state.unrecorded = Some(job.to_owned());
                },
            )
            .await
            .unwrap();
            let mut event = event_with("/load", Value::Null);
            event["outcome"] = json!("unchanged");
            Load { store: store.clone(), ..handler(empty()) }.handle(event).await.unwrap();
            state::read(store.as_ref(), "total_sales", partition).await.unwrap().state.unrecorded
        };
        assert_eq!(unrecorded("0a1b2c").await, None);
        assert_eq!(unrecorded("newer").await.as_deref(), Some("newer"));
    }

    #[tokio::test]
    async fn a_new_table_has_the_descriptions_of_its_model() {
        let model = json!({
            "name": "total_sales", "partition": "business_date", "key": ["shop_id"],
            "warehouse": "sales.total_sales", "checks": [], "references": [],
            "grain": "one row per shop and day", "columns": {"shop_id": "The shop's id."},
            "kind": "day", "inputs": [], "first": [], "every_seconds": 0,
        });
        let index = json!({"models": [model], "views": [], "references": {}});
        let models = serde_json::from_value(index).unwrap();
        let warehouse = empty();
        let load = Load { models, ..handler(warehouse.clone()) };
        load.handle(event()).await.unwrap();
        let statements: Vec<_> = warehouse.transactions().into_iter().flatten().collect();
        let comments: Vec<_> = statements
            .iter()
            .map(|statement| statement.sql())
            .filter(|sql| sql.starts_with("comment on"))
            .collect();
        assert_eq!(
            comments,
            [
                "comment on table \"sales\".\"total_sales\" is 'One row per shop and day.'",
                "comment on column \"sales\".\"total_sales\".\"shop_id\" is 'The shop''s id.'",
            ]
        );

        let warehouse = empty();
        handler(warehouse.clone()).handle(event()).await.unwrap();
        let statements: Vec<_> = warehouse.transactions().into_iter().flatten().collect();
        assert!(
            statements.iter().all(|statement| !statement.sql().starts_with("comment on")),
            "the index lacks the model"
        );
    }

    #[tokio::test]
    async fn a_load_measures_the_delay_of_its_oldest_event() {
        let (load, sink) = measured(empty());
        load.handle(event()).await.unwrap();
        assert_eq!(sink.total(EVENT_TO_KPI), 29.5);
        assert_eq!(sink.lines()[0]["model"], "total_sales");

        for (pointer, value) in [("/received_at", Value::Null), ("/load", Value::Null)] {
            let (load, sink) = measured(empty());
            load.handle(event_with(pointer, value)).await.unwrap();
            assert!(sink.lines().is_empty(), "nothing to measure without {pointer}");
        }
    }

    #[tokio::test]
    async fn failed_checks_are_recorded_with_their_samples() {
        let warehouse = empty();
        handler(warehouse.clone()).handle(event()).await.unwrap();

        let statements: Vec<_> = warehouse.transactions().into_iter().flatten().collect();
        let insert = statements
            .iter()
            .find(|statement| statement.sql().starts_with("insert into shoplake.check_results"))
            .unwrap();
        assert!(
            insert.sql().contains("cast('passed' as varchar(16)) as status, cast(0 as bigint)")
        );
        assert!(
            insert.sql().contains("cast('failed' as varchar(16)) as status, cast(7 as bigint)")
        );
        let parameter = |name| insert.parameters()[name].as_str();
        assert_eq!(parameter("check_name_0"), "total_sales_key_is_unique");
        assert_eq!(parameter("sample_1"), r#"[{"product_id":"p1"},{"product_id":null}]"#);
        assert_eq!(parameter("shops_1"), "acme");
        assert_eq!(parameter("run_planned_at"), "2010-12-02 03:04:05.000000");
    }

    #[tokio::test]
    async fn without_a_commit_only_check_results_are_recorded() {
        for outcome in ["unchanged", "checks_failed"] {
            let warehouse = empty();
            let mut event = event_with("/load", Value::Null);
            event["outcome"] = json!(outcome);
            let response = handler(warehouse.clone()).handle(event).await.unwrap();
            assert_eq!((response.load, response.checks.unwrap().failed), (None, 1));
            let touched: Vec<_> = warehouse.transactions().into_iter().flatten().collect();
            assert!(touched.iter().all(|statement| !statement.sql().contains("shoplake.loads")));
        }
    }

    #[tokio::test]
    async fn a_conflict_touches_nothing() {
        let warehouse = empty();
        let mut event = event_with("/load", Value::Null);
        event["checks"] = json!([]);
        event["failed_checks"] = json!([]);
        let response = handler(warehouse.clone()).handle(event).await.unwrap();
        assert_eq!((response.load, response.checks), (None, None));
        assert_eq!(warehouse.transactions().len(), 0);
    }

    #[tokio::test]
    async fn an_invalid_result_fails_permanently() {
        for event in [
            json!({}),
            json!(null),
            event_with("/load/key", json!("gold/x' iam_role 'y")),
            event_with("/load/warehouse", json!("Sales")),
            event_with("/checks", json!([])),
        ] {
            let failure = handler(empty()).handle(event).await.unwrap_err();
            assert!(failure.is_permanent(), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_warehouse_fault_is_retryable() {
        let down = RecordingWarehouse::answering(|_| {
            Err(WarehouseError::Request {
                operation: "BatchExecuteStatement",
                source: "timed out".into(),
            })
        });
        assert!(!handler(Arc::new(down)).handle(event()).await.unwrap_err().is_permanent());
    }
}
