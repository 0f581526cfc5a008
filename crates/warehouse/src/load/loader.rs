//! Copies partitions to the warehouse.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    LoadError, LoadOutcome, Loaded, PartitionCopy,
    copy::{REPORT, Report},
    record::LoadRecord,
};
use crate::{
    CheckResults, MartColumn, Recorded, Rows, TableName, Warehouse, WarehouseError,
    comments::{CommentedColumn, comments_query},
    statement::transactions,
    table::{CatalogColumn, columns_query, plan},
};

/// Copies gold partitions to the warehouse. It remembers the tables that need no DDL, so keep one
/// for the life of the process.
pub struct Loader {
    warehouse: Arc<dyn Warehouse>,
    tables: Mutex<HashMap<TableName, Vec<MartColumn>>>,
    /// The tables whose comments were refreshed.
    commented: Mutex<HashSet<TableName>>,
}

impl Loader {
    /// Returns a loader for `warehouse`.
    pub fn new(warehouse: Arc<dyn Warehouse>) -> Self {
        Self { warehouse, tables: Mutex::default(), commented: Mutex::default() }
    }

    /// Replaces the partition in its table with the rows of the gold object, unless the warehouse
    /// has the same or a newer commit. Records the results of its checks, in the same transaction
    /// as the copy. Then refreshes the comments of the table.
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
                partition: copy.partition,
            });
        }
        let known = self.look(copy, checks).await?;
        // The recorded commit only gets newer, so an old commit needs no COPY.
        if let Some(record) = known.record
            && let Some(outcome) = not_newer(copy, &record)
        {
            let checks = self.record(checks).await?;
            self.refresh_comments(copy).await;
            return Ok(Loaded { outcome, rows: record.row_count.unwrap_or_default(), checks });
        }
        self.register(copy, checks, &known).await?;
        self.ensure_table(copy).await?;
        let copied = self.copy(copy, checks).await;
        if copied.is_err() {
            // The table may have changed since.
            self.tables().remove(&copy.table);
        }
        let loaded = copied.map_err(|error| error.of(copy))?;
        self.refresh_comments(copy).await;
        Ok(loaded)
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
            record: rows().decode::<LoadRecord>()?.pop(),
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
                partition: copy.partition,
            });
        };
        let checks = checks.read(results)?.ok_or_else(|| checks.not_registered())?;
        // A commit without its row count is the one that this transaction was loading; every other
        // one was loaded before.
        let (outcome, rows) = match record.row_count {
            None => (LoadOutcome::Loaded, staged_rows),
            Some(rows) => (not_newer(copy, &record).unwrap_or(LoadOutcome::Superseded), rows),
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
        let changes = plan(&copy.table, &existing, &copy.columns, &copy.sort, &copy.comments)?;
        for statements in changes {
            let (table, count) = (&copy.table, statements.len());
            tracing::info!(%table, statements = count, "changing a table for its model");
            self.warehouse.transaction(statements).await?;
        }
        Ok(())
    }

    /// Sets the comments of the table that differ from those of the model, once in the life of the
    /// process. Redshift lets only the owner of a table comment on it: that is the user of the
    /// loads, which create the tables, and not that of the migrations.
    ///
    /// A failure is logged: a text never fails a load.
    async fn refresh_comments(&self, copy: &PartitionCopy) {
        if copy.comments.is_empty() || !self.commented().insert(copy.table.clone()) {
            return;
        }
        if let Err(error) = self.set_comments(copy).await {
            let table = &copy.table;
            tracing::warn!(%error, %table, "cannot set the comments of a table");
        }
    }

    async fn set_comments(&self, copy: &PartitionCopy) -> Result<(), WarehouseError> {
        let found = self.warehouse.query(comments_query(&copy.table)).await?;
        let changes = copy.comments.changes(&copy.table, &found.decode::<CommentedColumn>()?);
        for statements in transactions(changes) {
            let (table, count) = (&copy.table, statements.len());
            tracing::info!(%table, statements = count, "setting the comments of a table");
            self.warehouse.transaction(statements).await?;
        }
        Ok(())
    }

    fn commented(&self) -> MutexGuard<'_, HashSet<TableName>> {
        self.commented.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<TableName, Vec<MartColumn>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the warehouse knows of a partition.
struct Known {
    record: Option<LoadRecord>,
    checks_are_registered: bool,
}

/// Returns the outcome if the copy does not replace what is recorded.
fn not_newer(copy: &PartitionCopy, record: &LoadRecord) -> Option<LoadOutcome> {
    match record.compare(copy.planned_at, copy.version) {
        Ordering::Less => None,
        Ordering::Equal => Some(LoadOutcome::AlreadyLoaded),
        Ordering::Greater => Some(LoadOutcome::Superseded),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        RecordingWarehouse, Statement, checks::tests, comments::tests::total_sales,
        load::copy::tests::december_first,
    };

    type Answer = Result<Vec<Option<Rows>>, WarehouseError>;

    fn rows(rows: Value) -> Rows {
        rows.as_array().unwrap().iter().map(|row| row.as_object().cloned().unwrap()).collect()
    }

    fn no_rows(statements: &[Statement]) -> Answer {
        Ok(vec![None; statements.len()])
    }

    /// The row of `shoplake.loads` after a commit that was planned with [`december_first`].
    fn recorded(version: u64, row_count: Option<u64>) -> Value {
        json!({
            "version": version,
            "row_count": row_count,
            "planned_at": "2010-12-02 03:04:05",
            "loaded_at": "2010-12-02 03:04:10",
        })
    }

    /// The row of a partition that was never loaded.
    fn registered() -> Value {
        json!({"version": 0, "row_count": null, "planned_at": null, "loaded_at": null})
    }

    /// What a copy of three rows reports.
    fn copied(version: u64, row_count: Option<u64>) -> Value {
        let mut report = recorded(version, row_count);
        report["staged_rows"] = json!(3);
        report
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

    /// A warehouse that holds `version` of the partition, in a table with all columns, and returns
    /// `reported` for a copy. It knows the partition's checks if it knows the partition.
    fn holding(version: Option<u64>, reported: Value) -> Arc<RecordingWarehouse> {
        Arc::new(RecordingWarehouse::answering(move |statements| {
            let first = statements[0].sql();
            if first.starts_with("select version") {
                let record = version.map(|version| recorded(version, Some(11)));
                let run = version.map(|_| json!({"is_this_run": 0}));
                Ok([json!(Vec::from_iter(record)), json!(Vec::from_iter(run))]
                    .map(rows)
                    .map(Some)
                    .to_vec())
            } else if first.starts_with("update shoplake.check_runs") {
                Ok(vec![None, None, None, Some(rows(json!([{"is_this_run": 1}])))])
            } else if first.contains("information_schema") {
                Ok(vec![Some(rows(catalog()))])
            } else if first.contains("pg_description") {
                Ok(vec![Some(rows(commented()))])
            } else if first.starts_with("create temporary table") {
                report(statements, reported.clone())
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

    /// The columns of the table, one of which has the comment of its model.
    fn commented() -> Value {
        json!([
            {"table_comment": null, "column_name": "shop_id", "column_comment": "The shop."},
            {"table_comment": null, "column_name": "net", "column_comment": "Sales."},
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
    async fn a_new_partition_is_registered_before_the_copy() {
        let warehouse = holding(None, copied(1, None));

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
    async fn a_version_that_is_loaded_only_records_check_results() {
        for (held, expected) in [(5, LoadOutcome::AlreadyLoaded), (6, LoadOutcome::Superseded)] {
            let warehouse = holding(Some(held), json!({}));
            let loaded = load(&warehouse, 5).await.unwrap();
            assert_eq!(loaded, Loaded { outcome: expected, rows: 11, checks: Recorded::Recorded });
            assert_eq!(outline(&warehouse), ["select version,", "update shoplake.check_runs"]);
        }
    }

    #[tokio::test]
    async fn a_first_version_replaces_one_that_was_planned_earlier() {
        let warehouse = holding(Some(7), copied(1, None));
        let again = |second: u32| PartitionCopy {
            planned_at: format!("2010-12-02T03:04:{second:02}Z").parse().unwrap(),
            ..december_first(1)
        };
        let loader = Loader::new(warehouse.clone());
        for (second, expected) in
            [(4, LoadOutcome::Superseded), (5, LoadOutcome::Superseded), (6, LoadOutcome::Loaded)]
        {
            let loaded = loader.load(&again(second), &tests::december_first(1)).await.unwrap();
            assert_eq!(loaded.outcome, expected, "planned at second {second}");
        }
    }

    #[tokio::test]
    async fn a_copy_reports_a_version_that_was_loaded_meanwhile() {
        for (winner, expected) in [(5, LoadOutcome::AlreadyLoaded), (9, LoadOutcome::Superseded)] {
            let warehouse = holding(Some(4), copied(winner, Some(8)));
            let loaded = load(&warehouse, 5).await.unwrap();
            assert_eq!(loaded, Loaded { outcome: expected, rows: 8, checks: Recorded::Recorded });
        }
    }

    #[tokio::test]
    async fn the_columns_of_a_table_are_read_once() {
        let warehouse = holding(Some(1), copied(2, None));
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
    async fn a_new_column_is_added_before_the_copy() {
        let warehouse = holding(Some(1), copied(2, None));
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
    async fn changed_comments_are_set_once_after_a_copy() {
        let warehouse = holding(Some(1), copied(2, None));
        let loader = Loader::new(warehouse.clone());
        for version in [2, 3] {
            let copy = PartitionCopy { comments: total_sales(), ..december_first(version) };
            loader.load(&copy, &tests::december_first(version)).await.unwrap();
        }
        assert_eq!(
            outline(&warehouse),
            [
                "select version,",
                "select cast(column_name",
                "create temporary",
                "select cast(table_text.description",
                "comment on",
                "select version,",
                "create temporary"
            ]
        );
        let set: Vec<_> =
            warehouse.transactions()[4].iter().map(|set| set.sql().to_owned()).collect();
        assert_eq!(set.len(), 2);
        assert!(
            set[0].starts_with("comment on table") && set[1].contains(".\"net\" is"),
            "{set:?}"
        );
    }

    #[tokio::test]
    async fn a_reload_of_the_same_version_sets_changed_comments() {
        let warehouse = holding(Some(5), json!({}));
        let copy = PartitionCopy { comments: total_sales(), ..december_first(5) };
        Loader::new(warehouse.clone()).load(&copy, &tests::december_first(5)).await.unwrap();
        assert_eq!(outline(&warehouse)[2..], ["select cast(table_text.description", "comment on"]);
    }

    #[tokio::test]
    async fn comments_that_cannot_be_set_fail_no_load() {
        let warehouse = Arc::new(RecordingWarehouse::answering(|statements| {
            let first = statements[0].sql();
            if first.contains("pg_description") {
                Ok(vec![Some(rows(commented()))])
            } else if first.starts_with("comment on") {
                Err(WarehouseError::RolledBack {
                    id: "e".into(),
                    total: statements.len(),
                    message: "must be owner of relation total_sales".into(),
                })
            } else if first.starts_with("select version") {
                let known = [json!([recorded(5, Some(11))]), json!([{"is_this_run": 1}])];
                Ok(known.map(rows).map(Some).to_vec())
            } else {
                Ok(vec![None, None, None, Some(rows(json!([{"is_this_run": 1}])))])
            }
        }));
        let copy = PartitionCopy { comments: total_sales(), ..december_first(5) };
        let loaded =
            Loader::new(warehouse.clone()).load(&copy, &tests::december_first(5)).await.unwrap();
        assert_eq!(loaded.outcome, LoadOutcome::AlreadyLoaded);
        assert_eq!(outline(&warehouse).last().map(String::as_str), Some("comment on"));
    }

    #[tokio::test]
    async fn the_columns_are_read_again_after_a_failed_copy() {
        let warehouse = Arc::new(RecordingWarehouse::answering(|statements| {
            let first = statements[0].sql();
            if first.starts_with("select version") {
                let known = [json!([registered()]), json!([{"is_this_run": 0}])];
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
    async fn a_value_that_does_not_fit_is_a_permanent_error() {
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
                    let known = [json!([registered()]), json!([{"is_this_run": 0}])];
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
    async fn a_column_is_widened_before_the_copy() {
        let warehouse = holding(Some(1), copied(2, None));
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
    async fn version_zero_is_a_permanent_error() {
        let warehouse = holding(None, json!({}));
        assert!(load(&warehouse, 0).await.unwrap_err().is_permanent());
    }
}
