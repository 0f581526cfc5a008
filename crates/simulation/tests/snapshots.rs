//! Any history of deliveries, in any order of arrival, ends in the newest complete delivery of each
//! batch. The expected units come from the deliveries alone, with maps.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use shoplake_contracts::Contracts;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake, texts};

const SHOP: &str = "acme";
const DAYS: [&str; 2] = ["2026-03-01", "2026-03-02"];

const UNITS: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "business_date"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]

select
    shop_id,
    business_date,
    cast(sum(quantity) as bigint) as units
from silver.pos_sales
group by shop_id, business_date
"#;

/// What a delivery says of a receipt.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// It has so many units.
    Sold(i64),
    /// Its quantity is 0, which the contract refuses.
    Refused,
    /// It has the date of the other day, so it is not of this batch.
    Elsewhere,
}

/// What goes wrong with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// The connector is killed before it sends the control total.
    NoTotal,
    /// One of its rows, at this place, never arrives.
    RowLost(usize),
    /// The control total names a row too many.
    RowTooMany,
    /// The control total names a unit too many.
    UnitTooMany,
}

/// All rows of a day at one time, by receipt.
#[derive(Clone, Debug)]
struct Delivery {
    day: usize,
    lines: BTreeMap<u8, Line>,
    fault: Fault,
}

fn deliveries() -> impl Strategy<Value = Vec<Delivery>> {
    let line = prop_oneof![
        6 => (1..5_i64).prop_map(Line::Sold),
        1 => Just(Line::Refused),
        1 => Just(Line::Elsewhere),
    ];
    let fault = prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::NoTotal),
        1 => (0..4_usize).prop_map(Fault::RowLost),
        1 => Just(Fault::RowTooMany),
        1 => Just(Fault::UnitTooMany),
    ];
    let lines = prop::collection::btree_map(0..4_u8, line, 0..4);
    vec((0..2_usize, lines, fault), 1..6).prop_map(|deliveries| {
        let delivery = |(day, lines, fault)| Delivery { day, lines, fault };
        deliveries.into_iter().map(delivery).collect()
    })
}

impl Delivery {
    /// Returns its events but one that is lost.
    fn events(&self, number: usize) -> Vec<Event> {
        let (day, run) = (DAYS[self.day], format!("2026-03-04T04:{number:02}:00.000000Z"));
        let row = |(receipt, line): (&u8, &Line)| {
            let (quantity, date) = match line {
                Line::Sold(units) => (*units, day),
                Line::Refused => (0, day),
                Line::Elsewhere => (1, DAYS[1 - self.day]),
            };
            let data = json!({
                "transaction_id": format!("t{receipt}"), "line_no": 1, "store_id": "s1",
                "region": "north", "product_id": "p", "quantity": quantity, "unit_price": "10.00",
                "discount": "0", "currency": "EUR", "sold_at": format!("{date}T10:00:00Z"),
                "business_date": date,
            });
            // A connector names a row by its batch and key.
            let id = Some(format!("pos/{day}/t{receipt}/1"));
            Event { id, ..Event::new("pos_sales", SHOP, data) }
        };
        let mut events: Vec<_> = self.lines.iter().map(row).collect();
        if let Fault::RowLost(place) = self.fault
            && place < events.len()
        {
            events.remove(place);
        }
        if self.fault != Fault::NoTotal {
            let (rows, units) = self.total();
            let data = json!({
                "dataset": "pos_sales", "batch": day, "business_date": day, "run": run,
                "row_count": rows, "quantity_sum": units, "completed_at": run,
            });
            events.push(Event::new("control_totals", SHOP, data));
        }
        let sent = |event: Event| event.in_batch(day).in_run(&run).received_at(&run);
        events.into_iter().map(sent).collect()
    }

    fn units(&self) -> i64 {
        let units = |line: &Line| if let Line::Sold(units) = line { *units } else { 0 };
        self.lines.values().map(units).sum()
    }

    /// Returns the rows and units that its control total names.
    fn total(&self) -> (usize, i64) {
        (
            self.lines.len() + usize::from(self.fault == Fault::RowTooMany),
            self.units() + i64::from(self.fault == Fault::UnitTooMany),
        )
    }

    /// Returns whether its control total has arrived with all its rows. Units are compared only if
    /// no row is in quarantine, whose units are not known.
    fn is_complete(&self) -> bool {
        match self.fault {
            Fault::None => true,
            Fault::NoTotal | Fault::RowTooMany => false,
            Fault::RowLost(place) => place >= self.lines.len(),
            Fault::UnitTooMany => !self.lines.values().all(|line| matches!(line, Line::Sold(_))),
        }
    }
}

/// Returns the units of each day that has some.
fn expected(deliveries: &[Delivery]) -> Vec<String> {
    let mut newest = BTreeMap::new();
    for delivery in deliveries.iter().filter(|delivery| delivery.is_complete()) {
        newest.insert(DAYS[delivery.day], delivery.units());
    }
    let counted = newest.iter().filter(|(_, units)| **units > 0);
    counted.map(|(day, units)| format!("{day} {units}")).collect()
}

fn lake() -> Lake {
    let schema = |name: &str| {
        let file = format!("crates/contracts/schemas/{name}.json");
        (name.to_owned(), shoplake_testing::read(&file))
    };
    let schemas = ["pos_sales", "control_totals", "quarantined"].map(schema);
    let sources = schemas.iter().map(|(name, schema)| (name.as_str(), schema.as_str()));
    let contracts = Contracts::from_sources(sources).unwrap();
    let models = Models::from_sources(&contracts, [("intermediate/units.sql", UNITS)]).unwrap();
    Lake::new(contracts, models)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_newest_complete_delivery_counts_in_any_order(
        deliveries in deliveries(),
        order in vec(any::<u8>(), 30),
        size in 1..12_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut events: Vec<_> = deliveries.iter().enumerate()
            .flat_map(|(number, delivery)| delivery.events(number))
            .collect();
        let mut order = order.into_iter();
        events.sort_by_cached_key(|_| order.next());
        let found = runtime.block_on(async {
            let lake = lake();
            for (number, chunk) in events.chunks(size).enumerate() {
                lake.deliver(chunk, &format!("chunk-{number}")).await.unwrap();
                lake.settle().await.unwrap();
            }
            texts(&lake.rows("units").await.unwrap(), "business_date units")
        });
        prop_assert_eq!(found, expected(&deliveries));
    }
}
