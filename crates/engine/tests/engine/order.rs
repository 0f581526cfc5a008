//! A partition is a function of the set of its rows: never of how they are divided into objects,
//! nor of their order.

use proptest::prelude::*;
use shoplake_engine::gold;
use shoplake_testing::{Lake, Row, row};

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
