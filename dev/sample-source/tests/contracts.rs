//! Checks events and rows of the sources against their contracts.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use chrono::NaiveDate;
use shoplake_contracts::{Contracts, RowMetadata};
use shoplake_sample_source::{
    crm::Interactions,
    inventory::{self, Hour, Level},
    post::{EventSource, Plan, Purpose},
    web::Traffic,
    world::World,
};
use shoplake_testing::contracts;

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

fn is_accepted(contracts: &Contracts, dataset: &str, json: &str) -> bool {
    let shop = "acme".parse().unwrap();
    let metadata = RowMetadata::new(&shop, "2026-11-21T12:00:00Z".parse().unwrap());
    contracts.get(dataset).unwrap().validate(metadata, json.as_bytes()).is_ok()
}

/// Checks every event of a plan; returns how many requests are invalid.
fn check<S: EventSource>(source: S) -> usize {
    let contracts = contracts();
    let mut invalid = 0;
    for request in (Plan { source, batch: 100 }).requests() {
        let request = request.unwrap();
        let refused: Vec<_> = request
            .events
            .iter()
            .filter(|event| !is_accepted(&contracts, S::DATASET, event.json.get()))
            .collect();
        if request.purpose == Purpose::Invalid {
            invalid += 1;
            assert_eq!(refused.len(), 1, "{request:?}");
        } else {
            assert!(refused.is_empty(), "{refused:?}");
        }
    }
    invalid
}

#[test]
fn the_contract_accepts_all_web_events_but_the_invalid_ones() {
    assert!(check(Traffic { world: World::new(u64::MAX), day: day(), events: 20_000 }) >= 5);
}

#[test]
fn the_contract_accepts_all_interactions_but_the_invalid_ones() {
    assert!(check(Interactions { world: World::new(u64::MAX), day: day(), events: 20_000 }) >= 6);
}

#[test]
fn the_contract_accepts_all_levels_but_the_invalid_ones() {
    let contracts = contracts();
    let generator = inventory::Generator::new(World { products: 40, ..World::new(u64::MAX) }, 9, 0);
    let is_invalid = |level: &Level| {
        level.product_id.is_none()
            || level.on_hand.is_string()
            || level.reserved < 0
            || level.unit_cost == "n/a"
            || !level.snapshot_at.ends_with('Z')
    };

    let mut invalid = 0;
    for level in Hour::of_day(day()).flat_map(|hour| generator.levels(hour).unwrap()) {
        let json = serde_json::to_string(&level).unwrap();
        assert_eq!(
            is_accepted(&contracts, "inventory_levels", &json),
            !is_invalid(&level),
            "{json}"
        );
        invalid += u32::from(is_invalid(&level));
    }
    assert!((1..12).contains(&invalid), "{invalid}");
}
