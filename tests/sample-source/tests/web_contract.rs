//! What the shop sends, against the contract that the webhook checks it by.

use std::path::Path;

use chrono::NaiveDate;
use sample_source::web::{Plan, Purpose};
use shoplake_contracts::Contracts;

#[test]
fn given_any_request_then_the_contract_accepts_it_unless_it_is_dirt() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts/schemas");
    let contracts = Contracts::load(&schemas).unwrap();
    let contract = contracts.get("web_traffic").unwrap();
    let shop = "acme".parse().unwrap();
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();

    let mut dirt = 0;
    for request in (Plan { seed: u64::MAX, day, events: 20_000, batch: 100 }).requests() {
        let request = request.unwrap();
        let verdicts =
            request.events.iter().map(|event| contract.validate(&shop, event.json.get().as_bytes()));
        let refused = verdicts.filter_map(Result::err).collect::<Vec<_>>();
        if request.purpose == Purpose::Dirt {
            dirt += 1;
            assert_eq!(refused.len(), 1, "{request:?}");
        } else {
            assert!(refused.is_empty(), "{refused:?}");
        }
    }
    assert!(dirt >= 5, "each kind of dirt");
}
