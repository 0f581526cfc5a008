//! What the sources emit, against the contracts that it is judged by.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;

use chrono::NaiveDate;
use shoplake_contracts::{Contracts, Stamp};
use shoplake_sample_source::{
    crm::Interactions,
    inventory::{self, Hour, Level},
    post::{Feed, Plan, Purpose},
    web::Traffic,
    world::World,
};

fn contracts() -> Contracts {
    Contracts::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts/schemas"))
        .unwrap()
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

fn is_accepted(contracts: &Contracts, dataset: &str, json: &str) -> bool {
    let shop = "acme".parse().unwrap();
    let stamp = Stamp::new(&shop, "2026-11-21T12:00:00Z".parse().unwrap());
    contracts.get(dataset).unwrap().validate(stamp, json.as_bytes()).is_ok()
}

/// Checks every event of a plan; returns how many requests are dirt.
fn check<F: Feed>(feed: F) -> usize {
    let contracts = contracts();
    let mut dirt = 0;
    for request in (Plan { feed, batch: 100 }).requests() {
        let request = request.unwrap();
        let refused: Vec<_> = request
            .events
            .iter()
            .filter(|event| !is_accepted(&contracts, F::DATASET, event.json.get()))
            .collect();
        if request.purpose == Purpose::Dirt {
            dirt += 1;
            assert_eq!(refused.len(), 1, "{request:?}");
        } else {
            assert!(refused.is_empty(), "{refused:?}");
        }
    }
    dirt
}

#[test]
fn given_any_request_of_the_web_shop_then_the_contract_accepts_it_unless_it_is_dirt() {
    assert!(check(Traffic { world: World::new(u64::MAX), day: day(), events: 20_000 }) >= 5);
}

#[test]
fn given_any_request_of_the_crm_then_the_contract_accepts_it_unless_it_is_dirt() {
    assert!(check(Interactions { world: World::new(u64::MAX), day: day(), events: 20_000 }) >= 6);
}

#[test]
fn given_any_stock_level_then_the_contract_accepts_it_unless_it_is_dirt() {
    let contracts = contracts();
    let generator = inventory::Generator::new(World { products: 40, ..World::new(u64::MAX) }, 9, 0);
    let is_dirty = |level: &Level| {
        level.product_id.is_none()
            || level.on_hand.is_string()
            || level.reserved < 0
            || level.unit_cost == "n/a"
            || !level.snapshot_at.ends_with('Z')
    };

    let mut dirty = 0;
    for level in Hour::of_day(day()).flat_map(|hour| generator.levels(hour).unwrap()) {
        let json = serde_json::to_string(&level).unwrap();
        assert_eq!(is_accepted(&contracts, "inventory_levels", &json), !is_dirty(&level), "{json}");
        dirty += u32::from(is_dirty(&level));
    }
    assert!((1..12).contains(&dirty), "{dirty}");
}
