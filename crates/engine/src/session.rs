//! A DataFusion session with limits.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use shoplake_jobs::View;

use crate::functions;

/// The resources of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes that sorts, joins and aggregations may hold together, besides the inputs. Beyond
    /// them operators spill to disk; an operator that cannot spill fails.
    pub memory_bytes: usize,
    /// The number of threads.
    pub parallelism: usize,
}

impl Limits {
    /// Returns the limits of a process with `memory_megabytes` in all: half of it for operators,
    /// the other half for the inputs, the result and the process itself.
    pub fn of_process(memory_megabytes: usize) -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_bytes: memory_megabytes * 1024 * 1024 / 2, parallelism }
    }
}

impl Default for Limits {
    /// Returns the limits of a process with 2 GB.
    fn default() -> Self {
        Self::of_process(2048)
    }
}

/// Returns a new session. Each run of a job's SQL has its own, so that it sees no other tables.
pub(crate) fn session(limits: Limits) -> Result<SessionContext> {
    let runtime =
        RuntimeEnvBuilder::new().with_memory_limit(limits.memory_bytes, 1.0).build_arc()?;
    let state = SessionStateBuilder::new()
        .with_config(SessionConfig::new().with_target_partitions(limits.parallelism))
        .with_runtime_env(runtime)
        .with_default_features()
        .build();
    let session = SessionContext::new_with_state(state);
    session.register_udf(functions::unix_micros());
    session.register_udf(functions::crc32());
    Ok(session)
}

/// Creates a view.
pub(crate) async fn create_view(session: &SessionContext, view: &View) -> Result<()> {
    let rows = session.sql(&view.sql).await?;
    let rows = if view.stored { rows.cache().await? } else { rows };
    session.register_table(&view.name, rows.into_view()).map(drop)
}

/// Registers the fetched objects with the session.
pub(crate) fn register_objects(
    session: &SessionContext,
    url: &datafusion::execution::object_store::ObjectStoreUrl,
    objects: Arc<datafusion::object_store::memory::InMemory>,
) {
    session.runtime_env().register_object_store(url.as_ref(), objects);
}
