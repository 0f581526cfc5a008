//! Runs one job.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use shoplake_gold::Gold;
use shoplake_jobs::{FailedCheck, JobDocument, PartitionDirty, Severity};
use shoplake_lake::Store;

use crate::difference::Difference;
use crate::error::EngineError;
use crate::inputs::{self, Arrival};
use crate::session::{self, Limits};
use crate::{checks, rows};

/// The result of running a job.
#[derive(Clone, Debug)]
pub struct Output {
    /// The partition's rows, in the stored order.
    pub rows: RecordBatch,
    /// Whether the rows differ from the last commit.
    pub changed: bool,
    /// The partitions of other models that read a changed row.
    pub dirtied: Vec<PartitionDirty>,
    /// The checks that returned rows.
    pub failed_checks: Vec<FailedCheck>,
    /// When the events of the objects that were read arrived.
    pub arrivals: Vec<Arrival>,
}

impl Output {
    /// Returns the content of a commit of these rows.
    pub fn into_gold(self) -> Gold {
        Gold { rows: self.rows, dirtied: self.dirtied, failed_checks: self.failed_checks }
    }

    /// Returns whether a check of severity error failed, so that the rows must not be committed.
    pub fn is_rejected(&self) -> bool {
        self.failed_checks.iter().any(|check| check.severity == Severity::Error)
    }
}

/// Runs `job` over the objects of `store`, and compares the rows with those of `before`, the
/// partition's last commit.
///
/// The checks run even if no row changed, because the inputs of the checks may have: control totals
/// often arrive after the rows.
pub async fn run(
    store: &dyn Store,
    job: &JobDocument,
    before: Option<&Gold>,
    limits: Limits,
) -> Result<Output, EngineError> {
    let failed = |what: &str, error: DataFusionError| EngineError::sql(&job.model, what, error);
    let session = session::session(limits).map_err(|error| failed("session", error))?;
    let arrivals = inputs::register(&session, store, job).await?;
    for view in &job.views {
        session::create_view(&session, &view.name, &view.sql)
            .await
            .map_err(|error| failed(&format!("view {}", view.name), error))?;
    }
    let rows = query(&session, job).await?;
    register_rows(&session, job, rows.clone()).map_err(|error| failed("its new rows", error))?;
    let failed_checks = checks::run(&session, job).await?;

    let old = match before {
        Some(gold) => gold.rows.clone(),
        None => RecordBatch::new_empty(rows.schema()),
    };
    let difference = Difference::between(&old, &rows, &job.sort)
        .map_err(|error| failed("its old rows", error.into()))?;
    let dirtied = difference.dirtied(job, &old, &rows)?;
    Ok(Output { changed: !difference.is_empty(), rows, dirtied, failed_checks, arrivals })
}

async fn query(session: &SessionContext, job: &JobDocument) -> Result<RecordBatch, EngineError> {
    let failed = |error: DataFusionError| EngineError::sql(&job.model, "its query", error);
    let frame = session.sql(&job.sql).await.map_err(failed)?;
    let schema = rows::stored_schema(job, frame.schema().as_arrow())?;
    let batches = frame.collect().await.map_err(failed)?;
    rows::stored(schema, &job.sort, &batches).map_err(|error| failed(error.into()))
}

/// Registers the new rows as the table that the checks read.
fn register_rows(
    session: &SessionContext,
    job: &JobDocument,
    rows: RecordBatch,
) -> Result<(), DataFusionError> {
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    session.register_table(job.rows_table(), Arc::new(table)).map(drop)
}
