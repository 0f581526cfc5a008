//! The state machines in memory: what dispatch started and nobody has run yet.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use shoplake_function_dispatch::{GlueRun, Machines};

/// One execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Execution {
    /// Of bronze_to_silver.
    Conform {
        /// Where the object is.
        bucket: String,
        /// The object.
        key: String,
    },
    /// Of silver_to_gold.
    Transform {
        /// The key of the job document.
        job: String,
    },
}

/// Executions that were started.
#[derive(Clone, Default)]
pub(crate) struct Executions(Arc<Mutex<Vec<Execution>>>);

impl Executions {
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|started| started.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.with(|started| started.len())
    }

    pub(crate) fn start(&self, execution: Execution) {
        self.with(|started| started.push(execution));
    }

    /// Takes all of them, in the order in which they were started.
    pub(crate) fn take_all(&self) -> Vec<Execution> {
        self.with(std::mem::take)
    }

    /// Takes the one at `place`.
    pub(crate) fn take(&self, place: usize) -> Option<Execution> {
        self.with(|started| {
            let place = place.checked_rem(started.len())?;
            Some(started.remove(place))
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<Execution>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Machines for Executions {
    async fn bronze_to_silver(&self, bucket: &str, key: &str) -> anyhow::Result<()> {
        self.start(Execution::Conform { bucket: bucket.to_owned(), key: key.to_owned() });
        Ok(())
    }

    async fn silver_to_gold(&self, key: &str) -> anyhow::Result<()> {
        self.start(Execution::Transform { job: key.to_owned() });
        Ok(())
    }

    async fn silver_to_gold_on_glue(&self, run: &GlueRun) -> anyhow::Result<()> {
        // Another engine, the same commit.
        self.silver_to_gold(&run.job).await
    }
}
