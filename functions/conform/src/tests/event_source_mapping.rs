//! A Kinesis shard and its event source mapping, as AWS documents them: batches of any size,
//! retries, `batchItemFailures`, bisection, late deliveries by a poller that lost its shard, a lake
//! that fails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;

use arrow::array::AsArray;
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};
use shoplake_lake::{MemoryStore, Store};
use shoplake_testing::STREAM;

use super::{SHARD, conform, envelope, event, payload};
use crate::{Answer, Conform};

/// How the mapping and the lake behave in one run. Each step uses the next element of a list; after
/// its end there are no further faults.
#[derive(Clone, Debug, Default)]
struct FaultPlan {
    /// Sizes of the polled batches; all remaining records after the end.
    batch_sizes: VecDeque<usize>,
    /// Which writes of the lake fail.
    failed_writes: Vec<bool>,
    /// `BisectBatchOnFunctionError`.
    bisect: bool,
    /// Whether the answer is lost, so that the mapping takes a success for a failure.
    lost_answers: VecDeque<bool>,
    /// Batches (first record, size) that a poller without a shard delivers after all others.
    late_deliveries: Vec<(prop::sample::Index, usize)>,
}

/// Delivers every record at least once, in order, until the function has processed all of them.
async fn deliver(conform: &Conform<MemoryStore>, records: &[(usize, String)], mut plan: FaultPlan) {
    conform.lake.fail(plan.failed_writes.clone());
    let mut next = 0;
    while next < records.len() {
        let size =
            plan.batch_sizes.pop_front().unwrap_or(records.len()).clamp(1, records.len() - next);
        let mut pending = VecDeque::new();
        pending.push_back(next..next + size);
        while let Some(range) = pending.pop_front() {
            let answer = conform.handle(&payload(&records[range.clone()])).await.unwrap();
            let lost = plan.lost_answers.pop_front().unwrap_or(false);
            let Answer::Batch { batch_item_failures } = answer else { panic!("{answer:?}") };
            // The mapping restarts at the lowest sequence number, and after a lost answer at the
            // first record.
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
            if plan.bisect && again.len() > 1 {
                let middle = again.start + again.len() / 2;
                pending.push_front(middle..again.end);
                pending.push_front(again.start..middle);
            } else {
                pending.push_front(again);
            }
        }
        next += size;
    }
    for (first, size) in plan.late_deliveries {
        let first = first.index(records.len());
        let last = (first + size).min(records.len());
        conform.handle(&payload(&records[first..last])).await.unwrap();
    }
}

/// The contents of the lake: the keys of silver rows, quarantined lines by their origin, and the
/// origins of the rows of `quarantined`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    silver: BTreeSet<String>,
    quarantine: BTreeMap<String, String>,
    quarantined_rows: BTreeSet<String>,
}

async fn contents(lake: &MemoryStore) -> Contents {
    let mut found = Contents::default();
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
            (&mut found.quarantined_rows, "origin")
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

fn run(conform: &Conform<MemoryStore>, records: &[(usize, String)], plan: FaultPlan) -> Contents {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        deliver(conform, records, plan).await;
        conform.lake.fail([]);
        contents(&conform.lake).await
    })
}

#[test]
fn a_late_shorter_batch_does_not_overwrite_a_longer_one() {
    let records: Vec<_> =
        (0..4).map(|number| (number, envelope("m", event(&format!("e{number}"))))).collect();
    let (conform, _) = conform();
    run(&conform, &records, FaultPlan::default());

    let found = run(&conform, &records[..2], FaultPlan::default());

    assert_eq!(found.silver.len(), 4);
}

fn fault_plan() -> impl Strategy<Value = FaultPlan> {
    let flags = |likely: f64, most: usize| {
        proptest::collection::vec(proptest::bool::weighted(likely), 0..most)
    };
    let late_deliveries =
        proptest::collection::vec((any::<prop::sample::Index>(), 1..8_usize), 0..3);
    (
        proptest::collection::vec(1..7_usize, 0..12),
        flags(0.4, 30),
        any::<bool>(),
        flags(0.3, 12),
        late_deliveries,
    )
        .prop_map(|(batch_sizes, failed_writes, bisect, lost_answers, late_deliveries)| {
            FaultPlan {
                batch_sizes: batch_sizes.into(),
                failed_writes,
                bisect,
                lost_answers: lost_answers.into(),
                late_deliveries,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_line_is_in_the_lake_after_any_deliveries(
        // The lines of each record: the key of a valid event (may repeat), or an invalid event.
        shard in proptest::collection::vec(
            proptest::collection::vec(proptest::option::weighted(0.8, 0..40_u8), 1..4),
            1..20,
        ),
        plan in fault_plan(),
    ) {
        let mut expected = Contents::default();
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
                        let origin = json!({
                            "stream": STREAM,
                            "shard": SHARD,
                            "sequence": sequence.to_string(),
                            "line": number,
                        });
                        expected.quarantine.insert(origin.to_string(), text.clone());
                        let row = format!("{STREAM}:{SHARD}/{sequence}:{number}");
                        expected.quarantined_rows.insert(row);
                        text
                    }
                };
                record.push_str(&text);
                record.push('\n');
            }
            records.push((sequence, record));
        }
        let (conform, _) = conform();

        let found = run(&conform, &records, plan);

        prop_assert_eq!(found, expected);
    }
}
