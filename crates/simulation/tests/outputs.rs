//! What leaves the lake: rows in the warehouse, and alerts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde_json::json;
use shoplake_jobs::JobOutcome;
use shoplake_lake::{Store, keys};
use shoplake_simulation::{Event, Lake, texts};

/// Units of the product `p1` at the location `l1`, of which 5 are low.
fn stock(at: &str, on_hand: i64) -> Event {
    let data = json!({
        "location_id": "l1", "product_id": "p1", "snapshot_at": at, "on_hand": on_hand,
        "reserved": 0,
        "reorder_point": 5, "unit_cost": "2.50", "currency": "EUR", "restocked_quantity": 0,
    });
    Event::new("inventory_levels", "acme", data)
}

/// Two units, on one line of a receipt.
fn sale(line: u32) -> Event {
    let data = json!({
        "transaction_id": "t1", "line_no": line, "store_id": "s1", "region": "north",
        "product_id": "p1", "quantity": 2, "unit_price": "2.50", "discount": "0",
        "currency": "GBP", "sold_at": "2026-03-01T10:00:00Z", "business_date": "2026-03-01",
    });
    Event::new("pos_sales", "acme", data).in_batch("2026-03-01")
}

async fn deliver(lake: &Lake, name: &str, events: &[Event]) {
    lake.deliver(events, name).await.unwrap();
    lake.settle().await.unwrap();
}

fn subjects(lake: &Lake) -> Vec<String> {
    let alerts = lake.alerts().into_iter();
    alerts.map(|alert| alert.subject).filter(|subject| subject.contains("p1")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warehouse_has_the_rows_of_gold_after_each_change() {
    let lake = Lake::of_repository().unwrap();
    let shown = "alert_date state started_at ended_at";
    deliver(&lake, "out", &[stock("2026-03-01T08:00:00Z", 9), stock("2026-03-01T09:00:00Z", 0)])
        .await;
    let rows = lake.warehouse_rows("stockout_alerts").unwrap();
    assert_eq!(texts(&rows, shown), ["2026-03-01 out 2026-03-01T09:00:00Z null"]);

    deliver(&lake, "refilled", &[stock("2026-03-02T09:00:00Z", 7)]).await;
    let mut loaded = 0;
    for model in lake.models().iter().filter(|model| model.warehouse.is_some()) {
        let rows = lake.warehouse_rows(&model.name).unwrap();
        assert_eq!(rows, lake.rows(&model.name).await.unwrap(), "{}", model.name);
        loaded += rows.len();
    }
    assert!(loaded > 0);
    let rows = lake.warehouse_rows("stockout_alerts").unwrap();
    assert_eq!(texts(&rows, shown), ["2026-03-01 out 2026-03-01T09:00:00Z 2026-03-02T09:00:00Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_row_alerts_once() {
    let lake = Lake::of_repository().unwrap();
    let first = [stock("2026-03-01T08:00:00Z", 9), stock("2026-03-01T09:00:00Z", 0)];
    deliver(&lake, "out", &first).await;
    assert_eq!(subjects(&lake).len(), 1, "{:?}", subjects(&lake));

    // The same events again, and the end of the stock-out, which this policy does not alert.
    deliver(&lake, "again", &first).await;
    deliver(&lake, "refilled", &[stock("2026-03-02T09:00:00Z", 7)]).await;
    assert_eq!(subjects(&lake).len(), 1);

    deliver(&lake, "low", &[stock("2026-03-05T09:00:00Z", 4)]).await;
    assert_eq!(subjects(&lake).len(), 2, "{:?}", subjects(&lake));
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_that_is_deleted_and_computed_again_is_loaded() {
    let lake = Lake::of_repository().unwrap();
    let model = "total_sales_by_region_product";
    let committed = || {
        let result =
            lake.ended()[&(model.to_owned(), "2026-03-01".parse().unwrap())].result.clone();
        (result.outcome, result.version)
    };
    for line in 1..4 {
        deliver(&lake, &format!("line{line}"), &[sale(line)]).await;
        assert_eq!(committed(), (JobOutcome::Committed, u64::from(line)));
    }
    let gold = format!("gold/{model}/business_date=2026-03-01/data.parquet");
    lake.objects().delete(&gold).await.unwrap();
    lake.run_for(TimeDelta::seconds(1)).await.unwrap();
    deliver(&lake, "late", &[sale(4)]).await;

    assert_eq!(committed(), (JobOutcome::Committed, 4), "the state knows the versions before");
    let rows = lake.warehouse_rows(model).unwrap();
    assert_eq!(texts(&rows, "units_sold"), ["8"]);
    assert_eq!(rows, lake.rows(model).await.unwrap());

    lake.objects().delete(&gold).await.unwrap();
    let state = keys::partition_state(model, "2026-03-01".parse().unwrap());
    lake.objects().delete(&state).await.unwrap();
    lake.run_for(TimeDelta::seconds(1)).await.unwrap();
    deliver(&lake, "later", &[sale(5)]).await;

    assert_eq!(committed(), (JobOutcome::Committed, 1), "versions start again");
    let rows = lake.warehouse_rows(model).unwrap();
    assert_eq!(texts(&rows, "units_sold"), ["10"]);
    assert_eq!(rows, lake.rows(model).await.unwrap());
}
