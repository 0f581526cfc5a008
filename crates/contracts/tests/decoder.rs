//! What a compiled contract promises, for every schema of the project and one that uses every keyword.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod support;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use shoplake_contracts::{Code, Contract, Contracts, ShopId, Stamp};

struct Case {
    schema: Value,
    validator: jsonschema::Validator,
}

static CONTRACTS: LazyLock<Contracts> =
    LazyLock::new(|| Contracts::from_sources(sources()).unwrap_or_else(|error| panic!("{error}")));

fn sources() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut sources: Vec<_> = files
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    sources.push(("synthetic".to_owned(), support::SYNTHETIC.to_owned()));
    sources
}

/// Runs `property` on documents near each schema.
fn for_documents(cases: u32, property: impl Fn(&Contract, &Case, &Value) -> Result<(), TestCaseError>) {
    for (dataset, schema) in sources() {
        let contract = CONTRACTS.get(&dataset).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let case = Case { schema, validator };
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        runner
            .run(&support::near(&case.schema), |document| property(contract, &case, &document))
            .unwrap_or_else(|error| panic!("{dataset}: {error}"));
    }
}

fn stamp(document: &Value) -> Stamp<'_> {
    // The rule about the shop is not JSON Schema's: here the data's shop is always the right one.
    let shop = document["shop_id"].as_str().unwrap_or("acme");
    Stamp { shop, envelope_id: "e1", received_at: received_at(), backfill: None }
}

#[test]
fn the_decoder_accepts_exactly_what_a_json_schema_validator_accepts() {
    let (mut accepted, mut refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    for_documents(2000, |contract, case, document| {
        let bytes = document.to_string();
        let valid = case.validator.is_valid(document);
        let mut row = contract.row();
        let decoded = contract.decode(stamp(document), bytes.as_bytes(), &mut row);
        prop_assert_eq!(
            decoded.is_ok(),
            valid,
            "{}\n{:?}",
            bytes,
            case.validator.iter_errors(document).map(|error| error.to_string()).collect::<Vec<_>>()
        );
        let counter = if valid { &accepted } else { &refused };
        counter.set(counter.get() + 1);
        Ok(())
    });
    // The documents have to be near enough for this to mean something.
    assert!(*accepted.get_mut() > 2000 && *refused.get_mut() > 2000, "{accepted:?} {refused:?}");
}

#[test]
fn the_explanation_finds_something_exactly_when_the_decoder_fails() {
    for_documents(1000, |contract, _, document| {
        let bytes = document.to_string();
        let stamp = stamp(document);
        let failed = contract.decode(stamp, bytes.as_bytes(), &mut contract.row()).is_err();
        let reasons = contract.explain(stamp.shop, bytes.as_bytes());
        // The parsers agree about documents like these, so the explanation's last resort must mean: nothing found.
        let found = reasons.iter().any(|reason| reason.code != Code::Malformed);
        prop_assert_eq!(found, failed, "{}\n{:?}", bytes, reasons);
        Ok(())
    });
}

#[test]
fn a_row_survives_being_written_and_read_again() {
    for_documents(1000, |contract, case, document| {
        let bytes = document.to_string();
        let stamp = stamp(document);
        let mut row = contract.row();
        if contract.decode(stamp, bytes.as_bytes(), &mut row).is_err() {
            return Ok(());
        }
        let children: Vec<&Contract> =
            contract.children.iter().map(|child| CONTRACTS.get(child).unwrap()).collect();
        let written = support::encode(contract, &children, &row, &case.schema);
        let pretty = serde_json::to_string_pretty(&written).unwrap();
        let mut again = contract.row();
        let decoded = contract.decode(stamp, pretty.as_bytes(), &mut again);
        prop_assert!(decoded.is_ok(), "{}\n{:?}", pretty, contract.explain(stamp.shop, pretty.as_bytes()));
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
        document in support::near(&serde_json::from_str(support::SYNTHETIC).unwrap()),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[]:,u0e-.\n".to_vec())]), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = document.to_string().into_bytes();
        for (position, byte) in damage {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        for contract in CONTRACTS.iter() {
            let shop: ShopId = "acme".parse().unwrap();
            for bytes in [&bytes, &noise] {
                if let Err(reasons) = contract.validate(&shop, bytes) {
                    prop_assert!(!reasons.is_empty());
                } else {
                    // Whatever is taken is JSON to others as well.
                    prop_assert!(serde_json::from_slice::<Value>(bytes).is_ok());
                }
            }
        }
    }
}

#[test]
fn a_document_nested_too_deeply_is_refused_and_does_not_exhaust_the_stack() {
    let contract = CONTRACTS.get("control_totals").unwrap();
    let shop: ShopId = "acme".parse().unwrap();
    let good = r#""dataset":"pos_sales","batch":"b","business_date":"2026-11-21","row_count":1,"quantity_sum":1,"completed_at":"2026-11-21T10:00:00Z""#;
    let nested = |levels: usize| format!(r#"{{{good},"deep":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(contract.validate(&shop, nested(126).as_bytes()), Ok(()));
    assert!(serde_json::from_str::<Value>(&nested(126)).is_ok());
    for levels in [127, 300, 1_000_000] {
        assert_eq!(contract.validate(&shop, nested(levels).as_bytes()).unwrap_err()[0].code, Code::Malformed);
        assert!(serde_json::from_str::<Value>(&nested(levels)).is_err());
    }
}

#[test]
fn a_reason_tells_what_was_expected_and_what_came() {
    let document = r#"{
        "shop_id": "other", "id": "a", "changed_at": "yesterday", "day": "2026-02-29", "count": 5, "open": 9, "level": 4, "ratio": 2, "flag": "yes",
        "consent": false, "kind": "three", "other": "y", "code": "x", "any": 12.5, "not_negative": "-1", "positive": "0.00", "note": 1, "note": 2,
        "place": {"position": {"longitude": 1}}, "lines": [{"sku": "a"}, {"sku": 1}, 3, {}]
    }"#;
    let contract = CONTRACTS.get("synthetic").unwrap();
    let reasons = contract.validate(&"acme".parse().unwrap(), document.as_bytes()).unwrap_err();
    insta::assert_snapshot!(
        reasons.iter().map(|reason| format!("[{}] {reason}\n", reason.code)).collect::<String>()
    );
}

#[test]
fn bytes_that_are_not_json_are_told_so() {
    let contract = CONTRACTS.get("web_traffic").unwrap();
    let shop: ShopId = "acme".parse().unwrap();
    let told = |bytes: &[u8]| {
        contract
            .validate(&shop, bytes)
            .unwrap_err()
            .iter()
            .map(|reason| format!("[{}] {reason}", reason.code))
            .collect::<String>()
    };
    insta::assert_snapshot!(told(b"{\"event_id\": "), @"[malformed] the document: expected a JSON object, got EOF while parsing a value at line 1 column 13");
    insta::assert_snapshot!(told(b"[]"), @"[type] the document: expected an object, got an array");
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
            contract
                .columns
                .iter()
                .all(|column| !column.description.is_empty() || contract.dataset.starts_with("synthetic")),
            "{}: describe every column",
            contract.dataset
        );
    }
}

#[test]
fn a_schema_that_could_not_be_honoured_is_an_error() {
    let with = |property: &str| {
        format!(
            r#"{{"type":"object","x-dataset":{{"source":"a","delivery":"stream","key":["shop_id","id"],"event_time":"at","partition":"day(at)","sort":["shop_id"]}},
               "required":["id","at"],"properties":{{"id":{{"type":"string"}},"at":{{"type":"string","format":"date-time"}},"p":{property}}}}}"#
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
        r#"the schema of "x" at "/x-dataset/fresh_within": expected days, hours and minutes such as P2D, PT3H or P1DT12H, found "3 hours""#
    );
}
