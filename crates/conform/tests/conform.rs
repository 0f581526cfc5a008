//! Batches, from bytes to objects.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};
use shoplake_conform::{Conformer, Counts, Layout, Output};
use shoplake_contracts::envelope::{Envelope, oversized_beginning};
use shoplake_contracts::{Contracts, RowMetadata, text};
use shoplake_testing::{kinesis_event, page_view, schema};

const ORDERS: &str = r#"{
    "type": "object",
    "x-dataset": {
        "source": "shop", "delivery": "stream", "key": ["shop_id", "order_id"],
        "version": "updated_at", "event_time": "updated_at",
        "partition": "bucket(order_id, 8)", "sort": ["shop_id", "order_id"]
    },
    "required": ["order_id", "updated_at"],
    "properties": {
        "order_id": {"type": "string"},
        "updated_at": {"type": "string", "format": "date-time"},
        "line_items": {
            "type": "array",
            "x-child": {"dataset": "order_lines", "ordinal": "line_no"},
            "items": {
                "type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}}
            }
        }
    }
}"#;

fn conformer() -> Conformer {
    let mut sources: Vec<_> = ["web_traffic", "pos_sales", "control_totals", "quarantined"]
        .map(|dataset| (dataset.to_owned(), schema(dataset)))
        .into();
    sources.push(("orders".to_owned(), ORDERS.to_owned()));
    Conformer::new(Contracts::from_sources(sources).unwrap(), layout())
}

fn layout() -> Layout {
    Layout {
        silver: |dataset, partition, name| {
            format!("silver/{dataset}/{}/{name}.parquet", partition.silver_folder())
        },
        quarantine: |dataset, day, name| format!("quarantine/{dataset}/dt={day}/{name}.ndjson.gz"),
    }
}

fn envelope(id: &str, dataset: &str, data: Value) -> String {
    shoplake_testing::envelope("acme", dataset, id, &data)
}

/// Returns the event of records whose sequence numbers begin with 100.
fn payload(records: &[&[u8]]) -> String {
    kinesis_event("shardId-000000000001", (100..).zip(records))
}

fn object(output: &Output, prefix: &str) -> Bytes {
    let mut found = output.objects.iter().filter(|object| object.key.starts_with(prefix));
    found
        .next()
        .unwrap_or_else(|| {
            panic!(
                "no {prefix} in {:?}",
                output.objects.iter().map(|object| &object.key).collect::<Vec<_>>()
            )
        })
        .bytes
        .clone()
}

fn batch(bytes: Bytes) -> RecordBatch {
    ParquetRecordBatchReaderBuilder::try_new(bytes)
        .unwrap()
        .build()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
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
fn events_of_two_days_become_two_sorted_objects() {
    let lines = [
        envelope("m1.0", "web_traffic", page_view("e2", "2026-11-21T00:00:00Z")),
        envelope("m1.1", "web_traffic", page_view("e1", "2026-11-20T23:59:59Z")),
        envelope("m1.2", "web_traffic", page_view("e0", "2026-11-20T12:00:00+00:00")),
    ];
    let record = format!("{}\r\n\n  \n{}\n{}", lines[0], lines[1], lines[2]);

    let output = conformer().conform_kinesis(&payload(&[record.as_bytes()])).unwrap();

    let keys: Vec<_> = output.objects.iter().map(|object| object.key.as_str()).collect();
    let name = "shoplake-local-web-shardId-000000000001-100-1.parquet";
    assert_eq!(
        keys,
        [
            format!("silver/web_traffic/dt=2026-11-20/{name}"),
            format!("silver/web_traffic/dt=2026-11-21/{name}"),
        ]
    );
    let first = batch(output.objects[0].bytes.clone());
    assert_eq!(texts(&first, "event_id"), ["e0", "e1"]);
    assert_eq!(texts(&first, "_envelope_id"), ["m1.2", "m1.1"]);
    assert_eq!(texts(&first, "shop_id"), ["acme", "acme"]);
    let counts = output.counts["web_traffic"];
    assert_eq!((counts.received, counts.silver_rows, counts.quarantined), (3, 3, 0));
    let metadata =
        ParquetRecordBatchReaderBuilder::try_new(output.objects[0].bytes.clone()).unwrap();
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
fn an_object_of_a_stream_names_its_few_shops() {
    let line = |shop: &str, attributes: &str| {
        let page_view = page_view("e", "2026-11-20T12:00:00Z");
        let envelope = shoplake_testing::envelope(shop, "web_traffic", "m", &page_view);
        envelope.replace(r#""datacontenttype""#, &format!(r#"{attributes}"datacontenttype""#))
    };
    let shops = |output: Output| -> Vec<_> {
        output.objects.into_iter().map(|object| object.shops).collect()
    };
    let of = |lines: &[String]| shops(conform_lines(lines));
    let none: [Vec<String>; 1] = [Vec::new()];
    assert_eq!(of(&["b", "a", "b"].map(|shop| line(shop, ""))), [["a", "b"]]);
    let many: Vec<_> = (0..17).map(|number| line(&format!("shop-{number}"), "")).collect();
    assert_eq!(of(&many[1..])[0].len(), 16);
    assert_eq!(of(&many), none);

    let backfill = line("b", r#""backfill":"history","#);
    assert_eq!(of(&[line("a", ""), backfill]), none);
    let order = json!({"order_id": "o", "updated_at": "2026-11-20T12:00:00Z"});
    assert_eq!(of(&[envelope("m", "orders", order)]), none, "a bucket is never old");
    let key = "bronze/web/dt=2026-11-21/hour=10/x.gz";
    let lines = format!("{}\n", line("a", ""));
    let replayed = conformer().conform_bronze("lake", key, lines.as_bytes(), None).unwrap();
    assert_eq!(shops(replayed), none);
}

#[test]
fn every_kind_of_bad_line_is_kept_with_its_reason() {
    let wrong = page_view("e1", "yesterday");
    let mut foreign = page_view("e2", "2026-11-20T12:00:00Z");
    foreign["shop_id"] = "other".into();
    let record = [
        b"not json".to_vec(),
        b"\xff\xfe".to_vec(),
        br#"{"id":"m","shopid":"Not A Shop","dataset":"web_traffic","data":{}}"#.to_vec(),
        envelope("m2", "telepathy", json!({})).into_bytes(),
        envelope("m3", "quarantined", json!({})).into_bytes(),
        envelope("m4", "web_traffic", wrong).into_bytes(),
        envelope("m5", "web_traffic", foreign).into_bytes(),
        envelope("m6", "web_traffic", page_view("e3", "2026-11-20T12:00:00Z")).into_bytes(),
    ]
    .join(&b'\n');

    let output = conformer().conform_kinesis(&payload(&[&record])).unwrap();

    let unknown = quarantined(&object(&output, "quarantine/_unknown/"));
    let known = quarantined(&object(&output, "quarantine/web_traffic/"));
    let kinds: Vec<_> = unknown
        .iter()
        .chain(&known)
        .map(|record| record["failure"]["kind"].as_str().unwrap())
        .collect();
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

    let rows = batch(object(&output, "silver/quarantined/"));
    let mut codes = texts(&rows, "code");
    codes.sort();
    assert_eq!(
        codes,
        [
            "format",
            "format",
            "malformed",
            "malformed",
            "not_allowed",
            "not_allowed",
            "shop_mismatch"
        ]
    );
    assert!(texts(&rows, "shop_id").contains(&"_unknown".to_owned()));
    let counts = output.counts["web_traffic"];
    assert_eq!((counts.received, counts.silver_rows, counts.quarantined), (4, 1, 3));
    assert_eq!(
        output.counts["_unknown"],
        Counts { received: 4, quarantined: 4, ..Counts::default() }
    );
}

#[test]
fn an_envelope_in_another_order_or_with_escapes_is_valid() {
    let data = page_view("e1", "2026-11-20T12:00:00Z");
    let record = format!(
        "{}\n{}",
        format_args!(
            "{{\"data\":{data},\"receivedat\":\"2026-11-21T10:00:00Z\",\
             \"dataset\":\"web_traffic\",\"shopid\":\"acme\",\"id\":\"m1\"}}"
        ),
        format_args!(
            "{{\"id\":\"m\\u0032\",\"shopid\":\"acme\",\"dataset\":\"web_traffic\",\
             \"receivedat\":\"2026-11-21T10:00:00Z\",\"data\":{data}}}"
        ),
    );
    let output = conformer().conform_kinesis(&payload(&[record.as_bytes()])).unwrap();
    assert_eq!(texts(&batch(object(&output, "silver/web_traffic/")), "_envelope_id"), ["m1", "m2"]);
}

#[test]
fn the_items_of_an_array_are_rows_in_their_parents_partition() {
    let order = json!({
        "order_id": "o1",
        "updated_at": "2026-11-20T12:00:00Z",
        "line_items": [{"sku": "a"}, {"sku": "b"}],
    });
    let record = envelope("m1", "orders", order);
    let output = conformer().conform_kinesis(&payload(&[record.as_bytes()])).unwrap();

    let folder = |key: &str| key.split('/').nth(2).map(str::to_owned);
    assert_eq!(output.objects.len(), 2);
    assert_eq!(folder(&output.objects[0].key), folder(&output.objects[1].key));
    let lines = batch(object(&output, "silver/order_lines/"));
    assert_eq!(
        lines.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["shop_id", "order_id", "updated_at", "line_no", "sku", "_envelope_id", "_received_at"]
    );
    assert_eq!(texts(&lines, "order_id"), ["o1", "o1"]);
    assert_eq!(texts(&lines, "sku"), ["a", "b"]);
    assert_eq!(output.counts["order_lines"].silver_rows, 2);
}

const RUN: &str = "2026-11-21T04:30:00.000000Z";

/// A line of the trading day 2026-11-20, with these attributes of its envelope.
fn line_of_a_day(attributes: &str, business_date: &str) -> String {
    let sale = json!({
        "transaction_id": "t1", "line_no": 1, "store_id": "s1", "region": "north",
        "product_id": "p1", "quantity": 2, "unit_price": "2.55", "discount": "0",
        "currency": "GBP", "sold_at": "2026-11-20T09:00:00Z", "business_date": business_date,
    });
    let line = envelope("pos/2026-11-20/t1/1", "pos_sales", sale);
    line.replace("\"data\"", &format!("{attributes}\"data\""))
}

#[test]
fn a_row_has_the_batch_and_the_run_that_delivered_it() {
    let delivered = format!("\"subject\":\"2026-11-20\",\"run\":\"{RUN}\",");
    // Also where the data comes first, which is read in another way.
    let reordered = line_of_a_day("", "2026-11-20").replace("{\"specversion\"", "{");
    let data_first = {
        let (header, data) = reordered.split_once(",\"data\":").unwrap();
        let data = data.strip_suffix('}').unwrap();
        let header = header.strip_prefix("{:\"1.0\",").unwrap();
        format!("{{\"data\":{data},{delivered}{header}}}")
    };
    for line in [line_of_a_day(&delivered, "2026-11-20"), data_first] {
        let output = conform_lines(&[line.as_bytes()]);
        let rows = batch(object(&output, "silver/pos_sales/dt=2026-11-20/"));
        assert_eq!(texts(&rows, "_batch"), ["2026-11-20"], "{line}");
        assert_eq!(texts(&rows, "_run"), [RUN]);
    }
    // A sender that does not tell deliveries apart may send any day in any batch.
    let output = conform_lines(&[line_of_a_day("\"subject\":\"2026-11-19\",", "2026-11-20")]);
    let rows = batch(object(&output, "silver/pos_sales/dt=2026-11-20/"));
    assert_eq!(
        (&texts(&rows, "_batch")[0][..], &texts(&rows, "_run")[0][..]),
        ("2026-11-19", "null")
    );
}

#[test]
fn a_row_of_another_batch_or_an_unknown_run_is_quarantined() {
    let cases = [
        (format!("\"subject\":\"2026-11-19\",\"run\":\"{RUN}\","), "business_date", "other_batch"),
        (format!("\"run\":\"{RUN}\","), "subject", "missing"),
        ("\"subject\":\"2026-11-20\",\"run\":\"yesterday\",".to_owned(), "run", "format"),
        ("\"subject\":\"2026-11-20\",\"run\":7,".to_owned(), "run", "type"),
    ];
    for (attributes, field, code) in cases {
        let output = conform_lines(&[line_of_a_day(&attributes, "2026-11-20")]);
        let known = quarantined(&object(&output, "quarantine/pos_sales/"));
        let reason = &known[0]["failure"]["reasons"][0];
        assert_eq!(
            (reason["field"].as_str(), reason["code"].as_str()),
            (Some(field), Some(code)),
            "{attributes}"
        );
        let row = batch(object(&output, "silver/quarantined/"));
        let run = if attributes.contains(RUN) { RUN } else { "null" };
        assert_eq!(texts(&row, "run"), [run], "{attributes}");
    }
}

/// One key has one content: what another decoder reads has other keys.
#[test]
fn objects_of_a_later_generation_have_names_of_their_own() {
    let conform = |generation: &str| {
        let orders = ORDERS.replace("\"source\":", &format!("{generation}\"source\":"));
        let sources = [("orders", orders), ("quarantined", schema("quarantined"))];
        let contracts = Contracts::from_sources(sources).unwrap();
        let order = json!({
            "order_id": "o1", "updated_at": "2026-11-20T12:00:00Z", "line_items": [{"sku": "a"}],
        });
        let lines =
            [envelope("m1", "orders", order), envelope("m2", "orders", json!({"order_id": 7}))];
        let conformer = Conformer::new(contracts, layout());
        conformer.conform_kinesis(&payload(&[lines.join("\n").as_bytes()])).unwrap()
    };
    let keys = |output: &Output| -> Vec<String> {
        output.objects.iter().map(|object| object.key.clone()).collect()
    };
    let (first, second) = (conform(""), conform("\"generation\": 2, "));
    let renamed: Vec<_> =
        keys(&first).iter().map(|key| key.replace("-100-1.", "-100-1.g2.")).collect();
    assert_eq!((keys(&second), renamed.len()), (renamed, 4));
    let columns = |output: &Output| batch(object(output, "silver/order_lines/")).schema();
    assert!(columns(&first).column_with_name("_generation").is_none());
    let rows = batch(object(&second, "silver/order_lines/"));
    let generation = rows.column_by_name("_generation").unwrap();
    assert_eq!(generation.as_primitive::<arrow::datatypes::Int64Type>().value(0), 2);
}

#[test]
fn the_readable_part_of_a_damaged_bronze_object_is_conformed() {
    let line =
        envelope("pos/2026-11-20/t1/1", "web_traffic", page_view("e1", "2026-11-20T12:00:00Z"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write!(encoder, "{line}\n{line}\n").unwrap();
    let whole = encoder.finish().unwrap();
    let key = "bronze/pos/dt=2026-11-21/hour=10/shoplake-local-pos-1.gz";

    let intact = conformer().conform_bronze("lake", key, &whole, None).unwrap();
    let cut_short =
        conformer().conform_bronze("lake", key, &whole[..whole.len() - 8], None).unwrap();

    assert_eq!(
        intact.objects[0].key,
        "silver/web_traffic/dt=2026-11-20/shoplake-local-pos-1.parquet"
    );
    assert_eq!(intact.counts["web_traffic"].silver_rows, 2);
    let damage = quarantined(&object(&cut_short, "quarantine/_unknown/dt=2026-11-21/"));
    assert_eq!(damage[0]["origin"], json!({"bucket": "lake", "key": key, "line": 3}));
    assert_eq!(cut_short.counts["web_traffic"].silver_rows, 2);
}

#[test]
fn an_event_that_is_not_from_kinesis_is_an_error() {
    for payload in ["", "{}", "[]", r#"{"Records":[{}]}"#] {
        assert!(conformer().conform_kinesis(payload).is_err(), "{payload}");
    }
    assert!(conformer().conform_kinesis(r#"{"Records":[]}"#).unwrap().objects.is_empty());
}

/// The silver rows of web traffic, and of each quarantined line its kind, code and day.
fn result(output: &Output) -> (usize, Vec<String>) {
    let (mut rows, mut rejected) = (0, Vec::new());
    for object in &output.objects {
        if object.key.starts_with("silver/web_traffic/") {
            rows += batch(object.bytes.clone()).num_rows();
        } else if object.key.starts_with("silver/quarantined/") {
            let (_, day) = object.key.split_once("/dt=").unwrap();
            let batch = batch(object.bytes.clone());
            let (kinds, codes) = (texts(&batch, "kind"), texts(&batch, "code"));
            rejected.extend(
                kinds.iter().zip(codes).map(|(kind, code)| format!("{kind} {code} {}", &day[..10])),
            );
        }
    }
    rejected.sort();
    (rows, rejected)
}

fn conform_lines(lines: &[impl AsRef<[u8]>]) -> Output {
    let lines: Vec<&[u8]> = lines.iter().map(AsRef::as_ref).collect();
    conformer().conform_kinesis(&payload(&[&lines.join(&b'\n')])).unwrap()
}

fn good() -> String {
    envelope("good", "web_traffic", page_view("good", "2026-11-20T12:00:00Z"))
}

#[test]
fn a_line_of_any_time_is_quarantined_under_a_valid_day() {
    // The records of these tests arrive on 2026-11-21.
    let wrong = envelope("m", "web_traffic", page_view("e", "never"));
    let received = |time: &str| wrong.replace("2026-11-21T10:00:00.000000Z", time);
    let of_batch = |line: String, batch: &str| {
        line.replace(
            r#""specversion":"1.0""#,
            &format!(r#""specversion":"1.0","subject":"{batch}""#),
        )
    };
    for (line, expected) in [
        (wrong.clone(), "contract_violation format 2026-11-21"),
        (received("2026-11-19T10:00:00Z"), "contract_violation format 2026-11-19"),
        (received("2026-11-22T23:59:59Z"), "contract_violation format 2026-11-22"),
        (received("2026-11-23T00:00:00Z"), "malformed_envelope format 2026-11-21"),
        (received("0000-01-01T00:00:00+23:00"), "malformed_envelope format 2026-11-21"),
        (received("0001-01-01T00:00:00Z"), "malformed_envelope format 2026-11-21"),
        (received("1999-12-31T23:59:59Z"), "malformed_envelope format 2026-11-21"),
        (received("2000-01-01T00:00:00Z"), "contract_violation format 2000-01-01"),
        (received("9999-12-31T23:59:59-23:59"), "malformed_envelope format 2026-11-21"),
        (received("soon"), "malformed_envelope format 2026-11-21"),
        (of_batch(wrong.clone(), "2010-12-01"), "contract_violation format 2010-12-01"),
        (of_batch(wrong.clone(), "2026-11-20T23"), "contract_violation format 2026-11-20"),
        (of_batch(wrong.clone(), "9999-12-31"), "contract_violation format 2026-11-21"),
        (of_batch(wrong.clone(), "0000-01-01"), "contract_violation format 2026-11-21"),
        (
            of_batch(received("0000-01-01T00:00:00+23:00"), "2026-11-18"),
            "malformed_envelope format 2026-11-18",
        ),
    ] {
        let output = conform_lines(&[good(), line.clone()]);
        assert_eq!(result(&output), (1, vec![expected.to_owned()]), "{line}");
    }
}

#[test]
fn bad_lines_of_a_bronze_object_without_a_day_get_a_day() {
    for (key, day) in
        [("bronze/pos/x.gz", "2000-01-01"), ("bronze/pos/dt=9999-12-31/x.gz", "2000-01-01")]
    {
        let output = conformer()
            .conform_bronze("lake", key, format!("{}\nnot json", good()).as_bytes(), None)
            .unwrap();
        assert_eq!(
            result(&output),
            (1, vec![format!("malformed_record malformed {day}")]),
            "{key}"
        );
    }
}

#[test]
fn an_envelope_with_an_unstorable_text_is_quarantined() {
    let id = |id: &str| good().replace(r#""id":"good""#, &format!(r#""id":"{id}""#));
    let with = |field: &str| {
        good().replace(r#""specversion":"1.0""#, &format!(r#""specversion":"1.0",{field}"#))
    };
    let unsupported = "malformed_envelope unsupported_character 2026-11-21";
    for (line, expected) in [
        (id(r"a\u0000b"), unsupported),
        (id("a\u{FFFF}b"), unsupported),
        (with(r#""subject":"a\u0000b""#), unsupported),
        (with("\"subject\":\"a\u{1FFFE}b\""), unsupported),
        (good().replace(r#""shopid":"acme""#, r#""shopid":"ac\u0000me""#), unsupported),
        (
            good().replace(r#""dataset":"web_traffic""#, r#""dataset":"web\u0000""#),
            "unknown_dataset not_allowed 2026-11-21",
        ),
        (id(&"i".repeat(16_385)), "malformed_envelope format 2026-11-21"),
        (with(r#""subject":7"#), "malformed_envelope type 2026-11-21"),
        (
            good().replace("https://acme.example/", r"https://\u0000"),
            "contract_violation unsupported_character 2026-11-21",
        ),
    ] {
        let output = conform_lines(&[good(), line]);
        assert_eq!(result(&output), (1, vec![expected.to_owned()]));
    }
    let output = conform_lines(&[
        id(r"a\u0000b"),
        id(r"a\u0000b").replace(r#"{"event_id""#, r#"{"zz\u0000z":1e400,"event_id""#),
    ]);
    let rows = batch(object(&output, "silver/quarantined/"));
    assert_eq!(texts(&rows, "field"), ["id", "id"]);
    assert_eq!(texts(&rows, "actual"), ["U+0000 at character 2", "U+0000 at character 2"]);
    assert_eq!(texts(&rows, "envelope_id"), ["_unknown", "_unknown"]);
}

#[test]
fn an_old_event_is_accepted_in_a_named_backfill_only() {
    let old = envelope("m", "web_traffic", page_view("old", "2010-12-01T12:00:00Z"));
    let backfill = |name: &str| {
        old.replace(r#""datacontenttype""#, &format!(r#""backfill":{name},"datacontenttype""#))
    };
    // The same with the attribute after the data, where one pass would see it too late.
    let last = |name: &str| {
        old.strip_suffix('}').unwrap().to_owned() + &format!(r#","backfill":{name}}}"#)
    };
    for line in [backfill(r#""history-2010""#), last(r#""history-2010""#)] {
        assert_eq!(result(&conform_lines(&[line])), (1, Vec::new()));
    }
    for (line, expected) in [
        (old.clone(), "contract_violation too_old 2026-11-21"),
        (backfill("null"), "contract_violation too_old 2026-11-21"),
        (backfill(r#""History 2010""#), "malformed_envelope format 2026-11-21"),
        (last(r#""""#), "malformed_envelope format 2026-11-21"),
        (backfill("true"), "malformed_envelope type 2026-11-21"),
        (
            backfill(r#""h""#).replace("2010-12-01", "2026-11-23"),
            "contract_violation in_the_future 2026-11-21",
        ),
    ] {
        assert_eq!(result(&conform_lines(&[good(), line])), (1, vec![expected.to_owned()]));
    }
}

#[test]
fn old_bronze_is_conformed_again_in_a_named_backfill() {
    let old = envelope("m", "web_traffic", page_view("old", "2010-12-01T12:00:00Z"));
    // The slow path takes a line whose id is escaped.
    let escaped = old.replace(r#""id":"m""#, r#""id":"\u006d2""#);
    let key = "bronze/web/dt=2026-11-21/hour=10/shoplake-local-web-1";
    let lines = format!("{old}\n{escaped}\n");
    let conform = |name: Option<&str>| {
        let backfill = name.map(|name| name.parse().unwrap());
        conformer().conform_bronze("lake", key, lines.as_bytes(), backfill.as_ref()).unwrap()
    };
    let counts = |name| {
        let counts = &conform(name).counts["web_traffic"];
        (counts.silver_rows, counts.quarantined)
    };
    assert_eq!(counts(None), (0, 2));
    assert_eq!(counts(Some("history-2010")), (2, 0));
}

#[test]
fn a_row_larger_than_a_record_is_quarantined_with_its_size() {
    let shop = "acme".parse().unwrap();
    let row = format!(r#"{{"note":"{}"}}"#, "\u{1F600}".repeat(400_000));
    let beginning = oversized_beginning(&row).unwrap();
    let received_at = "2026-11-21T10:00:00Z".parse().unwrap();
    let envelope =
        Envelope::new(&shop, "pos", "pos_sales", "pos/2010-12-01/row-7", received_at, &beginning)
            .with_subject("2010-12-01")
            .with_oversized_bytes(row.len());
    let line = envelope.to_line().unwrap();
    assert!(line.len() < 12_000, "{}", line.len());

    let output = conform_lines(&[good().into_bytes(), line.clone()]);

    assert_eq!(result(&output), (1, vec!["oversized_row too_large 2010-12-01".to_owned()]));
    let rows = batch(object(&output, "silver/quarantined/"));
    let shown = |column: &str| texts(&rows, column)[0].clone();
    assert_eq!(
        (shown("dataset"), shown("batch"), shown("field")),
        ("pos_sales".into(), "2010-12-01".into(), String::new())
    );
    assert_eq!(shown("expected"), "a row of at most 1024000 bytes in its envelope");
    assert_eq!(shown("actual"), "1600011 bytes");
    let kept = quarantined(&object(&output, "quarantine/pos_sales/dt=2010-12-01/"));
    assert_eq!(kept[0]["failure"]["kind"], "oversized_row");
    assert_eq!(kept[0]["envelope"].as_str().unwrap().len(), line.len() - 1);

    let no_size = String::from_utf8(line).unwrap().replace(&row.len().to_string(), "many");
    assert_eq!(result(&conform_lines(&[no_size])).1, ["malformed_envelope format 2010-12-01"]);
}

#[test]
fn a_byte_order_mark_before_a_line_is_ignored() {
    let lines = [format!("\u{FEFF}{}", good()), good(), "\u{FEFF}".to_owned()];
    assert_eq!(result(&conform_lines(&lines)), (2, Vec::new()));
    let reordered = format!(
        "\u{FEFF}{{\"data\":{},{}",
        page_view("e", "2026-11-20T12:00:00Z"),
        &good()[1..].replace(r#","data""#, r#","zz""#)
    );
    assert_eq!(result(&conform_lines(&[reordered])), (1, Vec::new()));
}

/// Each attribute as it may come: mostly right, and mostly in one way only.
fn any_envelope() -> impl Strategy<Value = (Vec<(&'static str, String)>, String)> {
    let odd = ["null", "7", r#""""#, r#""a\u0000b""#, "\"a\u{FFFE}\"", r#""\ud800""#, "[]"];
    let text = |good: &'static str| {
        prop_oneof![
            12 => Just(json!(good).to_string()),
            1 => any::<String>().prop_map(|text| json!(text).to_string()),
            1 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
        ]
    };
    let time = prop_oneof![
        8 => Just(json!("2026-11-21T10:00:00Z").to_string()),
        2 => "\"[0-9]{4}-(0[1-9]|1[0-2])-[0-2][1-9]T[01][0-9]:00:00(Z|[+-]23:59)\"",
    ];
    let size = prop_oneof![
        8 => Just(None),
        1 => Just(Some(r#""1234567""#.to_owned())),
        1 => Just(Some("12".to_owned())),
    ];
    let backfill = prop_oneof![
        4 => Just(None),
        1 => Just(Some(r#""history""#.to_owned())),
        1 => text("No Name").prop_map(Some),
    ];
    let batch = proptest::option::of(text("2026-11-20"));
    let run = proptest::option::of(text("2026-11-21T04:30:00.000000Z"));
    let occurred_at = prop_oneof![
        6 => Just("2026-11-20T12:00:00Z"),
        1 => Just("2010-12-01T12:00:00Z"),
        1 => Just("2098-01-01T00:00:00Z"),
    ];
    let more = (batch, run, backfill, size);
    (text("m"), text("acme"), text("web_traffic"), time, more, occurred_at).prop_map(
        |(id, shop, dataset, received_at, (subject, run, backfill, size), occurred_at)| {
            let attributes = [
                ("id", Some(id)),
                ("shopid", Some(shop)),
                ("dataset", Some(dataset)),
                ("receivedat", Some(received_at)),
                ("subject", subject),
                ("run", run),
                ("backfill", backfill),
                ("oversizedbytes", size),
            ];
            let attributes =
                attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
            (attributes.collect(), page_view("e", occurred_at).to_string())
        },
    )
}

/// The envelope with its data before the attribute at this position, or at its end.
fn written(attributes: &[(&str, String)], data: &str, position: usize) -> String {
    let mut fields: Vec<_> =
        attributes.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    fields.insert(position.min(fields.len()), format!("\"data\":{data}"));
    format!("{{{}}}", fields.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// An envelope whose data is not its last field takes the slow path if the header needs what
    /// follows.
    #[test]
    fn the_fast_and_the_slow_path_have_one_result(
        (attributes, data) in any_envelope(),
        position in 0..7_usize,
    ) {
        let read = |position| conform_lines(&[written(&attributes, &data, position)]);
        let (fast, slow) = (read(usize::MAX), read(position));
        prop_assert_eq!(result(&fast), result(&slow));
        prop_assert_eq!(result(&fast).0 + result(&fast).1.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Any bytes: nothing panics or fails, every line is counted once, good lines are rows, all
    /// that is written can be stored, and the same input gives the same objects.
    #[test]
    fn no_line_is_lost_next_to_any_other(
        mut lines in proptest::collection::vec(any_line(), 0..20),
        place in any::<prop::sample::Index>(),
    ) {
        lines.insert(place.index(lines.len() + 1), good().into_bytes());
        let record = lines.join(&b'\n');
        let is_blank = |line: &[u8]| {
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii().is_empty()
        };
        let expected = record.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).count();
        let conformer = conformer();
        let payload = payload(&[&record]);

        let output = conformer.conform_kinesis(&payload).unwrap();

        let received: u64 = output.counts.values().map(|counts| counts.received).sum();
        prop_assert_eq!(received, expected as u64);
        for counts in output.counts.values() {
            prop_assert_eq!(counts.received, counts.silver_rows + counts.quarantined);
        }
        let objects = |prefix: &'static str| {
            output.objects.iter().filter(move |object| object.key.starts_with(prefix))
        };
        let tables = |prefix| objects(prefix).map(|object| batch(object.bytes.clone()));
        let described: usize = tables("silver/quarantined/").map(|table| table.num_rows()).sum();
        let kept: usize =
            objects("quarantine/").map(|object| quarantined(&object.bytes).len()).sum();
        let rejected: u64 = output.counts.values().map(|counts| counts.quarantined).sum();
        prop_assert_eq!((described, kept as u64), (kept, rejected));
        let mut landed = tables("silver/web_traffic/").flat_map(|table| texts(&table, "event_id"));
        prop_assert!(landed.any(|id| id == "good"));
        for table in tables("silver/") {
            let texts = table.columns().iter().filter_map(|column| column.as_string_opt::<i32>());
            for text in texts.flat_map(|column| column.iter().flatten()) {
                prop_assert!(text.len() <= 65_535, "{} bytes", text.len());
                prop_assert_eq!(text::unsupported_character(text), None);
            }
        }
        prop_assert_eq!(conformer.conform_kinesis(&payload).unwrap().objects, output.objects);
    }
}

/// What is quarantined keeps its own contract, although its rows are not decoded from JSON.
#[test]
fn a_quarantined_line_is_a_row_of_its_contract() {
    let contracts = shoplake_testing::contracts();
    let contract = contracts.get("quarantined").unwrap();
    let odd = envelope("m", "web_traffic", page_view("e", "never"));
    let lines = [
        b"not json".to_vec(),
        br#"{"id":"m"}"#.to_vec(),
        envelope("m", "telepathy", json!({})).into_bytes(),
        odd.clone().into_bytes(),
        odd.replace(r#""data""#, r#""oversizedbytes":"2000000","data""#).into_bytes(),
        odd.replace("{\"event_id\"", "{\"\u{FFFF}\\u0000\":1e400,\"event_id\"").into_bytes(),
    ];
    let rows = batch(object(&conform_lines(&lines), "silver/quarantined/"));
    assert_eq!(rows.num_rows(), lines.len());
    let columns = contract.columns.iter().map(|column| column.name.as_str());
    let columns: Vec<_> = columns.filter(|name| *name != "day" && !name.starts_with('_')).collect();
    for row in 0..rows.num_rows() {
        let fields = columns
            .iter()
            .map(|name| ((*name).to_owned(), Value::from(texts(&rows, name)[row].clone())));
        let mut data: serde_json::Map<_, _> =
            fields.filter(|(_, value)| *value != "null").collect();
        data.insert("day".to_owned(), "2026-11-21".into());
        let shop = data["shop_id"].as_str().unwrap().to_owned();
        let metadata = RowMetadata { shop: &shop, envelope_id: "m", ..Default::default() };
        assert_eq!(contract.validate(metadata, Value::from(data).to_string().as_bytes()), Ok(()));
    }
    let kinds: BTreeSet<_> = texts(&rows, "kind").into_iter().collect();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(envelope("m", "web_traffic", page_view("e", "2026-11-20T12:00:00Z")).into_bytes()),
        Just(envelope("m", "telepathy", json!({})).into_bytes()),
        any_envelope()
            .prop_map(|(attributes, data)| written(&attributes, &data, usize::MAX).into_bytes()),
        any_envelope().prop_map(|(attributes, data)| written(&attributes, &data, 0).into_bytes()),
        // Any text anywhere in an event, and in the name of a field.
        (any::<String>(), any::<String>()).prop_map(|(text, name)| {
            let mut event = page_view(&text, "2026-11-20T12:00:00Z");
            event["page_title"] = text.into();
            event[name] = json!(1);
            envelope("m", "web_traffic", event).into_bytes()
        }),
        // Deeper than any reader goes, and larger than any text may be.
        (1..400_usize).prop_map(|levels| {
            let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            good().replace(r#"{"event_id""#, &format!(r#"{{"zz":{nested},"event_id""#)).into_bytes()
        }),
        (1..60_000_usize).prop_map(|size| envelope(
            &"\u{1F600}".repeat(size),
            "web_traffic",
            json!({})
        )
        .into_bytes()),
        // A good line, damaged in one place.
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(position, byte)| {
            let mut line =
                envelope("m", "web_traffic", page_view("e", "2026-11-20T12:00:00Z")).into_bytes();
            let position = position.index(line.len());
            line[position] = byte;
            line
        }),
    ]
}
