//! Processes failed messages and quarantined lines again, after the cause of the failure is fixed.
//!
//! A redrive may be interrupted and run again: a message is deleted only after its work was
//! started, and work that is done twice gives the same rows.

mod dirty;
mod quarantine;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use shoplake_aws::stream::PutError;
use shoplake_aws::{DeadLetterQueue, DirtyQueue, Executions, PortError, Stream};
use shoplake_contracts::Contracts;
use shoplake_lake::Store;
use shoplake_platform::failure::Failure;

use crate::failure;
use crate::request::{FailedQueue, RedriveTarget};
use crate::response::Redriven;

/// The most messages of one run, so that it ends within a function's time limit. The response says
/// if there are more.
const MAX_MESSAGES: usize = 5_000;

/// The services that redrives use.
pub struct Redrive {
    /// The deployed contracts.
    pub contracts: Contracts,
    /// The dead-letter queue of the dirty queue.
    pub dirty: Arc<dyn DeadLetterQueue>,
    /// The queue of batches that Lambda has given up.
    pub streams: Arc<dyn DeadLetterQueue>,
    /// Starts the state machine that conforms bronze objects.
    pub executions: Arc<dyn Executions>,
    /// The bucket of the lake.
    pub bucket: String,
    /// The streams that envelopes are put to.
    pub stream: Arc<dyn Stream>,
    /// The part of a stream's name before `-<source>`.
    pub stream_prefix: String,
    /// How long Firehose buffers records before it writes them to bronze.
    pub firehose_buffer: Duration,
}

impl Redrive {
    /// Processes the target again.
    pub(crate) async fn run(
        &self,
        lake: &dyn Store,
        queue: &dyn DirtyQueue,
        target: RedriveTarget,
        now: DateTime<Utc>,
    ) -> Result<Redriven, Failure> {
        match target {
            RedriveTarget::Queue(FailedQueue::Dirty) => {
                dirty::redrive(self.dirty.as_ref(), queue).await
            }
            RedriveTarget::Queue(FailedQueue::Streams) => self.batches(lake, now).await,
            RedriveTarget::Quarantine { dataset, day } => {
                self.quarantined(lake, dataset, day).await
            }
        }
    }
}

/// What to do after a failure: a redrive that runs again continues where this one stopped.
const ADVICE: &str = "run the same redrive again";

fn unavailable(error: PortError) -> Failure {
    failure::unavailable(error, ADVICE)
}

fn retryable(error: PutError) -> Failure {
    Failure::retryable(format!("{error}; {ADVICE}"))
}
