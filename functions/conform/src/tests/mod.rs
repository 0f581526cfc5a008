//! The function against a lake in memory.

mod event_source_mapping;
mod invocations;

use std::path::Path;
use std::sync::Arc;

use base64_simd::STANDARD;
use serde_json::{Value, json};
use shoplake_conform::Conformer;
use shoplake_contracts::Contracts;
use shoplake_lake::MemoryStore;
use shoplake_platform::metrics::{MemorySink, Metrics};

use crate::{Conform, LAYOUT};

const STREAM: &str = "shoplake-local-web";
const SHARD: &str = "shardId-000000000000";

fn conform() -> (Conform<MemoryStore>, Arc<MemorySink>) {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts/schemas");
    let sink = Arc::new(MemorySink::default());
    let conform = Conform {
        conformer: Conformer::new(Contracts::load(&schemas).unwrap(), LAYOUT),
        bucket: "lake".to_owned(),
        lake: MemoryStore::default(),
        metrics: Metrics::new("conform", sink.clone()),
    };
    (conform, sink)
}

fn event(id: &str) -> Value {
    json!({
        "event_id": id,
        "session_id": "s",
        "visitor_id": "v",
        "event_type": "page_view",
        "occurred_at": "2026-11-20T12:00:00Z",
        "page_url": "https://acme.example/",
    })
}

fn envelope(id: &str, data: Value) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"shopid\":\"acme\",\
         \"dataset\":\"web_traffic\",\"receivedat\":\"2026-11-21T10:00:00Z\",\"data\":{data}}}"
    )
}

/// The event that Lambda gets for records of (sequence number, data).
fn payload(records: &[(usize, String)]) -> String {
    let record = |(sequence, data): &(usize, String)| {
        json!({
            "kinesis": {
                "data": STANDARD.encode_to_string(data),
                "sequenceNumber": sequence.to_string(),
                "approximateArrivalTimestamp": 1_795_255_200.0,
            },
            "eventID": format!("{SHARD}:{sequence}"),
            "eventSourceARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"),
        })
    };
    json!({"Records": records.iter().map(record).collect::<Vec<_>>()}).to_string()
}
