//! The warehouse in memory: it runs the statements of `shoplake-warehouse` with their effects on
//! rows, and parses no SQL.

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

/// Tables, and the bookkeeping of loads and checks.
pub(crate) struct MemoryWarehouse {
    lake: Bucket,
    state: Mutex<State>,
}

/// A model and the text of its partition.
type Key = (String, String);

#[derive(Default)]
struct State {
    /// `shoplake.loads`
    loads: BTreeMap<Key, Load>,
    /// Rows by table and partition.
    tables: BTreeMap<Key, Vec<Row>>,
    /// `shoplake.check_runs`; none before the first run.
    check_runs: BTreeMap<Key, Option<CheckRun>>,
}

#[derive(Clone, Copy, Default)]
struct Load {
    version: u64,
    /// None until a copy has ended.
    row_count: Option<usize>,
}

/// The run whose check results are shown. A later run is a greater one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CheckRun {
    planned_at: String,
    version: u64,
    job: String,
}

impl MemoryWarehouse {
    pub(crate) fn new(lake: Bucket) -> Self {
        Self { lake, state: Mutex::default() }
    }

    /// Returns the rows of a table, of all its partitions.
    pub(crate) fn rows(&self, table: &str) -> Vec<Row> {
        let state = self.state();
        let partitions = state.tables.iter().filter(|((name, _), _)| name == table);
        partitions.flat_map(|(_, rows)| rows).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rows of the gold object that one of the statements copies.
    async fn staged(&self, statements: &[Statement]) -> anyhow::Result<Vec<Row>> {
        let copy = statements.iter().find_map(|statement| {
            let source = statement.sql().strip_prefix("copy ")?.split_once(" from 's3://")?.1;
            source.split_once('\'')?.0.split_once('/')
        });
        let Some((bucket, key)) = copy else { return Ok(Vec::new()) };
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
        let staged = self.staged(&statements).await.map_err(|error| WarehouseError::Request {
            operation: "BatchExecuteStatement",
            source: error.into(),
        })?;
        let mut state = self.state();
        Ok(statements.iter().map(|statement| state.run(statement, &staged)).collect())
    }
}

impl State {
    /// Runs one statement with the copied rows, and returns the rows of a query.
    fn run(&mut self, statement: &Statement, staged: &[Row]) -> Option<Rows> {
        let parameter = |name: &str| statement.parameters().get(name).cloned().unwrap_or_default();
        let key = (parameter("model"), parameter("partition_value"));
        let version = || parameter("version").parse().unwrap_or_default();
        let run = || CheckRun {
            planned_at: parameter("run_planned_at"),
            version: parameter("run_version").parse().unwrap_or_default(),
            job: parameter("run_job"),
        };
        let row = |columns: serde_json::Value| Rows::from_iter(columns.as_object().cloned());
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
                    if load.version < version() {
                        *load = Load { version: version(), row_count: None };
                    }
                } else if load.is_claimed(version()) {
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
            ("delete", _, Some(table)) => {
                let is_claimed = self.loads.get(&key)?.is_claimed(version());
                if is_claimed {
                    self.tables.remove(&(unquoted(table), key.1));
                }
            }
            ("insert", _, Some(table)) => {
                let is_claimed = self.loads.get(&key)?.is_claimed(version());
                if is_claimed {
                    self.tables.insert((unquoted(table), key.1), staged.to_vec());
                }
            }
            ("select", Some("version,"), _) => {
                let Some(load) = self.loads.get(&key) else { return Some(Rows::default()) };
                return Some(row(json!({
                    "version": load.version,
                    "row_count": load.row_count,
                    "staged_rows": staged.len(),
                })));
            }
            ("select", Some("case"), _) => {
                let Some(shown) = self.check_runs.get(&key) else { return Some(Rows::default()) };
                let is_this_run = u8::from(*shown == Some(run()));
                return Some(row(json!({"is_this_run": is_this_run})));
            }
            // The catalog's columns: without any, the loader creates the table.
            ("select", ..) => return Some(Rows::default()),
            _ => {}
        }
        None
    }
}

impl Load {
    /// Returns whether the running transaction has claimed `version`.
    fn is_claimed(self, version: u64) -> bool {
        self.version == version && self.row_count.is_none()
    }
}

/// Returns `sales.orders` for `"sales"."orders"`.
fn unquoted(table: &str) -> String {
    table.replace('"', "")
}
