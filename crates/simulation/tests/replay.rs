//! Replaying any input, in any order, any batch split and any repetition, ends in the same tables
//! of all models. `tests/protocol.rs` does the same with faults, for small models.
//!
//! `PROPTEST_CASES=200 cargo test --workspace --test replay` runs more cases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use shoplake_contracts::Contracts;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake, Row};
use shoplake_testing::definitions;
use tokio::runtime::Runtime;

/// The last two days are neighbours. The first is the first of the 30 days that end with the
/// second.
const DAYS: [&str; 3] = ["2026-01-31", "2026-03-01", "2026-03-02"];

const TIMES: [&str; 5] = ["00:00:00Z", "00:10:00Z", "12:00:00Z", "23:50:00Z", "23:59:59.999999Z"];

fn lake() -> Lake {
    static DEFINITIONS: LazyLock<(Contracts, Models)> = LazyLock::new(definitions);
    let (contracts, models) = DEFINITIONS.clone();
    Lake::new(contracts, models)
}

/// Returns the rows of all models, which the warehouse has as well.
async fn tables(lake: &Lake) -> BTreeMap<String, Vec<Row>> {
    let mut tables = BTreeMap::new();
    for model in lake.models().iter() {
        let rows = lake.rows(&model.name).await.unwrap();
        if model.warehouse.is_some() {
            assert_eq!(lake.warehouse_rows(&model.name).unwrap(), rows, "{}", model.name);
        }
        tables.insert(model.name.clone(), rows);
    }
    tables
}

/// When an event is received: few values, so that copies tie.
#[derive(Clone, Debug)]
struct Taken {
    second: u8,
    same_envelope: bool,
}

impl Taken {
    fn give(&self, mut event: Event) -> Event {
        event.received_at += TimeDelta::seconds(self.second.into());
        event.id = self.same_envelope.then(|| "same".to_owned());
        event
    }
}

fn taken() -> impl Strategy<Value = Taken> {
    (0..2_u8, prop::bool::weighted(0.3))
        .prop_map(|(second, same_envelope)| Taken { second, same_envelope })
}

fn shop() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("acme"), 1 => Just("globex")]
}

fn at() -> impl Strategy<Value = String> {
    (0..DAYS.len(), 0..TIMES.len()).prop_map(|(day, time)| format!("{}T{}", DAYS[day], TIMES[time]))
}

fn web() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(vec!["page_view", "search", "purchase"]);
    (shop(), 0..6_u8, 0..2_u8, prop::option::of(0..2_u8), kind, at(), taken()).prop_map(
        |(shop, id, session, customer, kind, at, taken)| {
            taken.give(Event::new(
                "web_traffic",
                shop,
                json!({
                    "event_id": format!("e{id}"), "session_id": format!("s{session}"),
                    "visitor_id": "v",
                    "customer_id": customer.map(|customer| format!("c{customer}")),
                    "event_type": kind, "occurred_at": at,
                    "page_url": "https://shop.example/",
                }),
            ))
        },
    )
}

fn crm() -> impl Strategy<Value = Event> {
    let status =
        prop::sample::select(vec![None, Some("opened"), Some("pending"), Some("resolved")]);
    let kind = prop::sample::select(vec!["inquiry", "feedback", "loyalty_earn"]);
    (shop(), 0..6_u8, 0..2_u8, kind, 0..2_u8, status, prop::option::of(1..6_u8), at(), taken())
        .prop_map(|(shop, id, customer, kind, ticket, status, rating, at, taken)| {
            taken.give(Event::new(
                "crm_interactions",
                shop,
                json!({
                    "interaction_id": format!("i{id}"), "customer_id": format!("c{customer}"),
                    "channel": "email",
                    "interaction_type": kind, "ticket_id": format!("t{ticket}"),
                    "ticket_status": status, "rating": rating,
                    "occurred_at": at,
                }),
            ))
        })
}

fn newsletter() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(vec!["subscribe", "unsubscribe", "open"]);
    let campaign = prop::option::of(prop::sample::select(vec!["spring", "summer"]));
    (shop(), 0..6_u8, 0..2_u8, kind, at(), campaign, taken()).prop_map(
        |(shop, id, customer, kind, at, campaign, taken)| {
            let data = json!({
                "event_id": format!("n{id}"), "customer_id": format!("c{customer}"),
                "event_type": kind, "occurred_at": at, "campaign": campaign,
            });
            taken.give(Event::new("newsletter_events", shop, data))
        },
    )
}

/// Runs that deliver a day. The control total of the last one has a row too many.
const RUNS: [&str; 3] =
    ["2026-03-03T04:00:00.000000Z", "2026-03-03T05:00:00.000000Z", "2026-03-03T06:00:00.000000Z"];

fn run() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(RUNS.to_vec()))
}

/// The quantity of a line follows from its key, so that control totals are right with any copy of a
/// line.
fn sale() -> impl Strategy<Value = Event> {
    let quantity = |transaction: u8, line: u8| [1, -1, 3, 7][usize::from(transaction + line) % 4];
    let customer = prop::option::of(0..2_u8);
    let place = (0..DAYS.len(), 0..2_u8, 0..2_u8, run());
    (shop(), place, 0..2_u8, customer, 1..20_000_u32, prop::option::of(0..3_u8), taken()).prop_map(
        move |(shop, (day, transaction, line, run), product, customer, price, cost, taken)| {
            let day = DAYS[day];
            let mut sale = Event::new(
                "pos_sales",
                shop,
                json!({
                    "transaction_id": format!("{day}-{transaction}"), "line_no": line + 1,
                    "store_id": "s", "region": "north",
                    "product_id": format!("p{product}"), "quantity": quantity(transaction, line),
                    "unit_price":
                        format!("{}.{:04}", price / 10_000, price % 10_000).replace("0.0000", "1"),
                    "discount": "0.01",
                    "unit_cost": cost.map(|cost| cost.to_string()), "currency": "GBP",
                    "customer_id": customer.map(|customer| format!("c{customer}")),
                    "sold_at": format!("{day}T10:00:00Z"),
                    "business_date": day,
                }),
            )
            .in_batch(day);
            sale.run = run.map(str::to_owned);
            taken.give(sale)
        },
    )
}

fn stock() -> impl Strategy<Value = Event> {
    (shop(), at(), 0..2_u8, 0..2_u8, -1..6_i64, 0..2_u8, prop::option::of(at()), taken()).prop_map(
        |(shop, at, location, product, on_hand, restocked, last, taken)| {
            taken.give(Event::new(
                "inventory_levels",
                shop,
                json!({
                    "location_id": format!("l{location}"), "product_id": format!("p{product}"),
                    "snapshot_at": at,
                    "on_hand": on_hand, "reserved": 1, "reorder_point": 2, "unit_cost": "1.25",
                    "currency": "GBP",
                    "restocked_quantity": restocked, "last_restocked_at": last,
                }),
            ))
        },
    )
}

/// Quantities of lines by receipt and number.
type Lines<'a> = BTreeMap<(&'a str, u64), i64>;

/// Returns the control totals of these events, per shop, day and run.
fn totals(events: &[Event]) -> Vec<Event> {
    let mut days: BTreeMap<(&str, &str, Option<&str>), Lines<'_>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.dataset == "pos_sales") {
        let data = &event.data;
        let (Some(day), Some(transaction), Some(line), Some(quantity)) = (
            data["business_date"].as_str(),
            data["transaction_id"].as_str(),
            data["line_no"].as_u64(),
            data["quantity"].as_i64(),
        ) else {
            panic!("a sale has all of these: {event:?}");
        };
        let delivery = (event.shop_id.as_str(), day, event.run.as_deref());
        days.entry(delivery).or_default().insert((transaction, line), quantity);
    }
    type Delivered<'a> = (&'a (&'a str, &'a str, Option<&'a str>), &'a Lines<'a>);
    let total = |((shop, day, run), lines): Delivered<'_>| {
        let surplus = usize::from(*run == Some(RUNS[2]));
        let mut total = Event::new(
            "control_totals",
            shop,
            json!({
                "dataset": "pos_sales", "batch": day, "business_date": day, "run": run,
                "row_count": lines.len() + surplus,
                "quantity_sum": lines.values().sum::<i64>(), "completed_at": "2026-04-01T00:00:00Z",
            }),
        )
        .in_batch(day);
        total.run = run.map(str::to_owned);
        total
    };
    days.iter().map(total).collect()
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => web(),
        3 => crm(),
        3 => sale(),
        3 => stock(),
        2 => newsletter(),
    ];
    prop::collection::vec(event, 1..30).prop_map(|mut events| {
        events.extend(totals(&events));
        events
    })
}

/// A way to deliver the events.
#[derive(Clone, Debug)]
struct Delivery {
    events: Vec<Event>,
    /// Where the events are split into batches.
    cuts: Vec<Index>,
    /// Batches that are delivered once more at the end, under the same name or another.
    again: Vec<(Index, bool)>,
    /// How many seconds the pipeline runs after each batch.
    waits: Vec<i64>,
}

fn delivery(events: Vec<Event>) -> impl Strategy<Value = Delivery> {
    (
        Just(events).prop_shuffle(),
        prop::collection::vec(any::<Index>(), 0..4),
        prop::collection::vec((any::<Index>(), any::<bool>()), 0..2),
        // Longer than a lease, so that some batches find the pipeline idle.
        prop::collection::vec(0..700_i64, 0..5),
    )
        .prop_map(|(events, cuts, again, waits)| Delivery { events, cuts, again, waits })
}

impl Delivery {
    async fn play(&self, lake: &Lake) {
        let cuts: BTreeSet<usize> =
            self.cuts.iter().map(|cut| cut.index(self.events.len())).collect();
        let starts: Vec<usize> = [0].into_iter().chain(cuts).collect();
        let ends = starts.iter().copied().skip(1).chain([self.events.len()]);
        let batches: Vec<_> =
            starts.iter().copied().zip(ends).map(|(start, end)| &self.events[start..end]).collect();
        let mut waits = self.waits.iter().map(|seconds| TimeDelta::seconds(*seconds));
        for (number, batch) in batches.iter().enumerate() {
            lake.deliver(batch, &number.to_string()).await.unwrap();
            if let Some(wait) = waits.next() {
                lake.run_for(wait).await.unwrap();
            }
        }
        for (place, same_name) in &self.again {
            let number = place.index(batches.len());
            let name = if *same_name { number.to_string() } else { format!("{number}-again") };
            lake.deliver(batches[number], &name).await.unwrap();
            if let Some(wait) = waits.next() {
                lake.run_for(wait).await.unwrap();
            }
        }
        lake.settle().await.unwrap();
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn config() -> ProptestConfig {
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2);
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_time: 300_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_order_split_and_repetition_end_in_the_same_tables(
        (events, delivery) in events()
            .prop_flat_map(|events| (Just(events.clone()), delivery(events))),
    ) {
        let (expected, found) = runtime().block_on(async {
            let (undisturbed, replayed) = (lake(), lake());
            undisturbed.deliver(&events, "all").await.unwrap();
            undisturbed.settle().await.unwrap();
            assert_eq!(undisturbed.quarantined().await.unwrap(), Vec::<Value>::new());
            delivery.play(&replayed).await;
            (tables(&undisturbed).await, tables(&replayed).await)
        });
        for (model, rows) in &expected {
            prop_assert_eq!(&found[model], rows, "{}", model);
        }
    }
}
