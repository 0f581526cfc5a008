//! The decoder accepts exactly what an independent validator of JSON Schema accepts, with the
//! further rules of README.md.
//!
//! A workspace of its own: the validator turns on features of `serde_json`, `ahash` and `regex`
//! that the deployed programs do not have, and in the project's workspace all tests would run with
//! them.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

#[path = "../../crates/contracts/tests/support/documents.rs"]
mod documents;
mod rules;

use std::cell::Cell;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use shoplake_contracts::{Contracts, RowMetadata, text};

static CONTRACTS: LazyLock<Contracts> =
    LazyLock::new(|| Contracts::from_sources(sources()).unwrap_or_else(|error| panic!("{error}")));

fn sources() -> Vec<(String, String)> {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts");
    documents::schemas(&contracts.join("schemas"))
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

fn acme(received_at: &str) -> RowMetadata<'static> {
    let received_at = text::parse_timestamp(received_at).unwrap();
    RowMetadata { shop: "acme", envelope_id: "e1", received_at, ..Default::default() }
}

#[test]
fn the_decoder_accepts_what_a_validator_and_the_rules_accept() {
    let (accepted, rejected) = (Cell::new(0), Cell::new(0));
    for (dataset, schema) in sources() {
        let contract = CONTRACTS.get(&dataset).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let validator = validator(&schema);
        let mut runner =
            TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
        let result = runner.run(&documents::near(&schema), |document| {
            let bytes = document.to_string();
            let is_valid = validator.is_valid(&document) && rules::hold(&schema, &document);
            // JSON Schema has no rule about the shop: here the data names the right one.
            let shop = document["shop_id"].as_str().unwrap_or("acme");
            let metadata = RowMetadata { shop, ..acme(documents::RECEIVED_AT) };
            let decoded = contract.decode(metadata, bytes.as_bytes(), &mut contract.row());
            prop_assert_eq!(
                decoded.is_ok(),
                is_valid,
                "{}\n{:?}",
                bytes,
                validator.iter_errors(&document).map(|error| error.to_string()).collect::<Vec<_>>()
            );
            let counter = if is_valid { &accepted } else { &rejected };
            counter.set(counter.get() + 1);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{dataset}: {error}"));
    }
    // Documents that are all valid, or all invalid, prove nothing.
    assert!(accepted.get() > 2000 && rejected.get() > 2000, "{accepted:?} {rejected:?}");
}

#[test]
fn the_decoder_reads_json_texts_as_a_validator_does() {
    let numbers = [
        "1",
        "-1",
        "1.0",
        "2.0",
        "3.00",
        "1e0",
        "1E+2",
        "10e-1",
        "0.1e1",
        "-0",
        "0",
        "1e400",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "-",
        "1 ",
        " 1",
        "1_0",
        "\u{661}",
        "999999999999999999999999",
        "true",
        "-9223372036854775809",
        "1000000.0000000001",
        "null",
        "\"1\"",
    ];
    let products = [
        r#""p""#,
        r#""\u0070""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00x""#,
        r#""\ud83d\u0041""#,
        r#""a\/b""#,
        r#""\x""#,
        "\"a\tb\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "\"\u{feff}p\"",
        r#""\u00e9""#,
        r#""\U0041""#,
        r#""\u004""#,
        "'p'",
        "\"\u{1F600}\u{10FFFD}\"",
    ];
    let prices = [
        r#""1""#,
        r#""1.0000""#,
        r#""1.00000""#,
        r#""0""#,
        r#""0.0""#,
        r#""0.0001""#,
        r#""-1""#,
        r#""+1""#,
        r#"" 1""#,
        r#""1 ""#,
        r#""1\n""#,
        "\"\u{661}\"",
        r#""1e1""#,
        r#""00.1""#,
        r#""99999999999999.9999""#,
        r#""100000000000000""#,
        "1",
        "1.5",
    ];
    let more = [
        "",
        r#","zz":1,"zz":2"#,
        r#","zz":"\ud800""#,
        r#","zz":1e400"#,
        r#","zz":01"#,
        r#","zz":{"a":1,"a":2}"#,
        ",\"zz\":\"\u{1}\"",
        r#","zz":[1,]"#,
        r#","shop_id":"acme""#,
        r#","shop_id":null"#,
        r#","__proto__":1"#,
        ",",
        r#","zz":"\u0000""#,
    ];
    let documents = (numbers.iter().map(|number| documents::sale(number, "\"p\"", "\"1\"", "")))
        .chain(products.iter().map(|product| documents::sale("1", product, "\"1\"", "")))
        .chain(prices.iter().map(|price| documents::sale("1", "\"p\"", price, "")))
        .chain(more.iter().map(|more| documents::sale("1", "\"p\"", "\"1\"", more)));
    let schema = sources().into_iter().find(|(dataset, _)| dataset == "pos_sales").unwrap().1;
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = validator(&schema);
    let metadata = acme("2026-11-21T12:00:00Z");
    let contract = CONTRACTS.get("pos_sales").unwrap();
    for document in documents {
        let decoded = contract.decode(metadata, document.as_bytes(), &mut contract.row()).is_ok();
        let valid = serde_json::from_str(&document)
            .is_ok_and(|document: Value| validator.is_valid(&document));
        assert_eq!(decoded, valid, "{document}");
    }
}
