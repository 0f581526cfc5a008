//! A DataFusion session with limits.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::functions;

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that sorts, joins and aggregations may hold together, on top of the inputs themselves;
    /// beyond it they spill to disk, and those that cannot fail.
    pub memory_bytes: usize,
    /// Threads of work.
    pub parallelism: usize,
}

impl Limits {
    /// The limits of a process that has `memory_megabytes` in all: half for operators, the other
    /// half for the inputs, the result and the process itself.
    pub fn of_process(memory_megabytes: usize) -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_bytes: memory_megabytes * 1024 * 1024 / 2, parallelism }
    }
}

impl Default for Limits {
    /// The limits of a process that has 2 GB.
    fn default() -> Self {
        Self::of_process(2048)
    }
}

/// A new session: nothing is shared between jobs, so none sees another one's tables.
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
    Ok(session)
}

/// Gives `name` to the rows of `sql`.
pub(crate) async fn create_view(session: &SessionContext, name: &str, sql: &str) -> Result<()> {
    let view = session.sql(sql).await?.into_view();
    session.register_table(name, view).map(drop)
}

/// Where a session finds the objects that were fetched for it.
pub(crate) fn register_objects(
    session: &SessionContext,
    url: &datafusion::execution::object_store::ObjectStoreUrl,
    objects: datafusion::object_store::memory::InMemory,
) {
    session.runtime_env().register_object_store(url.as_ref(), Arc::new(objects));
}
