//! Runs the SQL of a job with DataFusion, for all shops or for some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use shoplake_jobs::{FailedCheck, JobDocument};
use shoplake_lake::Store;

use crate::cache::Cache;
use crate::error::EngineError;
use crate::inputs::Inputs;
use crate::run::{Computed, Engine};
use crate::session::{self, Limits};
use crate::{checks, rows, shops};

/// DataFusion, with limits for each job.
#[derive(Debug)]
pub struct DataFusion {
    /// The resources of a job.
    pub limits: Limits,
    /// The objects that are kept between jobs.
    pub cache: Cache,
}

impl DataFusion {
    /// Returns an engine with these limits, an eighth of which it uses to keep objects.
    pub fn new(limits: Limits) -> Self {
        Self { limits, cache: Cache::new(limits.memory_bytes / 8) }
    }
}

impl Default for DataFusion {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

#[async_trait]
impl Engine for DataFusion {
    async fn compute(&self, store: &dyn Store, job: &JobDocument) -> Result<Computed, EngineError> {
        let inputs = Inputs::fetch(store, &self.cache, job, self.limits).await?;
        let computation = Computation { job, inputs: &inputs, limits: self.limits };
        let (found, errors) = match computation.run(None).await {
            Err(error) if error.is_of_data() => {
                let divided = shops::divide(&computation, error).await?;
                (computation.run(Some(&divided.others)).await?, divided.failing)
            }
            found => (found?, BTreeMap::new()),
        };
        let Found { rows, failed_checks } = found;
        Ok(Computed { rows, failed_checks, errors, arrivals: inputs.arrivals })
    }
}

/// The SQL of a job over its inputs.
pub(crate) struct Computation<'a> {
    pub(crate) job: &'a JobDocument,
    pub(crate) inputs: &'a Inputs<'a>,
    pub(crate) limits: Limits,
}

/// What the SQL returns.
pub(crate) struct Found {
    /// The rows, in the stored order.
    pub(crate) rows: RecordBatch,
    /// The checks that returned rows.
    pub(crate) failed_checks: Vec<FailedCheck>,
}

impl Computation<'_> {
    /// Runs the query and the checks over the inputs: over all rows, or over those of `shops` only.
    pub(crate) async fn run(&self, shops: Option<&[String]>) -> Result<Found, EngineError> {
        let job = self.job;
        let session = self.session(shops)?;
        for view in &job.views {
            session::create_view(&session, view)
                .await
                .map_err(|error| self.failed(&format!("view {}", view.name), error))?;
        }
        let rows = self.query(&session).await?;
        let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])
            .and_then(|table| session.register_table(job.rows_table(), Arc::new(table)));
        table.map_err(|error| self.failed("its new rows", error))?;
        let failed_checks = checks::run(&session, job).await?;
        Ok(Found { rows, failed_checks })
    }

    /// Returns the shops of the inputs.
    pub(crate) async fn shops(&self) -> Result<BTreeSet<String>, EngineError> {
        self.inputs.shops(&self.session(None)?).await
    }

    fn session(&self, shops: Option<&[String]>) -> Result<SessionContext, EngineError> {
        let session =
            session::session(self.limits).map_err(|error| self.failed("session", error))?;
        self.inputs.register(&session, shops)?;
        Ok(session)
    }

    async fn query(&self, session: &SessionContext) -> Result<RecordBatch, EngineError> {
        let job = self.job;
        let failed = |error: DataFusionError| self.failed("its query", error);
        let frame = session.sql(&job.sql).await.map_err(failed)?;
        let schema = rows::stored_schema(job, frame.schema().as_arrow())?;
        let batches = frame.collect().await.map_err(failed)?;
        rows::stored(schema, &job.sort, &batches).map_err(|error| failed(error.into()))
    }

    fn failed(&self, what: &str, error: DataFusionError) -> EngineError {
        EngineError::sql(&self.job.model, what, error)
    }
}
