//! A Kinesis shard and its event source mapping, exactly as AWS documents them, against the real
//! function on a lake in memory: batches of any size, retries, `batchItemFailures`, bisection,
//! records delivered again by a poller that has lost its shard, a lake that fails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use base64_simd::STANDARD;
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};
use shoplake_conform::Conformer;
use shoplake_contracts::Contracts;
use shoplake_lake::{MemoryStore, Store};
use shoplake_platform::metrics::{MemorySink, Metrics};

use crate::handler::{Answer, Conform, LAYOUT};

pub(crate) fn contracts() -> Contracts {
    Contracts::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts/schemas"))
        .unwrap()
}

pub(crate) fn event(id: &str) -> Value {
    json!({"event_id": id, "session_id": "s", "visitor_id": "v", "event_type": "page_view", "occurred_at": "2026-11-20T12:00:00Z", "page_url": "https://acme.example/"})
}

pub(crate) fn envelope(id: &str, data: Value) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","shopid":"acme","dataset":"web_traffic","receivedat":"2026-11-21T10:00:00Z","data":{data}}}"#
    )
}

/// The event that Lambda gets for records of (sequence number, data).
pub(crate) fn payload(records: &[(usize, String)]) -> String {
    let record = |(sequence, data): &(usize, String)| {
        json!({
            "kinesis": {"data": STANDARD.encode_to_string(data), "sequenceNumber": sequence.to_string(), "approximateArrivalTimestamp": 1_795_255_200.0},
            "eventID": format!("shardId-000000000000:{sequence}"),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/shoplake-local-web",
        })
    };
    json!({"Records": records.iter().map(record).collect::<Vec<_>>()}).to_string()
}

/// How the mapping behaves in one run. Every list is used up one step at a time, and what comes
/// after its end is the calm case.
#[derive(Clone, Debug)]
struct Weather {
    /// Sizes of the batches that are polled.
    batch_sizes: VecDeque<usize>,
    /// Which writes of the lake fail.
    faults: Vec<bool>,
    /// `BisectBatchOnFunctionError`.
    bisect: bool,
    /// Whether the answer is lost on the way, so that the mapping takes a success for a failure.
    lost_answers: VecDeque<bool>,
    /// Batches (first record, size) that a poller without a shard delivers after everything else.
    zombies: Vec<(prop::sample::Index, usize)>,
}

/// Delivers every record at least once, in order, until the function has taken all of them.
async fn deliver(
    conform: &Conform<MemoryStore>,
    records: &[(usize, String)],
    mut weather: Weather,
) {
    conform.lake.fail(weather.faults.clone());
    let mut next = 0;
    while next < records.len() {
        let size =
            weather.batch_sizes.pop_front().unwrap_or(records.len()).clamp(1, records.len() - next);
        let mut pending = VecDeque::new();
        pending.push_back(next..next + size);
        while let Some(range) = pending.pop_front() {
            let answer = conform.handle(&payload(&records[range.clone()])).await.unwrap();
            let lost = weather.lost_answers.pop_front().unwrap_or(false);
            let Answer::Batch { batch_item_failures } = answer else { panic!("{answer:?}") };
            // The mapping starts again at the lowest sequence number; without one, an error means
            // the whole batch.
            let failed = batch_item_failures
                .iter()
                .map(|failure| {
                    records
                        .iter()
                        .position(|(sequence, _)| sequence.to_string() == failure.item_identifier)
                        .unwrap()
                })
                .min();
            let Some(from) = failed.or(lost.then_some(range.start)) else { continue };
            let again = from..range.end;
            if weather.bisect && again.len() > 1 {
                let middle = again.start + again.len() / 2;
                pending.push_front(middle..again.end);
                pending.push_front(again.start..middle);
            } else {
                pending.push_front(again);
            }
        }
        next += size;
    }
    for (first, size) in weather.zombies {
        let first = first.index(records.len());
        let last = (first + size).min(records.len());
        conform.handle(&payload(&records[first..last])).await.unwrap();
    }
}

/// What the lake holds: silver rows by key, quarantined lines by their origin, described lines by
/// theirs.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    silver: BTreeSet<String>,
    quarantine: BTreeMap<String, String>,
    described: BTreeSet<String>,
}

async fn contents(lake: &MemoryStore) -> Contents {
    let mut found = Contents {
        silver: BTreeSet::new(),
        quarantine: BTreeMap::new(),
        described: BTreeSet::new(),
    };
    for key in lake.keys() {
        let bytes = lake.get(&key).await.unwrap().unwrap().bytes;
        if key.starts_with("quarantine/") {
            let mut ndjson = String::new();
            GzDecoder::new(&bytes[..]).read_to_string(&mut ndjson).unwrap();
            for line in ndjson.lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                found.quarantine.insert(
                    record["origin"].to_string(),
                    record["envelope"].as_str().unwrap().to_owned(),
                );
            }
            continue;
        }
        let (rows, column) = if key.starts_with("silver/quarantined/") {
            (&mut found.described, "origin")
        } else {
            (&mut found.silver, "event_id")
        };
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            rows.extend(
                batch
                    .column_by_name(column)
                    .unwrap()
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .map(str::to_owned),
            );
        }
    }
    found
}

fn conform() -> Conform<MemoryStore> {
    Conform {
        conformer: Conformer::new(contracts(), LAYOUT),
        bucket: "lake".to_owned(),
        lake: MemoryStore::default(),
        metrics: Metrics::new("conform", Arc::new(MemorySink::default())),
    }
}

fn run(conform: &Conform<MemoryStore>, records: &[(usize, String)], weather: Weather) -> Contents {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        deliver(conform, records, weather).await;
        conform.lake.fail([]);
        contents(&conform.lake).await
    })
}

#[test]
fn given_a_poller_that_lost_its_shard_when_it_delivers_less_of_a_batch_then_the_rest_is_still_there()
 {
    let records: Vec<_> =
        (0..4).map(|number| (number, envelope("m", event(&format!("e{number}"))))).collect();
    let calm = Weather {
        batch_sizes: VecDeque::new(),
        faults: Vec::new(),
        bisect: false,
        lost_answers: VecDeque::new(),
        zombies: Vec::new(),
    };
    let conform = conform();
    run(&conform, &records, calm.clone());

    let found = run(&conform, &records[..2], calm);

    assert_eq!(found.silver.len(), 4);
}

fn weather() -> impl Strategy<Value = Weather> {
    let flags = |likely: f64, most: usize| {
        proptest::collection::vec(proptest::bool::weighted(likely), 0..most)
    };
    let zombies = proptest::collection::vec((any::<prop::sample::Index>(), 1..8_usize), 0..3);
    (
        proptest::collection::vec(1..7_usize, 0..12),
        flags(0.4, 30),
        any::<bool>(),
        flags(0.3, 12),
        zombies,
    )
        .prop_map(|(batch_sizes, faults, bisect, lost_answers, zombies)| Weather {
            batch_sizes: batch_sizes.into(),
            faults,
            bisect,
            lost_answers: lost_answers.into(),
            zombies,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_mapping_does_every_line_is_in_the_lake_once_its_duplicates_are_dropped(
        // Per record its lines: good (a key, which may repeat) or bad.
        shard in proptest::collection::vec(proptest::collection::vec(proptest::option::weighted(0.8, 0..40_u8), 1..4), 1..20),
        weather in weather(),
    ) {
        let mut expected = Contents { silver: BTreeSet::new(), quarantine: BTreeMap::new(), described: BTreeSet::new() };
        let mut records = Vec::new();
        for (position, lines) in shard.iter().enumerate() {
            let sequence = 1000 + position;
            let mut record = String::new();
            for (line, key) in lines.iter().enumerate() {
                let number = line + 1;
                let text = match key {
                    Some(key) => {
                        expected.silver.insert(format!("e{key}"));
                        envelope(&format!("m{sequence}.{line}"), event(&format!("e{key}")))
                    }
                    None => {
                        let text = envelope(&format!("m{sequence}.{line}"), json!({"event_id": 1}));
                        let origin = json!({"stream": "shoplake-local-web", "shard": "shardId-000000000000", "sequence": sequence.to_string(), "line": number});
                        expected.quarantine.insert(origin.to_string(), text.clone());
                        expected.described.insert(format!("shoplake-local-web:shardId-000000000000/{sequence}:{number}"));
                        text
                    }
                };
                record.push_str(&text);
                record.push('\n');
            }
            records.push((sequence, record));
        }
        let conform = conform();

        let found = run(&conform, &records, weather);

        prop_assert_eq!(found, expected);
    }
}
