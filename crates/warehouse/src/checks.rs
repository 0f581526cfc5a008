//! Records the results of checks in `shoplake.check_results`.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{Rows, Statement, Warehouse, WarehouseError, timestamp};

/// The longest description in bytes: the width of the column.
const DESCRIPTION_BYTES: usize = 1_024;

/// The longest list of shops in bytes: the width of the column.
const SHOPS_BYTES: usize = 4_096;

/// The longest sample in bytes: the width of the column.
const SAMPLE_BYTES: usize = 16_384;

/// Selects the rows of the partition, in both tables.
const THIS_PARTITION: &str = "model = cast(:model as varchar(256)) \
     and partition_value = cast(:partition_value as varchar(256))";

/// Holds if the current results are those of this run.
const THIS_RUN: &str = "job = cast(:run_job as varchar(256)) \
     and version = cast(:run_version as bigint) \
     and planned_at = cast(:run_planned_at as timestamp)";

/// The results of all checks of a partition, or of a dataset, in one run.
///
/// The run whose inputs were listed last wins, in whatever order the results arrive: silver only
/// grows, so a later listing has everything that an earlier one has. `planned_at` is the time of
/// the listing by the clock of S3, which all runs share. Between two plans of one second the
/// version decides. The version alone is not enough: a run without a commit (unchanged) has the
/// version of the next commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResults {
    /// The model, or the dataset.
    pub model: String,
    /// Its partition, or `-`.
    pub partition: String,
    /// The id of the job that ran the checks.
    pub job: String,
    /// The number of the commit that the run made, or would have made.
    pub version: u64,
    /// When the inputs were listed.
    pub planned_at: DateTime<Utc>,
    /// The checks.
    pub checks: Vec<CheckResult>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// `error` or `warn`.
    pub severity: &'static str,
    /// What holds for every row, in words.
    pub description: String,
    /// The failure; `None` if the check passed.
    pub failure: Option<CheckFailure>,
}

/// The rows that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure {
    /// The number of rows.
    pub rows: u64,
    /// The first of the shops that they belong to; empty for a dataset as a whole.
    pub shops: Vec<String>,
    /// Some of them, each as a JSON object.
    pub sample: Vec<String>,
}

/// Whether results were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// The results are recorded.
    Recorded,
    /// The results of a later run are recorded already.
    Superseded,
}

/// The row of the last statement of [`CheckResults::statements`]. There is none before the
/// partition is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Report {
    is_this_run: u64,
}

impl CheckResults {
    /// Replaces the results of the partition in one transaction, unless `warehouse` has those of a
    /// later run.
    ///
    /// Runs may be recorded concurrently and repeatedly, also those of one partition.
    ///
    /// # Errors
    /// When a transaction fails. Record them again.
    pub async fn record(&self, warehouse: &dyn Warehouse) -> Result<Recorded, WarehouseError> {
        if let Some(recorded) = self.read(warehouse.transaction(self.statements()).await?)? {
            return Ok(recorded);
        }
        let mut register = Self::lock();
        register.push(self.register());
        warehouse.transaction(register).await?;
        let recorded = self.read(warehouse.transaction(self.statements()).await?)?;
        recorded.ok_or_else(|| self.not_registered())
    }

    /// Reads the last of the results of [`statements`](Self::statements); `None` if the partition
    /// is not registered.
    pub(crate) fn read(
        &self,
        mut results: Vec<Option<Rows>>,
    ) -> Result<Option<Recorded>, WarehouseError> {
        let report = results.pop().flatten().unwrap_or_default().decode::<Report>()?.pop();
        Ok(report.map(|report| {
            if report.is_this_run > 0 { Recorded::Recorded } else { Recorded::Superseded }
        }))
    }

    pub(crate) fn not_registered(&self) -> WarehouseError {
        WarehouseError::NotRegistered {
            model: self.model.clone(),
            partition: self.partition.clone(),
        }
    }

    /// Returns the first statements of a transaction that registers: locks come before its
    /// snapshot.
    pub(crate) fn lock() -> Vec<Statement> {
        vec![Statement::new("lock table shoplake.check_runs")]
    }

    /// Inserts the row of the partition into `shoplake.check_runs` if it is missing.
    ///
    /// Recordings of one partition update that row one after the other: two updates of one row
    /// conflict in every isolation level. Two inserts do not, as Redshift enforces no key. So the
    /// row exists before the first recording, and no code relies on the keys of
    /// `shoplake.check_results`.
    pub(crate) fn register(&self) -> Statement {
        self.name(format!(
            "insert into shoplake.check_runs (model, partition_value)
select cast(:model as varchar(256)), cast(:partition_value as varchar(256))
where not exists (select 1 from shoplake.check_runs where {THIS_PARTITION})"
        ))
    }

    /// Returns the query for the row of the partition: one row, or none if it is not registered.
    pub(crate) fn report(&self) -> Statement {
        self.run(format!(
            "select case when {THIS_RUN} then 1 else 0 end as is_this_run
from shoplake.check_runs
where {THIS_PARTITION}"
        ))
    }

    /// Returns the recording, as part of one transaction. The last statement returns the outcome.
    ///
    /// The second of two concurrent claims waits for the first. Then it sees its run (READ
    /// COMMITTED), or is aborted and run again (SNAPSHOT, SERIALIZABLE). Without the claim, the
    /// other statements change nothing.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        let claimed = format!(
            "exists (select 1 from shoplake.check_runs where {THIS_PARTITION} and {THIS_RUN})"
        );
        let claim = self.run(format!(
            "update shoplake.check_runs
set
    job = cast(:run_job as varchar(256)),
    version = cast(:run_version as bigint),
    planned_at = cast(:run_planned_at as timestamp)
where {THIS_PARTITION}
    and (
        planned_at is null
        or planned_at < cast(:run_planned_at as timestamp)
        or (
            planned_at = cast(:run_planned_at as timestamp)
            and version <= cast(:run_version as bigint)
        )
    )"
        ));
        let replace = self.run(format!(
            "delete from shoplake.check_results\nwhere {THIS_PARTITION}\n    and {claimed}"
        ));
        let mut statements = vec![claim, replace];
        // Without a check there is no row to insert, and an empty `union all` is not a query.
        if !self.checks.is_empty() {
            statements.push(self.insert(&claimed));
        }
        statements.push(self.report());
        statements
    }

    fn insert(&self, claimed: &str) -> Statement {
        let rows: Vec<_> =
            self.checks.iter().enumerate().map(|(number, check)| check.row(number)).collect();
        let insert = self.run(format!(
            "insert into shoplake.check_results (
    model, partition_value, check_name, severity, description, status, failed_rows, shops, sample,
    job, version, checked_at
)
select
    cast(:model as varchar(256)), cast(:partition_value as varchar(256)),
    check_name, severity, description, status, failed_rows, shops, sample,
    cast(:run_job as varchar(256)), cast(:run_version as bigint), getdate()
from (
    {}
) as results
where {claimed}",
            rows.join("\n    union all\n    ")
        ));
        self.checks
            .iter()
            .enumerate()
            .fold(insert, |insert, (number, check)| check.bind(insert, number))
    }

    fn name(&self, sql: String) -> Statement {
        Statement::new(sql).bind("model", &self.model).bind("partition_value", &self.partition)
    }

    fn run(&self, sql: String) -> Statement {
        self.name(sql)
            .bind("run_job", &self.job)
            .bind("run_version", self.version)
            .bind("run_planned_at", timestamp::text(self.planned_at))
    }
}

impl CheckResult {
    /// Returns one row of the results, with parameters for its texts.
    fn row(&self, number: usize) -> String {
        let optional = |name: &str, width: usize, is_there: bool| {
            // The Data API accepts neither null nor '' as a value.
            let value = if is_there { format!(":{name}_{number}") } else { "null".to_owned() };
            format!("cast({value} as varchar({width})) as {name}")
        };
        let (status, rows) =
            self.failure.as_ref().map_or(("passed", 0), |failure| ("failed", failure.rows));
        format!(
            "select cast(:check_name_{number} as varchar(256)) as check_name, \
             cast('{}' as varchar(16)) as severity, {}, cast('{status}' as varchar(16)) as status, \
             cast({rows} as bigint) as failed_rows, {}, {}",
            self.severity,
            optional("description", DESCRIPTION_BYTES, !self.description.is_empty()),
            optional("shops", SHOPS_BYTES, self.shops().is_some()),
            optional("sample", SAMPLE_BYTES, self.failure.is_some()),
        )
    }

    /// Returns the shops as one text; `None` without any.
    fn shops(&self) -> Option<String> {
        let shops = &self.failure.as_ref()?.shops;
        (!shops.is_empty()).then(|| shops.join(", "))
    }

    fn bind(&self, statement: Statement, number: usize) -> Statement {
        let mut statement = statement.bind(format!("check_name_{number}"), &self.name);
        if !self.description.is_empty() {
            statement = statement.bind(
                format!("description_{number}"),
                prefix(&self.description, DESCRIPTION_BYTES),
            );
        }
        if let Some(shops) = self.shops() {
            statement = statement.bind(format!("shops_{number}"), prefix(&shops, SHOPS_BYTES));
        }
        if let Some(failure) = &self.failure {
            statement =
                statement.bind(format!("sample_{number}"), array(&failure.sample, SAMPLE_BYTES));
        }
        statement
    }
}

/// Returns the longest prefix of `text` of at most `bytes` bytes: Redshift measures a varchar in
/// bytes.
fn prefix(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Returns a JSON array of the first objects that fit into `bytes`.
fn array(objects: &[String], bytes: usize) -> String {
    let mut array = "[".to_owned();
    for object in objects {
        let separator = if array.len() > 1 { "," } else { "" };
        if array.len() + separator.len() + object.len() + 1 > bytes {
            break;
        }
        array.push_str(separator);
        array.push_str(object);
    }
    array.push(']');
    array
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::RecordingWarehouse;
    use crate::statement::script;

    pub(crate) fn december_first(version: u64) -> CheckResults {
        CheckResults {
            model: "total_sales".into(),
            partition: "2010-12-01".into(),
            job: "0a1b2c".into(),
            version,
            planned_at: "2010-12-02T03:04:05Z".parse().unwrap(),
            checks: vec![
                CheckResult {
                    name: "total_sales_key_is_unique".into(),
                    severity: "error",
                    description: "no key occurs twice".into(),
                    failure: None,
                },
                CheckResult {
                    name: "nothing_is_given_away".into(),
                    severity: "warn",
                    description: String::new(),
                    failure: Some(CheckFailure {
                        rows: 7,
                        shops: vec!["acme".into(), "zenith".into()],
                        sample: vec![
                            r#"{"product_id":"p1"}"#.into(),
                            r#"{"product_id":null}"#.into(),
                        ],
                    }),
                },
            ],
        }
    }

    #[test]
    fn results_are_recorded_under_a_guard_of_the_run() {
        insta::assert_snapshot!(script(&december_first(7).statements()));
    }

    #[test]
    fn a_registration_starts_with_the_lock() {
        let mut statements = CheckResults::lock();
        statements.push(december_first(7).register());
        insta::assert_snapshot!(script(&statements));
    }

    #[test]
    fn results_without_checks_delete_the_earlier_ones() {
        let results = CheckResults { checks: vec![], ..december_first(7) };
        let statements = results.statements();
        let heads: Vec<_> = statements
            .iter()
            .filter_map(|statement| statement.sql().split_whitespace().next())
            .collect();
        assert_eq!(heads, ["update", "delete", "select"]);
    }

    /// A warehouse in which the partition is registered from the `after`th transaction on, and
    /// shows this run or another.
    fn warehouse(after: usize, is_this_run: u64) -> Arc<RecordingWarehouse> {
        let mut transactions = 0;
        Arc::new(RecordingWarehouse::answering(move |statements| {
            let mut answers = vec![None; statements.len()];
            let report = json!({"is_this_run": is_this_run}).as_object().cloned().unwrap();
            let rows = if transactions >= after { vec![report] } else { vec![] };
            transactions += 1;
            *answers.last_mut().unwrap() = Some(Rows::new(rows));
            Ok(answers)
        }))
    }

    fn heads(warehouse: &RecordingWarehouse) -> Vec<String> {
        let transactions = warehouse.transactions();
        transactions
            .iter()
            .map(|statements| {
                statements[0].sql().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[tokio::test]
    async fn a_registered_partition_takes_one_transaction() {
        for (is_this_run, expected) in [(1, Recorded::Recorded), (0, Recorded::Superseded)] {
            let warehouse = warehouse(0, is_this_run);
            assert_eq!(december_first(7).record(warehouse.as_ref()).await.unwrap(), expected);
            assert_eq!(heads(&warehouse), ["update shoplake.check_runs"]);
        }
    }

    #[tokio::test]
    async fn a_new_partition_is_registered_first() {
        let warehouse = warehouse(2, 1);
        assert_eq!(december_first(7).record(warehouse.as_ref()).await.unwrap(), Recorded::Recorded);
        assert_eq!(
            heads(&warehouse),
            ["update shoplake.check_runs", "lock table", "update shoplake.check_runs"]
        );
    }

    #[tokio::test]
    async fn recording_reports_rows_that_a_concurrent_session_deleted() {
        let error = december_first(7).record(warehouse(9, 1).as_ref()).await.unwrap_err();
        assert!(
            error.to_string().contains("shoplake.check_runs has no row for total_sales 2010-12-01")
        );
    }

    proptest! {
        #[test]
        fn shortened_texts_fit_and_samples_stay_json(
            text in ".{0,60}",
            texts in prop::collection::vec(".{0,20}", 0..6),
            bytes in 2_usize..80,
        ) {
            let kept = prefix(&text, bytes);
            prop_assert!(kept.len() <= bytes && text.starts_with(kept));

            let objects: Vec<_> =
                texts.iter().map(|text| json!({"column": text}).to_string()).collect();
            let array = array(&objects, bytes);
            prop_assert!(array.len() <= bytes);
            let read: Vec<serde_json::Value> = serde_json::from_str(&array).unwrap();
            let same =
                |(object, text): (&serde_json::Value, &String)| object["column"] == text.as_str();
            prop_assert!(read.iter().zip(&texts).all(same));
        }
    }
}
