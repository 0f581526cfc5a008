//! Runs one job.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use async_trait::async_trait;
use shoplake_gold::Gold;
use shoplake_jobs::{CheckAlert, FailedCheck, JobDocument, PartitionDirty, Severity};
use shoplake_lake::Store;

use crate::difference::Difference;
use crate::error::EngineError;
use crate::inputs::Arrival;
use crate::{checks, rows};

/// Computes the rows of a job.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Runs the query and the checks of `job` over the objects of `store`. A shop whose rows make
    /// the query fail is left out.
    ///
    /// # Errors
    /// When an object is missing or does not fit, or when the query fails for no shop alone.
    async fn compute(&self, store: &dyn Store, job: &JobDocument) -> Result<Computed, EngineError>;
}

/// The rows that an engine computes from the inputs of a job.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The rows, in the stored order: by `sort` of the job, then by the other columns.
    pub rows: RecordBatch,
    /// The checks that returned rows, with all their shops.
    pub failed_checks: Vec<FailedCheck>,
    /// The shops whose rows make the query fail, with the error. `rows` has none of theirs.
    pub errors: BTreeMap<String, String>,
    /// When the events of the objects that were read arrived.
    pub arrivals: Vec<Arrival>,
}

/// The result of running a job.
#[derive(Clone, Debug)]
pub struct Output {
    /// The partition's rows, in the stored order.
    pub rows: RecordBatch,
    /// Whether the rows differ from the last commit.
    pub changed: bool,
    /// The partitions of other models that read a changed row.
    pub dirtied: Vec<PartitionDirty>,
    /// The checks that failed, with all their shops.
    pub failed_checks: Vec<FailedCheck>,
    /// The failures that are new since the last commit, those of severity error first.
    pub alert: Vec<CheckAlert>,
    /// When the events of the objects that were read arrived.
    pub arrivals: Vec<Arrival>,
}

impl Output {
    /// Returns the content of a commit of these rows.
    pub fn into_gold(self) -> Gold {
        Gold {
            rows: self.rows,
            dirtied: self.dirtied,
            failed_checks: self.failed_checks,
            alert: self.alert,
        }
    }
}

/// Runs `job` with `engine` over the objects of `store`, and compares the rows with those of
/// `before`, the partition's last commit.
///
/// A shop whose rows fail a check of severity error is withheld: it keeps its rows of `before`. So
/// is a shop whose rows make a query fail; the rows of all other shops are then computed without
/// it.
///
/// The checks run even if no row changed, because the inputs of the checks may have: control totals
/// often arrive after the rows.
pub async fn run(
    store: &dyn Store,
    job: &JobDocument,
    before: Option<&Gold>,
    engine: &dyn Engine,
) -> Result<Output, EngineError> {
    let Computed { rows: new, mut failed_checks, mut errors, arrivals } =
        engine.compute(store, job).await?;

    let old_rows = |error: ArrowError| EngineError::sql(&job.model, "its old rows", error);
    let withheld = withheld(&failed_checks, &errors);
    let before_rows = before.map(|gold| &gold.rows);
    let merged = rows::merge(job, &new, before_rows, &withheld).map_err(old_rows)?;
    for shop in merged.lost {
        checks::add_lost_rows(&mut errors, shop);
    }
    failed_checks.extend(checks::computes(job, &errors));
    let failed_before = before.map_or(&[][..], |gold| &gold.failed_checks);
    let alert = checks::alerts(job, failed_before, &failed_checks);

    let rows = merged.rows;
    let old = match before_rows {
        Some(rows) => rows.clone(),
        None => RecordBatch::new_empty(rows.schema()),
    };
    let difference = Difference::between(&old, &rows, &job.sort).map_err(old_rows)?;
    let dirtied = difference.dirtied(job, &old, &rows)?;
    let changed = !difference.is_empty();
    Ok(Output { rows, changed, dirtied, failed_checks, alert, arrivals })
}

/// Returns the shops whose new rows are not committed.
fn withheld(failed_checks: &[FailedCheck], errors: &BTreeMap<String, String>) -> BTreeSet<String> {
    let failed = failed_checks.iter().filter(|failed| failed.severity == Severity::Error);
    failed.flat_map(|failed| &failed.shops).chain(errors.keys()).cloned().collect()
}
