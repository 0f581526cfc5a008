//! Copies partitions to the warehouse.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    LoadError, LoadOutcome, Loaded, PartitionCopy,
    copy::{REPORT, Record, Report},
};
use crate::{
    CheckResults, MartColumn, Recorded, Rows, TableName, Warehouse, WarehouseError,
    table::{CatalogColumn, columns_query, plan},
};

/// Copies gold partitions to the warehouse. It remembers the tables that need no DDL, so keep one
/// for the life of the process.
pub struct Loader {
    warehouse: Arc<dyn Warehouse>,
    tables: Mutex<HashMap<TableName, Vec<MartColumn>>>,
}

impl Loader {
    /// Returns a loader for `warehouse`.
    pub fn new(warehouse: Arc<dyn Warehouse>) -> Self {
        Self { warehouse, tables: Mutex::default() }
    }

    /// Replaces the partition in its table with the rows of the gold object, unless the warehouse
    /// has the same or a newer version. Records the results of its checks, in the same transaction
    /// as the copy.
    ///
    /// Copies may run concurrently and repeatedly, also those of one partition.
    pub async fn load(
        &self,
        copy: &PartitionCopy,
        checks: &CheckResults,
    ) -> Result<Loaded, LoadError> {
        if copy.version == 0 {
            return Err(LoadError::NoVersion {
                model: copy.model.clone(),
                partition: copy.partition.value.clone(),
            });
        }
        let known = self.look(copy, checks).await?;
        // Versions only grow, so an old version needs no COPY.
        if let Some(record) = known.record
            && let Some(outcome) = not_newer(copy.version, record.version)
        {
            let checks = self.record(checks).await?;
            return Ok(Loaded { outcome, rows: record.row_count.unwrap_or_default(), checks });
        }
        self.register(copy, checks, &known).await?;
        self.ensure_table(copy).await?;
        let copied = self.copy(copy, checks).await;
        if copied.is_err() {
            // The table may have changed since.
            self.tables().remove(&copy.table);
        }
        copied.map_err(|error| error.of(copy))
    }

    /// Records the results of the checks of a partition without a copy.
    pub async fn record(&self, checks: &CheckResults) -> Result<Recorded, WarehouseError> {
        checks.record(self.warehouse.as_ref()).await
    }

    async fn look(&self, copy: &PartitionCopy, checks: &CheckResults) -> Result<Known, LoadError> {
        let mut answers =
            self.warehouse.transaction(vec![copy.record(), checks.report()]).await?.into_iter();
        let mut rows = || -> Rows { answers.next().flatten().unwrap_or_default() };
        Ok(Known {
            record: rows().decode::<Record>()?.pop(),
            checks_are_registered: !rows().is_empty(),
        })
    }

    /// Inserts the missing rows of both guards in one transaction, whose locks come first.
    async fn register(
        &self,
        copy: &PartitionCopy,
        checks: &CheckResults,
        known: &Known,
    ) -> Result<(), WarehouseError> {
        let (mut locks, mut inserts) = (Vec::new(), Vec::new());
        if known.record.is_none() {
            locks.extend(PartitionCopy::lock());
            inserts.push(copy.register());
        }
        if !known.checks_are_registered {
            locks.extend(CheckResults::lock());
            inserts.push(checks.register());
        }
        if !inserts.is_empty() {
            self.warehouse.transaction(locks.into_iter().chain(inserts).collect()).await?;
        }
        Ok(())
    }

    async fn copy(&self, copy: &PartitionCopy, checks: &CheckResults) -> Result<Loaded, LoadError> {
        // The rows are claimed before the results, as in the registration: so two copies cannot
        // deadlock.
        let statements = copy.statements().into_iter().chain(checks.statements()).collect();
        let mut results = self.warehouse.transaction(statements).await?;
        let report = results.get_mut(REPORT).and_then(Option::take).unwrap_or_default();
        let Some(Report { record, staged_rows }) = report.decode()?.pop() else {
            return Err(LoadError::NotRegistered {
                model: copy.model.clone(),
                partition: copy.partition.value.clone(),
            });
        };
        let checks = checks.read(results)?.ok_or_else(|| checks.not_registered())?;
        // A version without its row count is the one that this transaction was loading; every other
        // one was loaded before.
        let (outcome, rows) = match record.row_count {
            None => (LoadOutcome::Loaded, staged_rows),
            Some(rows) if record.version == copy.version => (LoadOutcome::AlreadyLoaded, rows),
            Some(rows) => (LoadOutcome::Superseded, rows),
        };
        Ok(Loaded { outcome, rows, checks })
    }

    /// Creates the table, or adds the columns it lacks.
    async fn ensure_table(&self, copy: &PartitionCopy) -> Result<(), LoadError> {
        if self.tables().get(&copy.table).is_some_and(|known| *known == copy.columns) {
            return Ok(());
        }
        match self.alter(copy).await {
            // A concurrent load was faster: the second reading finds the remaining changes.
            Err(LoadError::Warehouse(error)) if error.is_duplicate() => self.alter(copy).await?,
            result => result?,
        }
        self.tables().insert(copy.table.clone(), copy.columns.clone());
        Ok(())
    }

    async fn alter(&self, copy: &PartitionCopy) -> Result<(), LoadError> {
        let existing =
            CatalogColumn::read(self.warehouse.query(columns_query(&copy.table)).await?)?;
        for statements in plan(&copy.table, &existing, &copy.columns, &copy.sort)? {
            let (table, count) = (&copy.table, statements.len());
            tracing::info!(%table, statements = count, "changing a table for its model");
            self.warehouse.transaction(statements).await?;
        }
        Ok(())
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<TableName, Vec<MartColumn>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the warehouse knows of a partition.
struct Known {
    record: Option<Record>,
    checks_are_registered: bool,
}

fn not_newer(version: u64, recorded: u64) -> Option<LoadOutcome> {
    match recorded.cmp(&version) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(LoadOutcome::AlreadyLoaded),
        std::cmp::Ordering::Greater => Some(LoadOutcome::Superseded),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{RecordingWarehouse, Statement, checks::tests, load::copy::tests::december_first};

    type Answer = Result<Vec<Option<Rows>>, WarehouseError>;

    fn rows(rows: Value) -> Rows {
        rows.as_array().unwrap().iter().map(|row| row.as_object().cloned().unwrap()).collect()
    }

    fn no_rows(statements: &[Statement]) -> Answer {
        Ok(vec![None; statements.len()])
    }

    /// The answer to a copy that records its results.
    fn report(statements: &[Statement], row: Value) -> Answer {
        let mut results = vec![None; statements.len()];
        results[REPORT] = Some(rows(json!([row])));
        *results.last_mut().unwrap() = Some(rows(json!([{"is_this_run": 1}])));
        Ok(results)
    }

    async fn load(warehouse: &Arc<RecordingWarehouse>, version: u64) -> Result<Loaded, LoadError> {
        Loader::new(warehouse.clone())
            .load(&december_first(version), &tests::december_first(version))
            .await
    }

    /// A warehouse that holds `version` of the partition, in a table with all columns, and reports
    /// `copied` of a copy. It knows the partition's checks if it knows the partition.
    fn holding(version: Option<u64>, copied: Value) -> Arc<RecordingWarehouse> {
        Arc::new(RecordingWarehouse::answering(move |statements| {
            let first = statements[0].sql();
            if first.starts_with("select version") {
                let record = version.map(|version| json!({"version": version, "row_count": 11}));
                let run = version.map(|_| json!({"is_this_run": 0}));
                Ok([json!(Vec::from_iter(record)), json!(Vec::from_iter(run))]
                    .map(rows)
                    .map(Some)
                    .to_vec())
            } else if first.starts_with("update shoplake.check_runs") {
                Ok(vec![None, None, None, Some(rows(json!([{"is_this_run": 1}])))])
            } else if first.contains("information_schema") {
                Ok(vec![Some(rows(catalog()))])
            } else if first.starts_with("create temporary table") {
                report(statements, copied.clone())
            } else {
                no_rows(statements)
            }
        }))
    }

    fn catalog() -> Value {
        let column = |name: &str, data_type: &str, precision: Option<u8>, scale: Option<u8>| {
            json!({
                "column_name": name,
                "data_type": data_type,
                "numeric_precision": precision,
                "numeric_scale": scale,
            })
        };
        json!([
            column("shop_id", "character varying", None, None),
            column("business_date", "date", None, None),
            column("net", "numeric", Some(18), Some(4)),
        ])
    }

    /// The first word or two of each transaction.
    fn outline(warehouse: &RecordingWarehouse) -> Vec<String> {
        warehouse.transactions().iter().map(|statements| head(&statements[0])).collect()
    }

    fn head(statement: &Statement) -> String {
        statement.sql().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn given_a_new_partition_when_loaded_then_it_is_registered_before_it_is_copied() {
        let warehouse = holding(None, json!({"version": 1, "row_count": null, "staged_rows": 3}));

        let loaded = load(&warehouse, 1).await.unwrap();

        assert_eq!(
            loaded,
            Loaded { outcome: LoadOutcome::Loaded, rows: 3, checks: Recorded::Recorded }
        );
        assert_eq!(
            outline(&warehouse),
            ["select version,", "lock table", "select cast(column_name", "create temporary"]
        );
        let registered: Vec<_> = warehouse.transactions()[1].iter().map(head).collect();
        assert_eq!(registered, ["lock table", "lock table", "insert into", "insert into"]);
        let copied = warehouse.transactions().pop().unwrap();
        let results =
            copied.iter().filter(|statement| statement.sql().contains("shoplake.check_results"));
        assert_eq!(results.count(), 2, "the results are replaced in the transaction of the rows");
    }

    #[tokio::test]
    async fn given_the_same_or_a_newer_version_when_loaded_then_only_the_results_are_recorded() {
        for (held, expected) in [(5, LoadOutcome::AlreadyLoaded), (6, LoadOutcome::Superseded)] {
            let warehouse = holding(Some(held), json!({}));
            let loaded = load(&warehouse, 5).await.unwrap();
            assert_eq!(loaded, Loaded { outcome: expected, rows: 11, checks: Recorded::Recorded });
            assert_eq!(outline(&warehouse), ["select version,", "update shoplake.check_runs"]);
        }
    }

    #[tokio::test]
    async fn given_a_newer_version_that_wins_meanwhile_when_loaded_then_the_copy_says_so() {
        for (winner, expected) in [(5, LoadOutcome::AlreadyLoaded), (9, LoadOutcome::Superseded)] {
            let warehouse =
                holding(Some(4), json!({"version": winner, "row_count": 8, "staged_rows": 3}));
            let loaded = load(&warehouse, 5).await.unwrap();
            assert_eq!(loaded, Loaded { outcome: expected, rows: 8, checks: Recorded::Recorded });
        }
    }

    #[tokio::test]
    async fn given_a_second_partition_when_loaded_then_the_table_is_not_looked_at_again() {
        let warehouse =
            holding(Some(1), json!({"version": 2, "row_count": null, "staged_rows": 3}));
        let loader = Loader::new(warehouse.clone());
        for version in [2, 3] {
            loader.load(&december_first(version), &tests::december_first(version)).await.unwrap();
        }
        assert_eq!(
            outline(&warehouse),
            [
                "select version,",
                "select cast(column_name",
                "create temporary",
                "select version,",
                "create temporary"
            ]
        );
    }

    #[tokio::test]
    async fn given_a_model_that_gained_a_column_when_loaded_then_its_table_does_before_the_copy() {
        let warehouse =
            holding(Some(1), json!({"version": 2, "row_count": null, "staged_rows": 3}));
        let mut copy = december_first(2);
        copy.columns.push(MartColumn {
            name: "units".parse().unwrap(),
            column_type: "bigint".parse().unwrap(),
        });
        Loader::new(warehouse.clone()).load(&copy, &tests::december_first(2)).await.unwrap();
        assert_eq!(
            outline(&warehouse),
            ["select version,", "select cast(column_name", "alter table", "create temporary"]
        );
    }

    #[tokio::test]
    async fn given_a_copy_that_fails_when_loaded_again_then_the_table_is_looked_at_again() {
        let warehouse = Arc::new(RecordingWarehouse::answering(|statements| {
            let first = statements[0].sql();
            if first.starts_with("select version") {
                let known =
                    [json!([{"version": 0, "row_count": null}]), json!([{"is_this_run": 0}])];
                Ok(known.map(rows).map(Some).to_vec())
            } else if first.contains("information_schema") {
                Ok(vec![Some(rows(catalog()))])
            } else {
                Err(WarehouseError::RolledBack {
                    id: "e".into(),
                    total: statements.len(),
                    message: "the table is gone".into(),
                })
            }
        }));
        let loader = Loader::new(warehouse.clone());
        let checks = tests::december_first(1);
        assert!(!loader.load(&december_first(1), &checks).await.unwrap_err().is_permanent());
        assert!(loader.load(&december_first(1), &checks).await.is_err());
        assert_eq!(
            outline(&warehouse).iter().filter(|head| head.contains("column_name")).count(),
            2
        );
    }

    #[tokio::test]
    async fn a_value_that_does_not_fit_fails_for_good_and_the_error_says_where() {
        for (message, is_permanent) in [
            ("numeric field overflow", true),
            ("terminating connection due to administrator command", false),
        ] {
            let warehouse = Arc::new(RecordingWarehouse::answering(move |statements| {
                let first = statements[0].sql();
                if first.starts_with("create temporary table") {
                    Err(WarehouseError::Statement {
                        id: "e".into(),
                        number: 2,
                        total: statements.len(),
                        sql: statements[1].sql().to_owned(),
                        message: message.into(),
                    })
                } else if first.starts_with("select version") {
                    let known =
                        [json!([{"version": 0, "row_count": null}]), json!([{"is_this_run": 0}])];
                    Ok(known.map(rows).map(Some).to_vec())
                } else if first.contains("information_schema") {
                    Ok(vec![Some(rows(catalog()))])
                } else {
                    no_rows(statements)
                }
            }));
            let error = load(&warehouse, 1).await.unwrap_err();
            assert_eq!(error.is_permanent(), is_permanent, "{error}");
            let text = error.to_string();
            assert_eq!(
                text.starts_with("total_sales 2010-12-01 does not fit"),
                is_permanent,
                "{text}"
            );
            assert!(text.contains(message), "{text}");
        }
    }

    #[tokio::test]
    async fn given_a_model_with_wider_numbers_when_loaded_then_its_table_gets_them_before_the_copy()
    {
        let warehouse =
            holding(Some(1), json!({"version": 2, "row_count": null, "staged_rows": 3}));
        let mut copy = december_first(2);
        copy.columns[2].column_type = "decimal(38,4)".parse().unwrap();
        Loader::new(warehouse.clone()).load(&copy, &tests::december_first(2)).await.unwrap();
        assert_eq!(
            outline(&warehouse),
            ["select version,", "select cast(column_name", "alter table", "create temporary"]
        );
        let altered: Vec<_> = warehouse.transactions()[2].iter().map(head).collect();
        assert_eq!(
            altered,
            ["alter table", "update \"sales\".\"total_sales\"", "alter table", "alter table"]
        );
    }

    #[tokio::test]
    async fn given_version_zero_when_loaded_then_it_is_refused_for_good() {
        let warehouse = holding(None, json!({}));
        assert!(load(&warehouse, 0).await.unwrap_err().is_permanent());
    }
}
