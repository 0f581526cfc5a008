//! Fixtures of several modules' tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shoplake_aws::stream::MemoryStream;
use shoplake_aws::{MemoryDeadLetterQueue, MemoryExecutions};
use shoplake_contracts::Contracts;
use shoplake_models::Models;

use crate::redrive::Redrive;

const VISITS: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Visits",
    "description": "d", "type": "object",
    "x-dataset": {"source": "web", "delivery": "stream", "key": ["shop_id", "visit_id"],
                  "version": null,
                  "event_time": "at", "partition": "day(at)", "sort": ["shop_id"], "personal": []},
    "required": ["visit_id", "at"],
    "properties": {"shop_id": {"type": "string", "description": "d"},
                   "visit_id": {"type": "string", "description": "d"},
                   "at": {"type": "string", "format": "date-time", "description": "d"}}
}"#;

/// Returns the models of the repository.
pub(crate) fn models() -> Models {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let contracts = Contracts::load(&root.join("crates/contracts/schemas")).unwrap();
    Models::load(&root.join("glue-sql"), &contracts).unwrap()
}

/// Returns a redrive with one dataset, empty queues and a Firehose that buffers for a minute.
pub(crate) fn redrive() -> Redrive {
    Redrive {
        contracts: Contracts::from_sources([("visits", VISITS)]).unwrap(),
        dirty: Arc::new(MemoryDeadLetterQueue::default()),
        streams: Arc::new(MemoryDeadLetterQueue::default()),
        executions: Arc::new(MemoryExecutions::default()),
        bucket: "lake".to_owned(),
        stream: Arc::new(MemoryStream::default()),
        stream_prefix: "shoplake-local".to_owned(),
        firehose_buffer: Duration::from_secs(60),
    }
}
