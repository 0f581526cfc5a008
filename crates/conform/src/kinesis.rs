//! The event that Lambda delivers for a Kinesis stream: the fields that conform needs, borrowed
//! from the payload.

use serde::Deserialize;

use crate::output::ConformError;

/// The invocation's payload.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<EventRecord<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord<'a> {
    #[serde(borrow)]
    kinesis: Data<'a>,
    /// `shardId-000000000006:<sequence number>`
    #[serde(borrow, rename = "eventID")]
    event_id: &'a str,
    /// `arn:aws:kinesis:<region>:<account>:stream/<stream>`
    #[serde(borrow, rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    data: &'a str,
    #[serde(borrow)]
    sequence_number: &'a str,
    approximate_arrival_timestamp: f64,
}

/// One record of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) stream: &'a str,
    pub(crate) shard: &'a str,
    pub(crate) sequence: &'a str,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(crate) arrived_at: i64,
    base64: &'a str,
}

/// Returns the records of a payload, in the order of their shard.
pub(crate) fn records(payload: &str) -> Result<Vec<Record<'_>>, ConformError> {
    let event: Event<'_> =
        sonic_rs::from_str(payload).map_err(|error| ConformError::NotAnEvent(error.to_string()))?;
    event.records.into_iter().map(record).collect()
}

fn record(record: EventRecord<'_>) -> Result<Record<'_>, ConformError> {
    let Some((shard, _)) = record.event_id.split_once(':') else {
        return Err(ConformError::NotAnEvent(format!(
            "eventID {:?} does not name a shard",
            record.event_id
        )));
    };
    let (_, stream) =
        record.event_source_arn.rsplit_once('/').unwrap_or(("", record.event_source_arn));
    Ok(Record {
        stream,
        shard,
        sequence: record.kinesis.sequence_number,
        arrived_at: ((record.kinesis.approximate_arrival_timestamp * 1e3).round() as i64)
            .saturating_mul(1000),
        base64: record.kinesis.data,
    })
}

/// The data of all records in one allocation.
#[derive(Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Arena {
    /// Decodes all records. Data that is not base64 is kept unchanged: it is not JSON either, so it
    /// is quarantined as malformed.
    pub(crate) fn decode(records: &[Record<'_>]) -> Self {
        let capacity = records.iter().map(|record| record.base64.len()).sum();
        let mut arena =
            Self { bytes: Vec::with_capacity(capacity), ends: Vec::with_capacity(records.len()) };
        for record in records {
            let start = arena.bytes.len();
            if base64_simd::STANDARD.decode_append(record.base64, &mut arena.bytes).is_err() {
                arena.bytes.truncate(start);
                arena.bytes.extend_from_slice(record.base64.as_bytes());
            }
            arena.ends.push(arena.bytes.len());
        }
        arena
    }

    /// Returns the data of each record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends
            .iter()
            .scan(0, |start, end| Some(&self.bytes[std::mem::replace(start, *end)..*end]))
    }
}
