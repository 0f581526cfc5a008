//! A warehouse in memory: it runs the statements of `shoplake-warehouse` with their effects on
//! rows. It parses no SQL, but a statement without its guard changes rows unconditionally.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use async_trait::async_trait;
use serde_json::json;
use shoplake_engine::Gold;
use shoplake_lake::Store;
use shoplake_warehouse::{Rows, Statement, Warehouse, WarehouseError};

use crate::bucket::{self, Bucket};
use crate::rows::{self, Row};

/// The guard of a claim: the recorded commit is an older one.
const IS_OLDER: &str = "planned_at < cast(:planned_at as timestamp)";

/// The guard of a change of rows: the transaction has claimed the commit.
const IS_CLAIMED: &str = "version = cast(:version as bigint) and row_count is null";

/// Tables, and the bookkeeping of loads and checks.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    /// `shoplake.loads`
    loads: BTreeMap<Key, Load>,
    /// Rows by table and partition.
    tables: BTreeMap<Key, Vec<Row>>,
    /// `shoplake.check_runs`; none before the first run.
    check_runs: BTreeMap<Key, Option<CheckRun>>,
}

/// A model, or a table, and the text of its partition.
pub(crate) type Key = (String, String);

/// A commit: a later one is a greater one.
pub(crate) type Commit = (Option<String>, u64);

/// A row of `shoplake.loads`; its default is a partition that was never loaded.
#[derive(Clone, Default)]
struct Load {
    commit: Commit,
    /// None until a copy has ended.
    row_count: Option<usize>,
}

/// The run whose check results are shown. A later run is a greater one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CheckRun {
    planned_at: String,
    pub(crate) version: u64,
    pub(crate) job: String,
}

impl Tables {
    /// Returns the rows of a table, of all its partitions.
    pub(crate) fn rows(&self, table: &str) -> Vec<Row> {
        let partitions = self.tables.iter().filter(|((name, _), _)| name == table);
        partitions.flat_map(|(_, rows)| rows).cloned().collect()
    }

    /// Returns the commit of each partition that was ever loaded, by model and partition.
    pub(crate) fn commits(&self) -> BTreeMap<Key, Commit> {
        let loads = self.loads.iter().filter(|(_, load)| load.row_count.is_some());
        loads.map(|(key, load)| (key.clone(), load.commit.clone())).collect()
    }

    /// Returns the run whose check results are shown, by model and partition.
    pub(crate) fn checked(&self) -> BTreeMap<Key, CheckRun> {
        let runs = self.check_runs.iter();
        runs.filter_map(|(key, run)| Some((key.clone(), run.clone()?))).collect()
    }

    /// Runs one statement with the copied rows, and returns the rows of a query.
    pub(crate) fn run(&mut self, statement: &Statement, staged: &[Row]) -> Option<Rows> {
        let parameter = |name: &str| statement.parameters().get(name).cloned().unwrap_or_default();
        let key = (parameter("model"), parameter("partition_value"));
        let version = || -> u64 { parameter("version").parse().unwrap_or_default() };
        let commit = || (Some(parameter("planned_at")), version());
        let run = || CheckRun {
            planned_at: parameter("run_planned_at"),
            version: parameter("run_version").parse().unwrap_or_default(),
            job: parameter("run_job"),
        };
        let row = |columns: serde_json::Value| Rows::from_iter(columns.as_object().cloned());
        let is_guarded = |guard: &str| statement.sql().contains(guard);
        let mut words = statement.sql().split_whitespace();
        let verb = (words.next().unwrap_or_default(), words.next(), words.next());
        match verb {
            ("insert", _, Some("shoplake.loads")) => {
                self.loads.entry(key).or_default();
            }
            ("insert", _, Some("shoplake.check_runs")) => {
                self.check_runs.entry(key).or_default();
            }
            // The claim of a version comes first, its row count last.
            ("update", Some("shoplake.loads"), _) => {
                let load = self.loads.get_mut(&key)?;
                if statement.parameters().contains_key("gold_key") {
                    if !is_guarded(IS_OLDER) || load.commit < commit() {
                        *load = Load { commit: commit(), row_count: None };
                    }
                } else if !is_guarded(IS_CLAIMED) || load.is_claimed(version()) {
                    load.row_count = Some(staged.len());
                }
            }
            ("update", Some("shoplake.check_runs"), _) => {
                let shown = self.check_runs.get_mut(&key)?;
                let is_newer = |shown: &CheckRun| {
                    (&shown.planned_at, shown.version) <= (&run().planned_at, run().version)
                };
                if shown.as_ref().is_none_or(is_newer) {
                    *shown = Some(run());
                }
            }
            ("delete" | "insert", _, Some("shoplake.check_results")) => {}
            ("delete" | "insert", _, Some(table)) => {
                let is_claimed =
                    !is_guarded(IS_CLAIMED) || self.loads.get(&key)?.is_claimed(version());
                let table = (unquoted(table), key.1);
                match verb.0 {
                    _ if !is_claimed => {}
                    "delete" => drop(self.tables.remove(&table)),
                    _ => self.tables.entry(table).or_default().extend_from_slice(staged),
                }
            }
            ("select", Some("version,"), _) => {
                let Some(load) = self.loads.get(&key) else { return Some(Rows::default()) };
                let (planned_at, version) = &load.commit;
                return Some(row(json!({
                    "version": version,
                    "planned_at": planned_at,
                    // Only a row without `planned_at` needs it, and such rows are not loaded here.
                    "loaded_at": null,
                    "row_count": load.row_count,
                    "staged_rows": staged.len(),
                })));
            }
            ("select", Some("case"), _) => {
                let Some(shown) = self.check_runs.get(&key) else { return Some(Rows::default()) };
                let is_this_run = u8::from(*shown == Some(run()));
                return Some(row(json!({"is_this_run": is_this_run})));
            }
            // The catalog's columns and comments: without any, the loader creates the table.
            ("select", ..) => return Some(Rows::default()),
            _ => {}
        }
        None
    }
}

impl Load {
    /// Returns whether the running transaction has claimed `version`.
    fn is_claimed(&self, version: u64) -> bool {
        self.commit.1 == version && self.row_count.is_none()
    }
}

/// Returns `sales.orders` for `"sales"."orders"`.
fn unquoted(table: &str) -> String {
    table.replace('"', "")
}

/// Returns the bucket and the key of the gold object that one of the statements copies.
pub(crate) fn copied(statements: &[Statement]) -> Option<(&str, &str)> {
    statements.iter().find_map(|statement| {
        let source = statement.sql().strip_prefix("copy ")?.split_once(" from 's3://")?.1;
        source.split_once('\'')?.0.split_once('/')
    })
}

/// Returns the error of a request that failed.
pub(crate) fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WarehouseError {
    WarehouseError::Request { operation: "BatchExecuteStatement", source: cause.into() }
}

/// A warehouse that copies the objects of a bucket.
pub(crate) struct MemoryWarehouse {
    lake: Bucket,
    tables: Mutex<Tables>,
}

impl MemoryWarehouse {
    pub(crate) fn new(lake: Bucket) -> Self {
        Self { lake, tables: Mutex::default() }
    }

    /// Returns the rows of a table, of all its partitions.
    pub(crate) fn rows(&self, table: &str) -> Vec<Row> {
        self.tables().rows(table)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rows of the gold object that one of the statements copies.
    async fn staged(&self, statements: &[Statement]) -> anyhow::Result<Vec<Row>> {
        let Some((bucket, key)) = copied(statements) else { return Ok(Vec::new()) };
        anyhow::ensure!(bucket == bucket::NAME, "no bucket {bucket:?}");
        let object = self.lake.get(key).await?.with_context(|| format!("no object {key:?}"))?;
        rows::of_batch(&Gold::decode(object.bytes)?.rows)
    }
}

#[async_trait]
impl Warehouse for MemoryWarehouse {
    async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Option<Rows>>, WarehouseError> {
        let staged = self.staged(&statements).await.map_err(failed)?;
        let mut tables = self.tables();
        Ok(statements.iter().map(|statement| tables.run(statement, &staged)).collect())
    }
}
