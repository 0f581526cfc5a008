//! Envelopes of the source `web`, and the event that brings them from Kinesis to a function.

use base64_simd::STANDARD;
use serde_json::{Value, json};

/// The stream of a [`kinesis_event`].
pub const STREAM: &str = "shoplake-local-web";

/// Returns an event of `web_traffic`.
pub fn page_view(id: &str, occurred_at: &str) -> Value {
    json!({
        "event_id": id,
        "session_id": "s1",
        "visitor_id": "v1",
        "event_type": "page_view",
        "occurred_at": occurred_at,
        "page_url": "https://acme.example/",
    })
}

/// Returns an envelope, without a line end, that was received on 2026-11-21 at 10:00 UTC. Neither
/// shop nor dataset nor id has to be valid.
pub fn envelope(shop: &str, dataset: &str, id: &str, data: &Value) -> String {
    let id = Value::from(id);
    format!(
        "{{\"specversion\":\"1.0\",\"id\":{id},\"source\":\"/shops/{shop}/web\",\
         \"type\":\"{dataset}.received\",\"shopid\":\"{shop}\",\"dataset\":\"{dataset}\",\
         \"receivedat\":\"2026-11-21T10:00:00.000000Z\",\
         \"datacontenttype\":\"application/json\",\"data\":{data}}}"
    )
}

/// Returns the event that Lambda gets for the records of a shard, each a sequence number and its
/// data, that arrived on 2026-11-21 at 10:00 UTC.
pub fn kinesis_event(
    shard: &str,
    records: impl IntoIterator<Item = (usize, impl AsRef<[u8]>)>,
) -> String {
    let records: Vec<_> = records
        .into_iter()
        .map(|(sequence, data)| {
            json!({
                "kinesis": {
                    "data": STANDARD.encode_to_string(data),
                    "sequenceNumber": sequence.to_string(),
                    "approximateArrivalTimestamp": 1_795_255_200.5,
                },
                "eventID": format!("{shard}:{sequence}"),
                "eventSourceARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"),
            })
        })
        .collect();
    json!({"Records": records}).to_string()
}
