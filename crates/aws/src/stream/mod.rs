//! Putting records to a stream: the port, its Kinesis implementation and the one in memory.

mod kinesis;
mod memory;
mod pack;
mod retry;

use async_trait::async_trait;

pub use kinesis::{DEFAULT_DEADLINE, KinesisStream};
pub use memory::{MemoryStream, Times};
pub use pack::{Packed, RECORD_TARGET_BYTES, pack};

pub use shoplake_contracts::envelope::MAX_RECORD_BYTES;

/// One record of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Decides the shard. It only spreads the load; nothing depends on the order of arrival.
    pub partition_key: String,
    /// One or more envelopes of one shop, one per line.
    pub data: Vec<u8>,
}

/// Accepts records durably: an accepted record will be processed.
#[async_trait]
pub trait Stream: Send + Sync {
    /// Puts `records` to the stream called `stream`, retrying what can be retried.
    ///
    /// Delivery is at least once: an accepted record may arrive twice, and one whose
    /// acknowledgement was lost counts as unaccepted.
    ///
    /// # Errors
    ///
    /// Names the records that were not accepted. All others were.
    async fn put(&self, stream: &str, records: Vec<Record>) -> Result<(), PutError>;
}

#[async_trait]
impl<S: Stream + ?Sized> Stream for std::sync::Arc<S> {
    async fn put(&self, stream: &str, records: Vec<Record>) -> Result<(), PutError> {
        (**self).put(stream, records).await
    }
}

/// Some records were not accepted; the others were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {stream} did not accept {} record(s): {reason}", .unaccepted.len())]
pub struct PutError {
    /// The stream.
    pub stream: String,
    /// Indexes into the given records, ascending.
    pub unaccepted: Vec<usize>,
    /// Why the last of them was not accepted, or the first whose failure is permanent.
    pub reason: PutFailure,
}

/// Why a record was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutFailure {
    /// The stream's throughput was exceeded until the deadline.
    #[error(
        "its throughput is exceeded ({0}); put the records again later, or give the stream more \
         shards"
    )]
    Throttled(String),
    /// The service did not answer, or failed internally.
    #[error("it is unavailable ({0}); put the records again later")]
    Unavailable(String),
    /// The request is not allowed or not valid: the stream does not exist, permission or key is
    /// missing.
    #[error(
        "it refused the request ({0}); check that the stream exists and that this process may \
         write to it"
    )]
    Refused(String),
    /// The record is larger than a record may be.
    #[error("a record has {bytes} bytes, expected at most {MAX_RECORD_BYTES}; send smaller events")]
    TooLarge {
        /// Size of the record's data.
        bytes: usize,
    },
}

impl PutFailure {
    /// Returns whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Unavailable(_))
    }
}
