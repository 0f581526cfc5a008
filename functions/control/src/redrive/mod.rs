//! Has done again what failed, after its cause is gone. Everything here may be interrupted and run
//! again: nothing is forgotten before it is safe elsewhere, and what is done twice gives the same
//! rows.

mod marks;
mod quarantine;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::Value;
use shoplake_aws::{DeadLetterQueue, DirtyQueue, Executions, Stream};
use shoplake_contracts::Contracts;
use shoplake_lake::Store;
use shoplake_platform::failure::Failure;

/// The most letters of one invocation, so that it ends before its time does; the answer says if
/// there are more.
const MAX_LETTERS: usize = 5_000;

/// A queue whose letters can be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Dirty marks that could not be delivered or dispatched.
    Dirty,
    /// Batches of streams that could not be conformed.
    Streams,
}

/// What redriving works with.
pub(crate) struct Redrive {
    /// The datasets that there are.
    pub(crate) contracts: Contracts,
    /// Dead letters of the queue of dirty partitions.
    pub(crate) dirty: Arc<dyn DeadLetterQueue>,
    /// Where Lambda tells of batches that it has given up.
    pub(crate) streams: Arc<dyn DeadLetterQueue>,
    /// Starts the state machine that conforms bronze objects.
    pub(crate) executions: Arc<dyn Executions>,
    /// The bucket of the lake.
    pub(crate) bucket: String,
    /// Where envelopes are put again.
    pub(crate) stream: Arc<dyn Stream>,
    /// What comes before `-<source>` in the names of streams.
    pub(crate) stream_prefix: String,
    /// How long Firehose gathers what it writes to bronze.
    pub(crate) firehose_buffer: Duration,
}

impl Redrive {
    /// Brings the letters of a queue back, or the quarantined lines of a dataset and day; answers
    /// counts.
    pub(crate) async fn run(
        &self,
        lake: &dyn Store,
        queue: &dyn DirtyQueue,
        what: (Option<Source>, Option<String>, Option<NaiveDate>),
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Value, Failure> {
        match what {
            (Some(Source::Dirty), None, None) => marks::redrive(self.dirty.as_ref(), queue).await,
            (Some(Source::Streams), None, None) => self.batches(lake, now).await,
            (None, Some(dataset), Some(day)) => self.quarantined(lake, &dataset, day).await,
            _ => Err(Failure::permanent(
                r#"expected {"action":"redrive"} with either "queue":"dirty", or "queue":"streams", or "quarantine":"<dataset>" and "day":"YYYY-MM-DD""#,
            )),
        }
    }
}

fn retryable(error: impl std::fmt::Display) -> Failure {
    Failure::retryable(format!(
        "{error}; run the same redrive again, which goes on where this one ended"
    ))
}
