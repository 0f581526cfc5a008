//! The fates of hostile items, against the contracts that decide on them.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use chrono::{DateTime, NaiveDate, Utc};
use sample_source::hostile::{Delivery, Fate, Row, requests, sales, stock};
use serde_json::value::RawValue;
use shoplake_contracts::{Contract, Contracts, Stamp};

/// A row of this size is not judged by its contract, as no record of a stream holds it.
const OVERSIZED_BYTES: usize = 1_000_000;

fn contracts() -> Contracts {
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/contracts/schemas");
    Contracts::load(schemas.as_ref()).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-11-29T10:30:00Z".parse().unwrap()
}

/// The codes and fields of what a contract has against some JSON.
fn reasons(contract: &Contract, json: &str) -> Vec<(&'static str, String)> {
    let shop = "hostile".parse().unwrap();
    let reasons = contract.explain(Stamp::new(&shop, now()), json.as_bytes());
    reasons.into_iter().map(|reason| (reason.code.as_str(), reason.field)).collect()
}

fn check(contract: &Contract, rows: &[Row]) {
    let shop = "hostile".parse().unwrap();
    for Row { name, fate, json, .. } in rows.iter().filter(|row| row.json.len() < OVERSIZED_BYTES) {
        let reasons = reasons(contract, json);
        match fate {
            Fate::Tables { key } => {
                assert!(reasons.is_empty(), "{name}: {reasons:?}");
                let record = contract.read(Stamp::new(&shop, now()), json.as_bytes()).unwrap();
                assert_eq!(record.key()[..2], key[..2], "{name}");
            }
            Fate::Quarantined { code, field } => {
                assert!(!reasons.is_empty(), "{name} is valid");
                assert!(code.is_none_or(|code| reasons[0].0 == code), "{name}: {reasons:?}");
                assert!(field.is_none_or(|field| reasons[0].1 == field), "{name}: {reasons:?}");
            }
        }
    }
}

#[test]
fn lines_of_sales_are_valid_exactly_where_their_fate_is_the_tables() {
    let contracts = contracts();
    let day = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();

    for delivery in [Delivery::First, Delivery::Corrected] {
        check(contracts.get("pos_sales").unwrap(), &sales(1, day, now(), delivery));
    }
}

#[test]
fn levels_of_stock_are_valid_exactly_where_their_fate_is_the_tables() {
    let contracts = contracts();

    for hour in ["2026-11-28T23:00:00Z", "2026-11-29T00:00:00Z"] {
        check(contracts.get("inventory_levels").unwrap(), &stock(1, hour.parse().unwrap()));
    }
}

#[test]
fn events_are_valid_exactly_where_their_request_is_accepted() {
    let contracts = contracts();
    let mut compared = 0;

    for request in requests(1, now()) {
        let Some(contract) = contracts.get(request.dataset) else { continue };
        let is_refused = request.expected.statuses == [422];
        if !is_refused && request.expected.statuses != [202] {
            continue;
        }
        let body = String::from_utf8(request.body).unwrap();
        let events: Vec<&RawValue> = match serde_json::from_str(&body) {
            Ok(events) => events,
            Err(_) => vec![serde_json::from_str(&body).unwrap()],
        };
        let reasons: Vec<_> = events.iter().flat_map(|event| reasons(contract, event.get())).collect();
        assert_eq!(!reasons.is_empty(), is_refused, "{}: {reasons:?}", request.name);
        if let Some(code) = request.expected.code {
            assert!(reasons.iter().any(|(found, _)| *found == code), "{}: {reasons:?}", request.name);
        }
        compared += 1;
    }
    assert!(compared > 40);
}
