//! A partition is a function of the set of its rows: never of how they are divided into objects,
//! nor of their order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shoplake_contracts::Contracts;
use shoplake_engine::gold;
use shoplake_lake::MemoryStore;
use shoplake_models::Models;
use shoplake_testing::{Lake, Row, row, texts};

/// Few sessions, products and lines, so that duplicates, splits and ties are frequent.
fn events() -> impl Strategy<Value = Vec<Row>> {
    let event = (0..12_u32, 0..3_u32, 0..3_usize, 0..400_u32, 0..2_u32, 0..2_u32).prop_map(
        |(id, session, event_type, minute, received, country)| {
            row(
                &[
                    ("shop_id", "acme"),
                    ("visitor_id", "v1"),
                    ("page_url", "https://shop.example/"),
                    ("device_type", "mobile"),
                    ("device_os", "ios"),
                    ("device_browser", "safari"),
                    ("_envelope_id", "same"),
                ],
                &[
                    ("event_id", &format!("e{id}")),
                    ("session_id", &format!("s{session}")),
                    ("event_type", ["page_view", "product_view", "search"][event_type]),
                    (
                        "occurred_at",
                        &format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60),
                    ),
                    ("_received_at", &format!("2026-03-01T12:00:0{received}Z")),
                    ("country", ["GB", "DE"][country as usize]),
                ],
            )
        },
    );
    prop::collection::vec(event, 1..30)
}

fn sales() -> impl Strategy<Value = Vec<Row>> {
    let line = (0..4_u32, 1..4_u32, -3..4_i32, 1..100_000_u32, 0..2_u32).prop_map(
        |(transaction, line, quantity, price, received)| {
            row(
                &[
                    ("shop_id", "acme"),
                    ("store_id", "s1"),
                    ("region", "north"),
                    ("product_id", "p1"),
                    ("discount", "0.01"),
                    ("currency", "GBP"),
                    ("sold_at", "2026-03-01T10:00:00Z"),
                    ("business_date", "2026-03-01"),
                    ("_envelope_id", "same"),
                ],
                &[
                    ("transaction_id", &format!("t{transaction}")),
                    ("line_no", &line.to_string()),
                    ("quantity", &(if quantity == 0 { 9 } else { quantity }).to_string()),
                    ("unit_price", &format!("{}.{:04}", price / 10_000, price % 10_000)),
                    ("_received_at", &format!("2026-03-01T12:00:0{received}Z")),
                ],
            )
        },
    );
    prop::collection::vec(line, 1..30)
}

/// The bytes that would be committed, if the rows came in as many objects as `objects` says.
async fn committed(model: &str, dataset: &str, rows: &[Row], objects: usize) -> Vec<u8> {
    let lake = Lake::new();
    for (number, rows) in rows.chunks(rows.len().div_ceil(objects)).enumerate() {
        lake.write(dataset, "dt=2026-03-01", &format!("{number}"), rows).await;
    }
    let mut job = lake.job(model, "2026-03-01").await;
    let output = lake.run(model, "2026-03-01").await.unwrap();
    assert_eq!(output.failed_checks, []);
    // These name the listing, which differs; the rest must not.
    job.id = String::new();
    job.output.inputs_digest = String::new();
    gold::encode(&output.into_gold(), &job).unwrap().to_vec()
}

/// The rows, and the same rows in another order.
fn shuffled(rows: impl Strategy<Value = Vec<Row>>) -> impl Strategy<Value = (Vec<Row>, Vec<Row>)> {
    rows.prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
}

/// A dataset whose senders have a clock, and tell runs apart or not.
const PRICES: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Prices",
    "description": "d", "type": "object",
    "x-dataset": {"source": "shop", "delivery": "batch", "key": ["shop_id", "id", "day"],
                  "version": "updated_at", "event_time": "updated_at", "partition": "day(day)",
                  "sort": ["shop_id"], "personal": []},
    "required": ["id", "day", "updated_at", "amount"],
    "properties": {"id": {"type": "string", "description": "d"},
                   "day": {"type": "string", "format": "date", "description": "d"},
                   "updated_at": {"type": "string", "format": "date-time", "description": "d"},
                   "triggered_at": {"type": ["string", "null"], "format": "date-time",
                                    "description": "d"},
                   "amount": {"type": "integer", "minimum": 0, "maximum": 9, "description": "d"}}
}"#;

const NEWEST: &str = "-- grain = \"one row per shop, day and id\"
-- key = [\"shop_id\", \"day\", \"id\"]
-- partition = \"day\"
-- inputs = [\"silver.prices\"]

select shop_id, day, id, amount from silver.prices
";

/// What decides between two versions, the most important first: when it was updated, when it was
/// sent, its run, when it was received, its envelope, its amount.
type Version = (u32, Option<u32>, Option<u32>, u32, u32, u32);

fn versions() -> impl Strategy<Value = Vec<(u32, Version)>> {
    let optional = || prop::option::of(0..2_u32);
    let version = (0..2_u32, optional(), optional(), 0..2_u32, 0..2_u32, 0..3_u32);
    prop::collection::vec((0..3_u32, version), 1..20)
}

/// Versions of rows, each with its key.
type Versions = Vec<(u32, Version)>;

/// Versions, and the same versions in another order, some of them twice.
fn disordered() -> impl Strategy<Value = (Versions, Versions)> {
    versions().prop_flat_map(|versions| {
        let again = prop::sample::subsequence(versions.clone(), 0..=versions.len());
        let all = versions.clone();
        let twice = again.prop_map(move |again| [all.clone(), again].concat()).prop_shuffle();
        (Just(versions), twice)
    })
}

fn price((id, (updated, triggered, run, received, envelope, amount)): &(u32, Version)) -> Row {
    let at = |minute: &u32| format!("2026-03-01T12:{minute:02}:00Z");
    let mut price = row(
        &[("shop_id", "acme"), ("day", "2026-03-01")],
        &[
            ("id", &format!("p{id}")),
            ("updated_at", &at(updated)),
            ("_received_at", &at(received)),
            ("_envelope_id", &format!("e{envelope}")),
            ("amount", &amount.to_string()),
        ],
    );
    price.extend(triggered.as_ref().map(|triggered| ("triggered_at", at(triggered))));
    price.extend(run.as_ref().map(|run| ("_run", format!("2026-03-02T0{run}:00:00.000000Z"))));
    price
}

/// The amounts that count, if the versions come in as many objects as `objects` says.
async fn newest(versions: &[(u32, Version)], objects: usize) -> Vec<String> {
    let contracts = Contracts::from_sources([("prices", PRICES)]).unwrap();
    let models = Models::from_sources(&contracts, [("intermediate/newest.sql", NEWEST)]).unwrap();
    let lake = Lake { store: MemoryStore::default(), contracts, models };
    let rows: Vec<_> = versions.iter().map(price).collect();
    for (number, rows) in rows.chunks(rows.len().div_ceil(objects)).enumerate() {
        lake.write("prices", "dt=2026-03-01", &number.to_string(), rows).await;
    }
    texts(&lake.run("newest", "2026-03-01").await.unwrap().rows)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sessions_do_not_depend_on_objects_or_order(
        (rows, other) in shuffled(events()), objects in 1..5_usize,
    ) {
        let (one, two) = runtime().block_on(async {
            let model = "session_duration_bounce_rate";
            (
                committed(model, "web_traffic", &rows, 1).await,
                committed(model, "web_traffic", &other, objects).await,
            )
        });
        prop_assert!(one == two);
    }

    #[test]
    fn the_newest_version_counts_in_any_order_and_number(
        (versions, disordered) in disordered(), objects in 1..5_usize,
    ) {
        let mut expected: BTreeMap<u32, Version> = BTreeMap::new();
        for (id, version) in &versions {
            let newest = expected.entry(*id).or_insert(*version);
            *newest = (*newest).max(*version);
        }
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, (.., amount))| format!("acme|2026-03-01|p{id}|{amount}"))
            .collect();
        let (one, other) = runtime().block_on(async {
            (newest(&versions, 1).await, newest(&disordered, objects).await)
        });
        prop_assert_eq!(&one, &expected);
        prop_assert_eq!(other, expected);
    }

    #[test]
    fn sales_do_not_depend_on_objects_or_order(
        (rows, other) in shuffled(sales()), objects in 1..5_usize,
    ) {
        let (one, two) = runtime().block_on(async {
            let model = "total_sales_by_region_product";
            (
                committed(model, "pos_sales", &rows, 1).await,
                committed(model, "pos_sales", &other, objects).await,
            )
        });
        prop_assert!(one == two);
    }
}
