//! The function against a lake in memory.

mod event_source_mapping;
mod invocations;

use std::sync::Arc;

use serde_json::Value;
use shoplake_conform::Conformer;
use shoplake_lake::MemoryStore;
use shoplake_platform::metrics::{MemorySink, Metrics};
use shoplake_testing::{contracts, kinesis_event, page_view};

use crate::{Conform, LAYOUT};

const SHARD: &str = "shardId-000000000000";

fn conform() -> (Conform<MemoryStore>, Arc<MemorySink>) {
    let sink = Arc::new(MemorySink::default());
    let conform = Conform {
        conformer: Conformer::new(contracts(), LAYOUT),
        bucket: "lake".to_owned(),
        lake: MemoryStore::default(),
        metrics: Metrics::new("conform", sink.clone()),
    };
    (conform, sink)
}

fn event(id: &str) -> Value {
    page_view(id, "2026-11-20T12:00:00Z")
}

fn envelope(id: &str, data: Value) -> String {
    shoplake_testing::envelope("acme", "web_traffic", id, &data)
}

/// The event that Lambda gets for records of (sequence number, data).
fn payload(records: &[(usize, String)]) -> String {
    kinesis_event(SHARD, records.iter().map(|(sequence, data)| (*sequence, data)))
}
