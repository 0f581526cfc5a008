//! A redrive for the tests of several modules.

use std::sync::Arc;
use std::time::Duration;

use shoplake_aws::stream::MemoryStream;
use shoplake_aws::{MemoryDeadLetterQueue, MemoryExecutions};

use crate::redrive::Redrive;

/// Returns a redrive with one dataset, empty queues and a Firehose that buffers for a minute.
pub(crate) fn redrive() -> Redrive {
    Redrive {
        contracts: shoplake_testing::visits::contracts(),
        dirty: Arc::new(MemoryDeadLetterQueue::default()),
        streams: Arc::new(MemoryDeadLetterQueue::default()),
        executions: Arc::new(MemoryExecutions::default()),
        bucket: "lake".to_owned(),
        stream: Arc::new(MemoryStream::default()),
        stream_prefix: "shoplake-local".to_owned(),
        firehose_buffer: Duration::from_secs(60),
    }
}
