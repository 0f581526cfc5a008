//! What a compiled contract promises, for every schema of the project and one that uses every
//! keyword.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod support;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use shoplake_contracts::{
    Code, Completeness, Contract, Contracts, ControlSum, Delivery, RowMetadata, TimeWindow, text,
};

use support::documents;
use support::encode::encode;

static CONTRACTS: LazyLock<Contracts> =
    LazyLock::new(|| Contracts::from_sources(sources()).unwrap_or_else(|error| panic!("{error}")));

fn sources() -> Vec<(String, String)> {
    documents::schemas(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas"))
}

/// Checks a property of (contract, schema, document) with documents near each schema.
fn for_documents(
    cases: u32,
    property: impl Fn(&Contract, &Value, &Value) -> Result<(), TestCaseError>,
) {
    for (dataset, schema) in sources() {
        let contract = CONTRACTS.get(&dataset).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let mut runner =
            TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        runner
            .run(&documents::near(&schema), |document| property(contract, &schema, &document))
            .unwrap_or_else(|error| panic!("{dataset}: {error}"));
    }
}

fn metadata(document: &Value) -> RowMetadata<'_> {
    // The rule about the shop is not JSON Schema's: here the data's shop is always the right one.
    let shop = document["shop_id"].as_str().unwrap_or("acme");
    RowMetadata { shop, envelope_id: "e1", received_at: received_at(), ..Default::default() }
}

fn received_at() -> i64 {
    text::parse_timestamp(documents::RECEIVED_AT).unwrap()
}

/// For the documents that are written out here.
fn acme() -> RowMetadata<'static> {
    let received_at = text::parse_timestamp("2026-11-21T12:00:00Z").unwrap();
    RowMetadata { shop: "acme", envelope_id: "e1", received_at, ..Default::default() }
}

#[test]
fn a_reason_is_found_exactly_when_the_decoder_fails() {
    for_documents(1000, |contract, _, document| {
        let bytes = document.to_string();
        let metadata = metadata(document);
        let failed = contract.decode(metadata, bytes.as_bytes(), &mut contract.row()).is_err();
        let reasons = contract.explain(metadata, bytes.as_bytes());
        // The parsers agree about documents like these, so the explanation's last resort must mean:
        // nothing found.
        let found = reasons.iter().any(|reason| reason.code != Code::Malformed);
        prop_assert_eq!(found, failed, "{}\n{:?}", bytes, reasons);
        Ok(())
    });
}

#[test]
fn a_row_survives_being_written_and_read_again() {
    for_documents(1000, |contract, schema, document| {
        let bytes = document.to_string();
        let metadata = metadata(document);
        let mut row = contract.row();
        if contract.decode(metadata, bytes.as_bytes(), &mut row).is_err() {
            return Ok(());
        }
        let children: Vec<&Contract> =
            contract.children.iter().map(|child| CONTRACTS.get(child).unwrap()).collect();
        let written = encode(contract, &children, &row, schema);
        let pretty = serde_json::to_string_pretty(&written).unwrap();
        let mut again = contract.row();
        let decoded = contract.decode(metadata, pretty.as_bytes(), &mut again);
        prop_assert!(
            decoded.is_ok(),
            "{}\n{:?}",
            pretty,
            contract.explain(metadata, pretty.as_bytes())
        );
        prop_assert_eq!(format!("{:?}", texts(&again)), format!("{:?}", texts(&row)));
        Ok(())
    });
}

/// Rows without the difference between a borrowed and an unescaped text.
fn texts(row: &shoplake_contracts::Row<'_>) -> Vec<String> {
    let value = |value: &shoplake_contracts::Value<'_>| {
        value.as_str().map_or_else(|| format!("{value:?}"), |text| format!("{text:?}"))
    };
    row.values.iter().chain(row.children.iter().flatten().flatten()).map(value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A document, cut or damaged in a few places, and plain noise.
    #[test]
    fn any_bytes_are_a_row_or_have_reasons(
        document in documents::near(&serde_json::from_str(documents::SYNTHETIC).unwrap()),
        damage in proptest::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop_oneof![
                    any::<u8>(),
                    proptest::sample::select(b"\"\\{}[]:,u0e-.\n".to_vec()),
                ],
            ),
            0..4,
        ),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = document.to_string().into_bytes();
        for (position, byte) in damage {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        for contract in CONTRACTS.iter() {
            for bytes in [&bytes, &noise] {
                if let Err(reasons) = contract.validate(acme(), bytes) {
                    prop_assert!(!reasons.is_empty());
                } else {
                    // Other parsers accept the bytes, too.
                    prop_assert!(serde_json::from_slice::<Value>(bytes).is_ok());
                }
            }
        }
    }
}

#[test]
fn a_document_nested_too_deeply_is_rejected() {
    let contract = CONTRACTS.get("control_totals").unwrap();
    let good = concat!(
        r#""dataset":"pos_sales","batch":"b","business_date":"2026-11-21","row_count":1,"#,
        r#""quantity_sum":1,"completed_at":"2026-11-21T10:00:00Z""#
    );
    let nested = |levels: usize| {
        format!(r#"{{{good},"deep":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    assert_eq!(contract.validate(acme(), nested(126).as_bytes()), Ok(()));
    assert!(serde_json::from_str::<Value>(&nested(126)).is_ok());
    for levels in [127, 300, 1_000_000] {
        let reasons = contract.validate(acme(), nested(levels).as_bytes()).unwrap_err();
        assert_eq!(reasons[0].code, Code::Malformed);
        assert!(reasons[0].field.starts_with("deep[0]"), "{reasons:?}");
        assert!(serde_json::from_str::<Value>(&nested(levels)).is_err());
    }
}

#[test]
fn a_reason_tells_what_was_expected_and_what_came() {
    let document = r#"{
        "shop_id": "other", "id": "a", "changed_at": "yesterday", "day": "2026-02-29", "count": 5,
        "open": 9, "level": 4, "ratio": 2, "flag": "yes", "consent": false, "kind": "three",
        "other": "y", "code": "x", "any": 12.5, "not_negative": "-1", "positive": "0.00",
        "note": 1, "note": 2, "place": {"position": {"longitude": 1}},
        "lines": [{"sku": "a"}, {"sku": 1}, 3, {}]
    }"#;
    let contract = CONTRACTS.get("synthetic").unwrap();
    let reasons = contract.validate(acme(), document.as_bytes()).unwrap_err();
    insta::assert_snapshot!(
        reasons.iter().map(|reason| format!("[{}] {reason}\n", reason.code)).collect::<String>()
    );
}

#[test]
fn bytes_that_are_not_json_are_named_so() {
    let contract = CONTRACTS.get("web_traffic").unwrap();
    let shown = |bytes: &[u8]| {
        contract
            .validate(acme(), bytes)
            .unwrap_err()
            .iter()
            .map(|reason| format!("[{}] {reason}", reason.code))
            .collect::<String>()
    };
    assert_eq!(
        shown(b"{\"event_id\": "),
        "[malformed] the document: expected a JSON object, got EOF while parsing a value at line 1 \
         column 13"
    );
    assert_eq!(shown(b"[]"), "[type] the document: expected an object, got an array");
}

#[test]
fn what_json_parsers_read_differently_is_rejected() {
    let contract = CONTRACTS.get("pos_sales").unwrap();
    // A validator sees only the nearest double, which is an integer; or the last of two fields; or
    // a row of another shop.
    for (document, code) in [
        (documents::sale("1.0000000000000000001", "\"p\"", "\"1\"", ""), Code::Type),
        (documents::sale("1000000.00000000001", "\"p\"", "\"1\"", ""), Code::Type),
        (documents::sale("1e-400", "\"p\"", "\"1\"", ""), Code::Type),
        (documents::sale("1", "\"p\"", "\"1\"", r#","quantity":1"#), Code::Duplicate),
        (documents::sale("1", "\"p\"", "\"1\"", r#","quan\u0074ity":1"#), Code::Duplicate),
        (documents::sale("1", "\"p\"", "\"1\"", r#","shop_id":"other""#), Code::ShopMismatch),
        (documents::sale("1", r#""\u0000""#, "\"1\"", ""), Code::UnsupportedCharacter),
        (documents::sale("1", "\"\u{FFFF}\"", "\"1\"", ""), Code::UnsupportedCharacter),
    ] {
        let reasons = contract.validate(acme(), document.as_bytes()).unwrap_err();
        assert_eq!(
            reasons.iter().map(|reason| reason.code).collect::<Vec<_>>(),
            [code],
            "{document}"
        );
    }
}

#[test]
fn whole_quantities_are_integers_however_they_are_written() {
    let contract = CONTRACTS.get("pos_sales").unwrap();
    for (written, quantity) in [("2.0", 2), ("1", 1), ("3.00", 3), ("1e0", 1), ("-2.50e1", -25)] {
        let line = documents::sale(written, "\"p\"", "\"1\"", "");
        let record = contract.read(acme(), line.as_bytes()).unwrap();
        assert_eq!(record.integer("quantity"), Some(quantity), "{written}");
    }
}

#[test]
fn a_record_gives_its_key_as_silver_means_it() {
    let contract = CONTRACTS.get("pos_sales").unwrap();
    let line = documents::sale("2.0", "\"p\"", "\"1.50\"", r#","customer_id":null"#)
        .replace(r#""line_no":1"#, r#""line_no":1.0"#)
        .replace(r#":"t""#, r#":"\u0074""#);
    let record = contract.read(acme(), line.as_bytes()).unwrap();
    assert_eq!(record.key(), ["t", "1"]);
    assert_eq!((record.text("product_id"), record.text("customer_id")), (Some("p"), None));
    assert_eq!(record.timestamp("sold_at"), text::parse_timestamp("2026-11-20T10:00:00Z"));
    assert_eq!(record.date("business_date"), text::parse_date("2026-11-20"));
    assert_eq!(record.shown("unit_price").as_deref(), Some("1.5"));
    assert_eq!((record.value("nothing"), record.integer("product_id")), (None, None));
}

/// Every field of text in a schema: its path in reasons, a pointer to the object that it belongs
/// to, its name.
fn text_fields(
    schema: &Value,
    path: &str,
    pointer: &str,
    found: &mut Vec<(String, String, String)>,
) {
    for (name, property) in schema["properties"].as_object().unwrap() {
        let separator = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{separator}{name}");
        if property["properties"].is_object() {
            text_fields(property, &path, &format!("{pointer}/{name}"), found);
        } else if property["items"].is_object() {
            text_fields(
                &property["items"],
                &format!("{path}[0]"),
                &format!("{pointer}/{name}/0"),
                found,
            );
        } else if property["type"].to_string().contains("string") && name != "shop_id" {
            found.push((path, pointer.to_owned(), name.clone()));
        }
    }
}

/// Data with every object and array there, and nothing in them.
fn minimal(schema: &Value) -> Value {
    let fields = schema["properties"].as_object().unwrap().iter().filter_map(|(name, property)| {
        let value = match (&property["properties"], &property["items"]) {
            (Value::Object(_), _) => minimal(property),
            (_, items @ Value::Object(_)) => Value::Array(vec![minimal(items)]),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    Value::Object(fields.collect())
}

#[test]
fn no_text_of_any_contract_takes_an_unsupported_character() {
    let mut plain = 0;
    for (dataset, schema) in sources() {
        let contract = CONTRACTS.get(&dataset).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let mut fields = Vec::new();
        text_fields(&schema, "", "", &mut fields);
        for (path, pointer, name) in fields {
            for (character, shown) in
                [("\0", "U+0000"), ("\u{FFFF}", "U+FFFF"), ("\u{1FFFE}", "U+1FFFE")]
            {
                let mut data = minimal(&schema);
                data.pointer_mut(&pointer).unwrap()[&name] = format!("ab{character}c").into();
                let reasons = contract.explain(acme(), data.to_string().as_bytes());
                let reason = reasons.iter().find(|reason| reason.field == path).unwrap();
                // Times, dates and amounts have formats, which are stricter.
                if reason.code != Code::Format {
                    assert_eq!(reason.code, Code::UnsupportedCharacter, "{dataset}.{path}");
                    assert_eq!(
                        reason.actual,
                        format!("{shown} at character 3"),
                        "{dataset}.{path}"
                    );
                    plain += 1;
                }
            }
        }
    }
    assert!(plain > 200, "{plain}");
}

/// Spark refuses to read times before 1900 that it did not write itself, and no engine has years of
/// five digits.
#[test]
fn no_contract_takes_a_time_that_an_engine_does_not_read() {
    let mut times = 0;
    for (dataset, schema) in sources() {
        let contract = CONTRACTS.get(&dataset).unwrap();
        if contract.delivery == Delivery::Internal || dataset == "synthetic" {
            continue;
        }
        let schema: Value = serde_json::from_str(&schema).unwrap();
        for (name, property) in schema["properties"].as_object().unwrap() {
            let odd = match property["format"].as_str() {
                Some("date-time") => [
                    "0001-01-01T00:00:00Z",
                    "1900-01-01T00:00:00+14:00",
                    "9999-12-31T23:59:59-12:00",
                ],
                Some("date") => ["0001-01-01", "1899-12-31", "9999-12-31"],
                _ => continue,
            };
            for time in odd {
                let mut data = minimal(&schema);
                data[name] = time.into();
                let metadata = RowMetadata { backfill: Some("history"), ..acme() };
                let reasons = contract.explain(metadata, data.to_string().as_bytes());
                assert!(
                    reasons.iter().any(|reason| reason.field == *name),
                    "{dataset}.{name} takes {time}"
                );
                times += 1;
            }
        }
    }
    assert!(times > 30, "{times}");
}

/// A text column of the warehouse has 65,535 bytes, and a character at most four.
#[test]
fn every_text_of_a_contract_fits_a_column_of_the_warehouse() {
    fn check(dataset: &str, schema: &Value) {
        for (name, property) in schema["properties"].as_object().unwrap() {
            for nested in [property, &property["items"]] {
                if nested["properties"].is_object() {
                    check(dataset, nested);
                }
            }
            let is_text = property["type"].to_string().contains("string");
            if !is_text || name == "shop_id" || property["format"].is_string() {
                continue;
            }
            let pattern = property["pattern"].as_str();
            let is_bounded = property["enum"].is_array()
                || property["maxLength"]
                    .as_u64()
                    .is_some_and(|characters| characters * 4 <= 65_535)
                || pattern
                    .is_some_and(|pattern| pattern.ends_with('$') && !pattern.contains(['*', '+']));
            assert!(is_bounded, "{dataset}.{name} has no greatest length: add maxLength");
        }
    }
    for (dataset, schema) in sources() {
        let contract = CONTRACTS.get(&dataset).unwrap();
        if contract.delivery != Delivery::Internal && dataset != "synthetic" {
            check(&dataset, &serde_json::from_str(&schema).unwrap());
        }
    }
}

#[test]
fn a_time_outside_the_window_is_rejected() {
    let contract = CONTRACTS.get("pos_sales").unwrap();
    let check = |time: &str, date: &str, backfill: Option<&str>| {
        let line = documents::sale("1", "\"p\"", "\"1\"", "")
            .replace("2026-11-20T10:00:00Z", time)
            .replace("2026-11-20", date);
        let metadata = RowMetadata { backfill, ..acme() };
        let reasons = contract.validate(metadata, line.as_bytes()).err().unwrap_or_default();
        reasons.iter().map(|reason| format!("[{}] {reason}\n", reason.code)).collect::<String>()
    };
    assert_eq!(check("2025-10-17T12:00:00Z", "2025-10-17", None), "");
    assert_eq!(check("2010-12-01T08:00:00Z", "2010-12-01", Some("history-2010")), "");
    insta::assert_snapshot!(check("2010-12-01T08:00:00Z", "2025-10-16", None));
    insta::assert_snapshot!(check("2099-01-01T00:00:00Z", "2026-11-24", Some("history-2010")));
    // Contracts without a window take any time, but for what their schema says.
    let order = r#"{"order_id":"o","order_date":"2001-01-01T00:00:00Z","status":"s",
        "total_amount":"1","currency":"EUR","extracted_at":"2026-11-21T00:00:00Z"}"#;
    assert_eq!(CONTRACTS.get("oltp_orders").unwrap().validate(acme(), order.as_bytes()), Ok(()));
}

#[test]
fn a_window_is_declared_or_follows_from_the_partition() {
    let accepts = |delivery: &str, partition: &str, accepts: &str| {
        let schema = format!(
            r#"{{"type":"object","required":["id","at"],
                "properties":{{"id":{{"type":"string"}},
                               "at":{{"type":"string","format":"date-time"}}}},
                "x-dataset":{{{delivery},"key":["shop_id","id","at"],"event_time":"at",
                              "partition":"{partition}","sort":["shop_id"]{accepts}}}}}"#
        );
        Contracts::from_sources([("x", schema)])
            .map(|contracts| contracts.get("x").unwrap().accepts)
            .map_err(|error| error.to_string())
    };
    let (stream, internal) = (r#""source":"a","delivery":"stream""#, r#""delivery":"internal""#);
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    assert_eq!(
        accepts(stream, "day(at)", ""),
        Ok(Some(TimeWindow { past: day * 400, future: day }))
    );
    assert_eq!(accepts(stream, "hour(at)", r#","accepts":null"#), Ok(Some(TimeWindow::DEFAULT)));
    assert_eq!(accepts(stream, "bucket(id, 4)", ""), Ok(None));
    assert_eq!(accepts(internal, "day(at)", ""), Ok(None));
    let declared = r#","accepts":{"past":"P3650D","future":"PT1H"}"#;
    let window = TimeWindow { past: day * 3650, future: day / 24 };
    assert_eq!(accepts(stream, "bucket(id, 4)", declared), Ok(Some(window)));
    let refused = [
        accepts(internal, "day(at)", declared),
        accepts(stream, "day(at)", r#","accepts":{"past":"P1Y","future":"P1D"}"#),
        accepts(stream, "day(at)", r#","accepts":{"past":"P1D"}"#),
        accepts(stream, "day(at)", r#","accepts":{"past":"P1D","future":"P1D","zone":"UTC"}"#),
        accepts(stream, "day(at)", r#","accepts":"P1D""#),
    ];
    insta::assert_snapshot!(refused.map(Result::unwrap_err).join("\n"));
}

#[test]
fn what_is_not_json_is_named_with_its_field_and_its_place() {
    let contract = CONTRACTS.get("pos_sales").unwrap();
    let problems: Vec<String> = [
        r#","zz":{"a":[1,1e400]}"#,
        r#","zz":"\ud800""#,
        r#","zz":{"\ud800":1}"#,
        r#","zz":"\x""#,
        r#","zz":01"#,
        r#","quantity":2"#,
        r#","z\u0000z":1e400"#,
    ]
    .iter()
    .map(|more| {
        let line =
            documents::sale("1", "\"p\"", "\"1\"", more).replace(r#""quantity""#, "\n\"quantity\"");
        let reasons = contract.validate(acme(), line.as_bytes()).unwrap_err();
        format!("[{}] {}", reasons[0].code, reasons[0])
    })
    .collect();
    insta::assert_snapshot!(problems.join("\n"), @r"
    [malformed] zz.a[1]: expected well-formed JSON, got number out of range at line 2 column 142
    [malformed] zz: expected well-formed JSON, got unexpected end of hex escape at line 2 column 137
    [malformed] zz: expected well-formed JSON, got unexpected end of hex escape at line 2 column 138
    [malformed] the document: expected a JSON object, got invalid escape at line 2 column 132
    [malformed] the document: expected a JSON object, got invalid number at line 2 column 131
    [duplicate] quantity: expected the field once, got the field more than once
    [malformed] z\u{0}z: expected well-formed JSON, got number out of range at line 2 column 140
    ");
    let reasons = contract.validate(acme(), b"{\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(
        reasons[0].to_string(),
        "the document: expected a JSON object, got bytes that are not UTF-8 at byte 7"
    );
}

#[test]
fn one_byte_order_mark_before_an_event_is_ignored() {
    let contract = CONTRACTS.get("pos_sales").unwrap();
    let line = documents::sale("1", "\"p\"", "\"1\"", "");
    assert_eq!(contract.validate(acme(), format!("\u{FEFF}{line}").as_bytes()), Ok(()));
    assert!(contract.validate(acme(), format!("\u{FEFF}\u{FEFF}{line}").as_bytes()).is_err());
    let wrong = format!("\u{FEFF}{}", line.replace("\"t\"", "1"));
    assert_eq!(contract.validate(acme(), wrong.as_bytes()).unwrap_err()[0].field, "transaction_id");
}

#[test]
fn a_contract_knows_its_table() {
    let contract = CONTRACTS.get("synthetic_lines").unwrap();
    let columns: Vec<_> = contract
        .columns
        .iter()
        .map(|column| {
            format!(
                "{} {}{}",
                column.name,
                column.column_type,
                if column.nullable { "" } else { " not null" }
            )
        })
        .collect();
    insta::assert_snapshot!(columns.join("\n"));
    assert_eq!(
        (contract.parent.as_deref(), contract.key.join(",")),
        (Some("synthetic"), "shop_id,id,line_no".to_owned())
    );
    for contract in CONTRACTS.iter() {
        assert_eq!(contract.columns[0].name, "shop_id");
        assert!(
            contract.columns.iter().all(|column| !column.description.is_empty()
                || contract.dataset.starts_with("synthetic")),
            "{}: describe every column",
            contract.dataset
        );
    }
}

#[test]
fn control_totals_come_from_every_batch_source() {
    let totals = CONTRACTS.get("control_totals").unwrap();
    for contract in CONTRACTS.iter().filter(|contract| contract.delivery == Delivery::Batch) {
        for source in &contract.sources {
            assert!(totals.sources.contains(source), "{source} of {}", contract.dataset);
        }
    }
}

#[test]
fn a_schema_that_could_not_be_honoured_is_an_error() {
    let with = |property: &str| {
        format!(
            r#"{{"type":"object","required":["id","at"],
                "x-dataset":{{"source":"a","delivery":"stream","key":["shop_id","id","at"],
                              "event_time":"at","partition":"day(at)","sort":["shop_id"]}},
                "properties":{{"id":{{"type":"string"}},
                               "at":{{"type":"string","format":"date-time"}},"p":{property}}}}}"#
        )
    };
    let compile = |schema: String| {
        Contracts::from_sources([("x", schema)]).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(compile(with(r#"{"type":"string"}"#)), Ok(()));
    let refused: Vec<String> = [
        r#"{"type":"string","minItems":1}"#,
        r#"{"type":"string","format":"email"}"#,
        r#"{"type":"string","pattern":"^\\d+$"}"#,
        r#"{"type":"string","pattern":"a.b"}"#,
        r#"{"type":"string","pattern":"(?=a)"}"#,
        r#"{"type":"string","x-type":"decimal(18,4)"}"#,
        r#"{"type":"integer","minimum":0}"#,
        r#"{"type":"integer","minimum":0,"maximum":1e3}"#,
        r#"{"type":"array","items":{"type":"string"}}"#,
        r#"{"type":["string","integer"]}"#,
        r#"{"type":"string","enum":["a",null]}"#,
        r#"{"type":"string","default":"a"}"#,
        r#"{"type":"object","properties":{"d":{"type":"object","properties":{}}}}"#,
        r#"{"description":"no type"}"#,
    ]
    .into_iter()
    .map(|property| compile(with(property)).unwrap_err())
    .collect();
    insta::assert_snapshot!(refused.join("\n"));

    let fresh = |within: &str| {
        let schema = with(r#"{"type":"string"}"#);
        let block = format!(r#""sort":["shop_id"],"personal":[],"fresh_within":{within}}}"#);
        Contracts::from_sources([("x", schema.replace(r#""sort":["shop_id"]}"#, &block))])
    };
    let within = fresh(r#""PT3H""#).unwrap().get("x").unwrap().fresh_within;
    assert_eq!(within, Some(std::time::Duration::from_secs(3 * 60 * 60)));
    assert_eq!(
        fresh(r#""3 hours""#).map(|_| ()).unwrap_err().to_string(),
        "the schema of \"x\" at \"/x-dataset/fresh_within\": expected days, hours and minutes such \
         as P2D, PT3H or P1DT12H, found \"3 hours\""
    );
}

/// A dataset with this block beside its source and its columns `id`, `parent_id`, `day` and `at`.
fn placed(block: &str) -> Result<Contract, String> {
    let schema = format!(
        r#"{{"type":"object","required":["id","parent_id","day","at"],
            "x-dataset":{{"source":"a","event_time":"at","sort":["shop_id"],{block}}},
            "properties":{{"id":{{"type":"string"}},"parent_id":{{"type":"string"}},
                           "day":{{"type":"string","format":"date"}},
                           "at":{{"type":"string","format":"date-time"}}}}}}"#
    );
    Contracts::from_sources([("x", schema)])
        .map(|contracts| contracts.get("x").unwrap().clone())
        .map_err(|error| error.to_string())
}

/// What a dataset with batches says besides: when a run of a batch is complete, and how soon.
const SNAPSHOTS: &str = r#","complete":{"count":"row_count"},"fresh_within":"P2D""#;

const BY_ID: &str = r#""key":["shop_id","id"],"partition":"day(day)","delivery":"#;

#[test]
fn a_place_that_may_change_under_the_key_is_refused() {
    let by_id = |more: &str| placed(&format!("{BY_ID}\"batch\"{more}"));
    let error = by_id("").unwrap_err();
    for part in ["/x-dataset/partition", "\"day\" may change", "shop_id, id", "copies_within_days"]
    {
        assert!(error.contains(part), "{error}");
    }
    assert!(
        placed(r#""key":["shop_id","id","day"],"partition":"day(day)","delivery":"stream""#)
            .is_ok()
    );
    assert!(
        placed(r#""key":["shop_id","id"],"partition":"bucket(id, 4)","delivery":"stream""#).is_ok()
    );
    assert!(by_id(&format!(r#","batch":"day(day)"{SNAPSHOTS}"#)).is_ok());
    let declared = by_id(r#","copies_within_days":3"#).unwrap();
    assert_eq!(declared.copies_within_days, Some(3));

    let useless = by_id(&format!(r#","batch":"day(day)","copies_within_days":0{SNAPSHOTS}"#));
    let useless = useless.unwrap_err();
    assert!(useless.contains("/x-dataset/copies_within_days") && useless.contains("remove it"));
    let error = by_id(r#","copies_within_days":32"#).unwrap_err();
    assert!(error.contains("from 0 to 31, found 32"), "{error}");
}

#[test]
fn a_batch_lies_within_a_partition() {
    let by_at = |partition: &str, batch: &str| {
        placed(&format!(
            r#""key":["shop_id","id"],"delivery":"batch","partition":"{partition}","batch":"{batch}"{SNAPSHOTS}"#
        ))
    };
    for (partition, batch) in
        [("day(at)", "day(at)"), ("day(at)", "hour(at)"), ("hour(at)", "hour(at)")]
    {
        let declared = by_at(partition, batch).unwrap().batch.unwrap();
        assert_eq!(declared.to_string(), batch);
    }
    for (partition, batch) in [
        ("hour(at)", "day(at)"),
        ("day(day)", "day(at)"),
        ("bucket(id, 4)", "day(at)"),
        ("day(at)", "bucket(id, 4)"),
    ] {
        let error = by_at(partition, batch).unwrap_err();
        assert!(error.contains("does not lie within a partition"), "{error}");
    }
    let stream = placed(&format!("{BY_ID}\"stream\",\"batch\":\"day(day)\"")).unwrap_err();
    assert!(stream.contains("only a dataset with \"delivery\": \"batch\""), "{stream}");
}

/// A dataset with batches and an amount, which says this of complete runs.
fn with_batches(complete: &str) -> Result<Contracts, String> {
    contracts_with_batches(complete, "sent_at")
}

/// The same with this name of a field with a time.
fn contracts_with_batches(complete: &str, sent_at: &str) -> Result<Contracts, String> {
    let schema = format!(
        r#"{{"type":"object","required":["id","day","at","amount"],
            "x-dataset":{{"source":"pos","event_time":"at","sort":["shop_id"],{BY_ID}"batch",
                          "fresh_within":"P2D","batch":"day(day)"{complete}}},
            "properties":{{"id":{{"type":"string"}},
                           "day":{{"type":"string","format":"date"}},
                           "at":{{"type":"string","format":"date-time"}},
                           "{sent_at}":{{"type":"string","format":"date-time"}},
                           "amount":{{"type":"integer","minimum":0,"maximum":9}},
                           "price":{{"type":"integer","minimum":0,"maximum":9}}}}}}"#
    );
    let totals = sources().into_iter().find(|(dataset, _)| dataset == "control_totals").unwrap();
    Contracts::from_sources([("x".to_owned(), schema), totals]).map_err(|error| error.to_string())
}

#[test]
fn a_contract_says_when_a_run_is_complete() {
    let complete = |declared: &str| with_batches(&format!(",\"complete\":{declared}"));
    let declared = complete(r#"{"count":"row_count","sum":{"amount":"quantity_sum"}}"#).unwrap();
    let declared = declared.get("x").unwrap().complete.clone().unwrap();
    let sum = ControlSum { column: "amount".to_owned(), total: "quantity_sum".to_owned() };
    assert_eq!(declared, Completeness { count: "row_count".to_owned(), sum: Some(sum) });
    let declared = complete(r#"{"count":"row_count"}"#).unwrap();
    assert_eq!(declared.get("x").unwrap().complete.as_ref().unwrap().sum, None);

    for (declared, parts) in [
        ("", ["/x-dataset/batch", "\"complete\" has to say when"]),
        (r#","complete":{"count":3}"#, ["/x-dataset/complete", "expected {\"count\""]),
        (
            r#","complete":{"count":"row_count","sum":{"amount":"a","price":"b"}}"#,
            ["/x-dataset/complete", "expected {\"count\""],
        ),
        (r#","complete":{"count":"rows"}"#, ["\"rows\"", "integer of control_totals"]),
        (r#","complete":{"count":"run"}"#, ["\"run\"", "integer of control_totals"]),
        (
            r#","complete":{"count":"row_count","sum":{"amount":"total"}}"#,
            ["\"total\"", "integer of control_totals"],
        ),
        (
            r#","complete":{"count":"row_count","sum":{"units":"quantity_sum"}}"#,
            ["\"units\"", "not a column"],
        ),
        (
            r#","complete":{"count":"row_count","sum":{"price":"quantity_sum"}}"#,
            ["\"price\"", "must be a required integer"],
        ),
    ] {
        let error = with_batches(declared).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{declared}: {error}");
    }
    let useless = placed(&format!("{BY_ID}\"batch\",\"copies_within_days\":0{SNAPSHOTS}"));
    assert!(useless.unwrap_err().contains("has no effect without \"batch\""));
}

/// Otherwise no one would learn of a batch that stays incomplete.
#[test]
fn a_dataset_with_batches_says_how_soon_they_are_complete() {
    let late = SNAPSHOTS.replace(",\"fresh_within\":\"P2D\"", "");
    let error = placed(&format!("{BY_ID}\"batch\",\"batch\":\"day(day)\"{late}")).unwrap_err();
    assert!(error.contains("/x-dataset/batch"), "{error}");
    assert!(error.contains("expected \"fresh_within\""), "{error}");
}

/// A connector counts the row of a key that it sent last, and models would count another one.
#[test]
fn a_dataset_with_batches_has_no_version() {
    let error =
        placed(&format!("{BY_ID}\"batch\",\"batch\":\"day(day)\",\"version\":\"at\"{SNAPSHOTS}"));
    let error = error.unwrap_err();
    for part in ["/x-dataset/batch", "\"at\" would decide", "remove \"version\""] {
        assert!(error.contains(part), "{error}");
    }
    let complete = r#","complete":{"count":"row_count"}"#;
    assert!(with_batches(complete).is_ok());
    let error = contracts_with_batches(complete, "triggered_at").unwrap_err();
    assert!(error.contains("\"triggered_at\" would decide"), "{error}");
}

#[test]
fn a_dataset_with_batches_has_no_arrays() {
    let with_lines = |block: &str| {
        let schema = format!(
            r#"{{"type":"object","required":["id","day","at"],
                "x-dataset":{{"source":"a","event_time":"at","sort":["shop_id"],{BY_ID}{block}}},
                "properties":{{"id":{{"type":"string"}},
                               "day":{{"type":"string","format":"date"}},
                               "at":{{"type":"string","format":"date-time"}},
                               "lines":{{"type":"array",
                                   "x-child":{{"dataset":"lines","ordinal":"line_no"}},
                                   "items":{{"type":"object",
                                             "properties":{{"sku":{{"type":"string"}}}}}}}}}}}}"#
        );
        Contracts::from_sources([("x", schema)]).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with_lines("\"batch\",\"copies_within_days\":0"), Ok(()));
    let error = with_lines(&format!("\"batch\",\"batch\":\"day(day)\"{SNAPSHOTS}")).unwrap_err();
    for part in ["/properties/lines", "could not be told apart", "a dataset of their own"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn columns_of_the_envelope_follow_from_the_declaration() {
    let last = |block: &str| -> Vec<String> {
        let contract = placed(block).unwrap();
        let names = contract.columns.iter().map(|column| column.name.clone());
        names.skip_while(|name| name != "_envelope_id").collect()
    };
    let copies = r#","copies_within_days":0"#;
    assert_eq!(last(&format!("{BY_ID}\"stream\"{copies}")), ["_envelope_id", "_received_at"]);
    assert_eq!(
        last(&format!("{BY_ID}\"batch\"{copies},\"generation\":3")),
        ["_envelope_id", "_received_at", "_batch", "_run", "_generation"]
    );
    for generation in ["0", "10000", "1.5", "\"2\""] {
        let error = placed(&format!("{BY_ID}\"stream\"{copies},\"generation\":{generation}"));
        assert!(error.unwrap_err().contains("from 1 to 9999"), "{generation}");
    }
}

/// Engines order -0.0 and 0.0 differently, so they would choose different rows.
#[test]
fn a_negative_zero_is_zero() {
    let schema = r#"{"type":"object","required":["id","at","ratio"],
        "x-dataset":{"source":"a","delivery":"stream","key":["shop_id","id"],"event_time":"at",
                     "partition":"bucket(id, 4)","sort":["shop_id"]},
        "properties":{"id":{"type":"string"},"at":{"type":"string","format":"date-time"},
                      "ratio":{"type":"number"}}}"#;
    let contracts = Contracts::from_sources([("x", schema)]).unwrap();
    let contract = contracts.get("x").unwrap();
    let ratio = |written: &str| {
        let data = format!(r#"{{"id":"a","at":"2026-11-21T10:00:00Z","ratio":{written}}}"#);
        let mut row = contract.row();
        contract.decode(acme(), data.as_bytes(), &mut row).unwrap();
        format!("{:?}", row.values[contract.position("ratio").unwrap()])
    };
    assert_eq!(ratio("-0.0"), ratio("0.0"));
    assert_ne!(ratio("-0.1"), ratio("0.1"));
}

#[test]
fn a_row_of_a_run_belongs_to_its_batch() {
    for (dataset, batch, field) in [
        ("pos_sales", "2026-11-20", "business_date"),
        ("inventory_levels", "2026-11-20T10", "snapshot_at"),
    ] {
        let contract = CONTRACTS.get(dataset).unwrap();
        let data = match dataset {
            "pos_sales" => documents::sale("1", "\"p\"", "\"1\"", ""),
            _ => serde_json::json!({
                "location_id": "l", "product_id": "p", "snapshot_at": "2026-11-20T10:59:59.9Z",
                "on_hand": 1, "reserved": 0, "reorder_point": 0, "unit_cost": "1",
                "currency": "EUR", "restocked_quantity": 0,
            })
            .to_string(),
        };
        let reasons = |batch: &str, run: Option<&str>| {
            let metadata = RowMetadata { batch: Some(batch), run, ..acme() };
            let decoded = contract.decode(metadata, data.as_bytes(), &mut contract.row());
            let reasons = contract.validate(metadata, data.as_bytes()).err().unwrap_or_default();
            assert_eq!(decoded.is_err(), !reasons.is_empty());
            let shown = reasons.iter().map(|reason| format!("{} {}", reason.field, reason.code));
            shown.collect::<Vec<_>>()
        };
        let run = Some("2026-11-21T04:30:00.000000Z");
        assert_eq!(reasons(batch, run), Vec::<String>::new());
        assert_eq!(reasons("2026-11-19", run), [format!("{field} other_batch")]);
        assert_eq!(reasons("2026-11-19", None), Vec::<String>::new());
    }
}

#[test]
fn rows_are_found_together_with_their_parents() {
    let source = |name: &str| {
        let (_, schema) = sources().into_iter().find(|(dataset, _)| dataset == name).unwrap();
        schema
    };
    let compile = |items: String| {
        let sources = [("oltp_orders", source("oltp_orders")), ("oltp_order_items", items)];
        Contracts::from_sources(sources).map_err(|error| error.to_string())
    };
    let items = source("oltp_order_items");
    let contracts = compile(items.clone()).unwrap();
    let parent = contracts.get("oltp_order_items").unwrap().belongs_to.clone().unwrap();
    assert_eq!(
        (&parent.dataset[..], &parent.key[..], parent.version.as_deref()),
        ("oltp_orders", &["shop_id".to_owned(), "order_id".to_owned()][..], Some("extracted_at"))
    );
    for (from, to, expected) in [
        (
            r#""key": ["shop_id", "order_id"], "version""#,
            r#""key": ["shop_id", "product_id"], "version""#,
            "the whole key",
        ),
        (
            r#""version": "extracted_at" }"#,
            r#""version": "order_date" }"#,
            "the version of the parent",
        ),
        ("bucket(order_id, 16)", "bucket(order_id, 8)", "the partition of the parent"),
        (r#""version": "extracted_at" }"#, r#""version": "no" }"#, "is not a column"),
    ] {
        let changed = items.replace(from, to);
        assert_ne!(changed, items, "{from}");
        let error = compile(changed).unwrap_err();
        assert!(error.contains("/x-dataset/parent") && error.contains(expected), "{error}");
    }
}
