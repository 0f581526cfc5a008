//! Batches, from bytes to objects.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};
use shoplake_conform::{Conformer, Counts, Layout, Outcome};
use shoplake_contracts::Contracts;

const ORDERS: &str = r#"{
    "type": "object",
    "x-dataset": {"source": "shop", "delivery": "stream", "key": ["shop_id", "order_id"], "version": "updated_at", "event_time": "updated_at",
                  "partition": "bucket(order_id, 8)", "sort": ["shop_id", "order_id"]},
    "required": ["order_id", "updated_at"],
    "properties": {
        "order_id": {"type": "string"},
        "updated_at": {"type": "string", "format": "date-time"},
        "line_items": {"type": "array", "x-child": {"dataset": "order_lines", "ordinal": "line_no"},
                       "items": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}}}}
    }
}"#;

fn conformer() -> Conformer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/schemas");
    let schema = |dataset: &str| std::fs::read_to_string(folder.join(format!("{dataset}.json"))).unwrap();
    let mut sources: Vec<_> = ["web_traffic", "pos_sales", "control_totals", "quarantined"]
        .map(|dataset| (dataset.to_owned(), schema(dataset)))
        .into();
    sources.push(("orders".to_owned(), ORDERS.to_owned()));
    let layout = Layout {
        silver: |dataset, partition, name| format!("silver/{dataset}/{partition}/{name}.parquet"),
        quarantine: |dataset, day, name| format!("quarantine/{dataset}/dt={day}/{name}.ndjson.gz"),
    };
    Conformer::new(Contracts::from_sources(sources).unwrap(), layout)
}

fn event(id: &str, occurred_at: &str) -> Value {
    json!({"event_id": id, "session_id": "s1", "visitor_id": "v1", "event_type": "page_view", "occurred_at": occurred_at, "page_url": "https://acme.example/"})
}

fn envelope(id: &str, dataset: &str, data: Value) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shops/acme/web","type":"{dataset}.received","shopid":"acme","dataset":"{dataset}","receivedat":"2026-11-21T10:00:00.000000Z","datacontenttype":"application/json","data":{data}}}"#
    )
}

fn payload(records: &[&[u8]]) -> String {
    let record = |(position, data): (usize, &&[u8])| {
        json!({
            "kinesis": {"data": base64_simd::STANDARD.encode_to_string(data), "sequenceNumber": (100 + position).to_string(), "approximateArrivalTimestamp": 1_795_255_200.5},
            "eventID": format!("shardId-000000000001:{}", 100 + position),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/shoplake-local-web",
        })
    };
    json!({"Records": records.iter().enumerate().map(record).collect::<Vec<_>>()}).to_string()
}

fn object(outcome: &Outcome, prefix: &str) -> Bytes {
    let mut found = outcome.objects.iter().filter(|object| object.key.starts_with(prefix));
    found
        .next()
        .unwrap_or_else(|| {
            panic!(
                "no {prefix} in {:?}",
                outcome.objects.iter().map(|object| &object.key).collect::<Vec<_>>()
            )
        })
        .bytes
        .clone()
}

fn batch(bytes: Bytes) -> RecordBatch {
    ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap().next().unwrap().unwrap()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap_or("null").to_owned()).collect()
}

fn quarantined(bytes: &Bytes) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_of_two_days_become_two_objects_in_the_contracts_order() {
    let lines = [
        envelope("m1.0", "web_traffic", event("e2", "2026-11-21T00:00:00Z")),
        envelope("m1.1", "web_traffic", event("e1", "2026-11-20T23:59:59Z")),
        envelope("m1.2", "web_traffic", event("e0", "2026-11-20T12:00:00+00:00")),
    ];
    let record = format!("{}\r\n\n  \n{}\n{}", lines[0], lines[1], lines[2]);

    let outcome = conformer().conform_kinesis(&payload(&[record.as_bytes()])).unwrap();

    let keys: Vec<_> = outcome.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "silver/web_traffic/dt=2026-11-20/shoplake-local-web-shardId-000000000001-100-1.parquet",
            "silver/web_traffic/dt=2026-11-21/shoplake-local-web-shardId-000000000001-100-1.parquet",
        ]
    );
    let first = batch(outcome.objects[0].bytes.clone());
    assert_eq!(texts(&first, "event_id"), ["e0", "e1"]);
    assert_eq!(texts(&first, "_envelope_id"), ["m1.2", "m1.1"]);
    assert_eq!(texts(&first, "shop_id"), ["acme", "acme"]);
    let counts = outcome.counts["web_traffic"];
    assert_eq!((counts.received, counts.silver_rows, counts.quarantined), (3, 3, 0));
    let metadata = ParquetRecordBatchReaderBuilder::try_new(outcome.objects[0].bytes.clone()).unwrap();
    let metadata: BTreeMap<_, _> = metadata
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap()))
        .collect();
    assert_eq!(metadata["shoplake.rows"], "2");
    assert_eq!(metadata["shoplake.origin"], "shoplake-local-web/shardId-000000000001/100+1");
}

#[test]
fn every_kind_of_bad_line_is_kept_whole_with_its_reason() {
    let wrong = event("e1", "yesterday");
    let mut foreign = event("e2", "2026-11-20T12:00:00Z");
    foreign["shop_id"] = "other".into();
    let record = [
        b"not json".to_vec(),
        b"\xff\xfe".to_vec(),
        br#"{"id":"m","shopid":"Not A Shop","dataset":"web_traffic","data":{}}"#.to_vec(),
        envelope("m2", "telepathy", json!({})).into_bytes(),
        envelope("m3", "quarantined", json!({})).into_bytes(),
        envelope("m4", "web_traffic", wrong).into_bytes(),
        envelope("m5", "web_traffic", foreign).into_bytes(),
        envelope("m6", "web_traffic", event("e3", "2026-11-20T12:00:00Z")).into_bytes(),
    ]
    .join(&b'\n');

    let outcome = conformer().conform_kinesis(&payload(&[&record])).unwrap();

    let unknown = quarantined(&object(&outcome, "quarantine/_unknown/"));
    let known = quarantined(&object(&outcome, "quarantine/web_traffic/"));
    let kinds: Vec<_> =
        unknown.iter().chain(&known).map(|record| record["failure"]["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "malformed_record",
            "malformed_record",
            "unknown_dataset",
            "unknown_dataset",
            "malformed_envelope",
            "contract_violation",
            "contract_violation"
        ]
    );
    assert_eq!(
        (unknown[0]["envelope"].as_str(), unknown[0]["envelope_encoding"].as_str()),
        (Some("not json"), Some("utf-8"))
    );
    assert_eq!(
        (unknown[1]["envelope"].as_str(), unknown[1]["envelope_encoding"].as_str()),
        (Some("//4="), Some("base64"))
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&known[1]).unwrap());

    let rows = batch(object(&outcome, "silver/quarantined/"));
    let mut codes = texts(&rows, "code");
    codes.sort();
    assert_eq!(
        codes,
        ["format", "format", "malformed", "malformed", "not_allowed", "not_allowed", "shop_mismatch"]
    );
    assert!(texts(&rows, "shop_id").contains(&"_unknown".to_owned()));
    let counts = outcome.counts["web_traffic"];
    assert_eq!((counts.received, counts.silver_rows, counts.quarantined), (4, 1, 3));
    assert_eq!(outcome.counts["_unknown"], Counts { received: 4, quarantined: 4, ..Counts::default() });
}

#[test]
fn an_envelope_in_another_order_or_with_escapes_is_as_good() {
    let data = event("e1", "2026-11-20T12:00:00Z");
    let record = format!(
        "{}\n{}",
        format_args!(
            r#"{{"data":{data},"receivedat":"2026-11-21T10:00:00Z","dataset":"web_traffic","shopid":"acme","id":"m1"}}"#
        ),
        format_args!(
            r#"{{"id":"m\u0032","shopid":"acme","dataset":"web_traffic","receivedat":"2026-11-21T10:00:00Z","data":{data}}}"#
        ),
    );
    let outcome = conformer().conform_kinesis(&payload(&[record.as_bytes()])).unwrap();
    assert_eq!(texts(&batch(object(&outcome, "silver/web_traffic/")), "_envelope_id"), ["m1", "m2"]);
}

#[test]
fn the_items_of_an_array_are_rows_of_their_own_beside_their_parent() {
    let order = json!({"order_id": "o1", "updated_at": "2026-11-20T12:00:00Z", "line_items": [{"sku": "a"}, {"sku": "b"}]});
    let record = envelope("m1", "orders", order);
    let outcome = conformer().conform_kinesis(&payload(&[record.as_bytes()])).unwrap();

    let folder = |key: &str| key.split('/').nth(2).map(str::to_owned);
    assert_eq!(outcome.objects.len(), 2);
    assert_eq!(folder(&outcome.objects[0].key), folder(&outcome.objects[1].key));
    let lines = batch(object(&outcome, "silver/order_lines/"));
    assert_eq!(
        lines.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["shop_id", "order_id", "updated_at", "line_no", "sku", "_envelope_id", "_received_at"]
    );
    assert_eq!(texts(&lines, "order_id"), ["o1", "o1"]);
    assert_eq!(texts(&lines, "sku"), ["a", "b"]);
    assert_eq!(outcome.counts["order_lines"].silver_rows, 2);
}

#[test]
fn a_bronze_object_gives_what_is_readable_of_it() {
    let line = envelope("pos/2026-11-20/t1/1", "web_traffic", event("e1", "2026-11-20T12:00:00Z"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write!(encoder, "{line}\n{line}\n").unwrap();
    let whole = encoder.finish().unwrap();
    let key = "bronze/pos/dt=2026-11-21/hour=10/shoplake-local-pos-1.gz";

    let intact = conformer().conform_bronze("lake", key, &whole).unwrap();
    let cut_short = conformer().conform_bronze("lake", key, &whole[..whole.len() - 8]).unwrap();

    assert_eq!(intact.objects[0].key, "silver/web_traffic/dt=2026-11-20/shoplake-local-pos-1.parquet");
    assert_eq!(intact.counts["web_traffic"].silver_rows, 2);
    let damage = quarantined(&object(&cut_short, "quarantine/_unknown/dt=2026-11-21/"));
    assert_eq!(damage[0]["origin"], json!({"bucket": "lake", "key": key, "line": 3}));
    assert_eq!(cut_short.counts["web_traffic"].silver_rows, 2);
}

#[test]
fn what_is_no_kinesis_event_is_no_batch() {
    for payload in ["", "{}", "[]", r#"{"Records":[{}]}"#] {
        assert!(conformer().conform_kinesis(payload).is_err(), "{payload}");
    }
    assert!(conformer().conform_kinesis(r#"{"Records":[]}"#).unwrap().objects.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes: nothing panics, every line is counted once, and the same input gives the same objects.
    #[test]
    fn no_line_is_lost_whatever_it_is(lines in proptest::collection::vec(any_line(), 0..20)) {
        let record = lines.join(&b'\n');
        let expected = record.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64;
        let conformer = conformer();
        let payload = payload(&[&record]);

        let outcome = conformer.conform_kinesis(&payload).unwrap();

        let received: u64 = outcome.counts.values().map(|counts| counts.received).sum();
        prop_assert_eq!(received, expected);
        for counts in outcome.counts.values() {
            prop_assert_eq!(counts.received, counts.silver_rows + counts.quarantined);
        }
        let described: usize = outcome.objects.iter().filter(|object| object.key.starts_with("silver/quarantined/")).map(|object| batch(object.bytes.clone()).num_rows()).sum();
        let kept: usize = outcome.objects.iter().filter(|object| object.key.starts_with("quarantine/")).map(|object| quarantined(&object.bytes).len()).sum();
        prop_assert_eq!((described, kept as u64), (kept, outcome.counts.values().map(|counts| counts.quarantined).sum()));
        prop_assert_eq!(conformer.conform_kinesis(&payload).unwrap().objects, outcome.objects);
    }
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(envelope("m", "web_traffic", event("e", "2026-11-20T12:00:00Z")).into_bytes()),
        Just(envelope("m", "telepathy", json!({})).into_bytes()),
        // A good line, damaged in one place.
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(position, byte)| {
            let mut line = envelope("m", "web_traffic", event("e", "2026-11-20T12:00:00Z")).into_bytes();
            let position = position.index(line.len());
            line[position] = byte;
            line
        }),
    ]
}
