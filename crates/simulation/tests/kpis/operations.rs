//! Inventory turnover, restocks and stock-out alerts.

use serde_json::json;
use shoplake_simulation::Event;

use crate::given::{failed, lake, sale, show, stock, then};

const TURNOVER: &str = "business_date currency cost_of_goods_sold_30d average_inventory_value_30d \
    turnover \
     units_without_cost_30d";

#[tokio::test]
async fn turnover_is_cost_over_average_value_by_currency() {
    let cost = |cost: Option<&str>, event: Event| event.with(json!({"unit_cost": cost}));
    let lake = lake(&[
        cost(Some("2.50"), sale("t1", "2026-03-01", "p1", 4)), // 10.00
        cost(Some("2.50"), sale("t2", "2026-03-01", "p1", -1)), // -2.50
        cost(None, sale("t3", "2026-03-01", "p1", 3)),
        sale("t4", "2026-03-01", "p1", 1).with(json!({"currency": "USD"})), // 4.00 USD
        stock("p1", "2026-03-01T10:00:00Z", 20),                            // 50.00
        cost(Some("1.00"), stock("p2", "2026-03-01T10:00:00Z", 10)),        // 10.00
        stock("p1", "2026-03-01T11:00:00Z", 16),                            // 40.00
        stock("p1", "2026-03-02T10:00:00Z", 8),                             // 20.00
    ])
    .await;
    assert_eq!(
        show(&lake, "inventory_turnover", TURNOVER).await,
        [
            // (50.00 + 40.00) / 2 of p1 and 10.00 of p2, which was counted once; 7.50 / 55
            "2026-03-01 EUR 7.5000 55.0 0.13636363636363635 3",
            "2026-03-01 USD 4.0000 null null 0",
            // (50.00 + 40.00 + 20.00) / 3 and 10.00; 7.50 / 46.666...
            "2026-03-02 EUR 7.5000 46.666666666666664 0.16071428571428573 3",
            "2026-03-02 USD 4.0000 null null 0",
        ]
    );
}

#[tokio::test]
async fn turnover_of_worthless_stock_is_null_of_returns_negative() {
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 5).with(json!({"unit_cost": "0"})),
        stock("p2", "2026-03-01T10:00:00Z", 4).with(json!({"currency": "USD"})), // 10.00
        sale("t1", "2026-03-01", "p1", 1),
        sale("t2", "2026-03-01", "p2", -1).with(json!({"currency": "USD"})), // -4.00
    ])
    .await;
    assert_eq!(
        show(&lake, "inventory_turnover", TURNOVER).await,
        ["2026-03-01 EUR 4.0000 0.0 null 0", "2026-03-01 USD -4.0000 10.0 -0.4 0"]
    );
}

#[tokio::test]
async fn turnover_covers_sales_and_stock_of_30_days() {
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 5),       // 20.00
        stock("p1", "2026-03-01T10:00:00Z", 30), // 75.00
        stock("p1", "2026-03-30T10:00:00Z", 10), // 25.00
        stock("p1", "2026-03-31T10:00:00Z", 22), // 55.00
    ])
    .await;
    assert_eq!(
        show(&lake, "inventory_turnover", TURNOVER).await,
        [
            "2026-03-01 EUR 20.0000 75.0 0.26666666666666666 0",
            // (75 + 25) / 2
            "2026-03-30 EUR 20.0000 50.0 0.4 0",
            // (25 + 55) / 2
            "2026-03-31 EUR 0.0000 40.0 0.0 0",
        ]
    );
}

#[tokio::test]
async fn sums_of_the_greatest_stock_values_do_not_overflow() {
    let most = |product| {
        stock(product, "2026-03-01T10:00:00Z", 1_000_000_000)
            .with(json!({"unit_cost": "99999999999999.9999"}))
    };
    let lake = lake(&[most("p1"), most("p2")]).await;
    // twice 99999999999999999900000.0000 is 199999999999999999800000, next to which 2e23 is the
    // nearest double
    assert_eq!(
        show(&lake, "inventory_turnover", TURNOVER).await,
        ["2026-03-01 EUR 0.0000 2e+23 0.0 0"]
    );
}

const RESTOCKS: &str =
    "stock_date restocks_30d restocked_quantity_30d mean_days_between days_since_last";

fn restock(at: &str, quantity: i64) -> Event {
    stock("p1", at, 9).with(json!({"restocked_quantity": quantity}))
}

#[tokio::test]
async fn number_and_distance_of_restocks_cover_30_days() {
    let lake = lake(&[
        restock("2026-03-01T10:00:00Z", 5),
        restock("2026-03-03T10:00:00Z", 5),
        restock("2026-03-04T22:00:00Z", 2),
        restock("2026-03-05T10:00:00Z", 0),
        restock("2026-03-30T10:00:00Z", 0),
        restock("2026-03-31T10:00:00Z", 0),
    ])
    .await;
    // the same snapshot once more is no other restock
    then(&lake, "again", &[restock("2026-03-03T10:00:00Z", 5)]).await;
    assert_eq!(
        show(&lake, "restock_frequency", RESTOCKS).await,
        [
            "2026-03-01 1 5 null 0.0",
            "2026-03-03 2 10 2.0 0.0",
            // 3.5 days from the first to the third
            "2026-03-04 3 12 1.75 0.0",
            "2026-03-05 3 12 1.75 0.5",
            // the first one is 29 days ago
            "2026-03-30 3 12 1.75 25.5",
            // the first one is 30 days ago and does not count any more: 1.5 days from the second to
            // the third, of which the last was 26.5 days ago
            "2026-03-31 2 7 1.5 26.5",
        ]
    );
}

#[tokio::test]
async fn the_last_restock_may_be_one_that_inventory_reports() {
    let remembered = |product, at: &str| {
        stock(product, "2026-03-01T10:00:00Z", 9).with(json!({"last_restocked_at": at}))
    };
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 9),
        // 1 day to the end of the year, 31 of January, 28 of February
        remembered("p2", "2025-12-31T10:00:00Z"),
        // its clock is ahead
        remembered("p3", "2026-03-01T11:00:00Z"),
        // units came in at 04:00, which the snapshot of 10:00 saw: the later time of the two
        remembered("p4", "2026-03-01T04:00:00Z").with(json!({"restocked_quantity": 1})),
        stock("p4", "2026-03-01T13:00:00Z", 9),
    ])
    .await;
    assert_eq!(
        show(
            &lake,
            "restock_frequency",
            "product_id restocks_30d mean_days_between days_since_last"
        )
        .await,
        ["p1 0 null null", "p2 0 null 60.0", "p3 0 null 0.0", "p4 1 null 0.125"]
    );
}

const ALERTS: &str = "alert_date state started_at ended_at on_hand available";

#[tokio::test]
async fn each_stock_state_has_one_alert_a_day() {
    let lake = lake(&[
        stock("p1", "2026-03-01T08:00:00Z", 10),
        stock("p1", "2026-03-01T09:00:00Z", 5), // low, as it is no more than 5
        stock("p1", "2026-03-01T10:00:00Z", 4).with(json!({"reserved": 4})), // out
        stock("p1", "2026-03-01T11:00:00Z", 3), // low again
        stock("p1", "2026-03-01T12:00:00Z", 6), // well
        stock("p1", "2026-03-01T13:00:00Z", 0), // out again
    ])
    .await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        [
            "2026-03-01 low 2026-03-01T09:00:00Z 2026-03-01T10:00:00Z 5 5",
            "2026-03-01 out 2026-03-01T10:00:00Z 2026-03-01T11:00:00Z 4 0",
        ]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn a_stock_out_of_several_days_is_one_alert() {
    let lake = lake(&[
        stock("p1", "2026-03-01T08:00:00Z", 10),
        stock("p1", "2026-03-01T22:00:00Z", 0),
        stock("p1", "2026-03-02T00:00:00Z", 0),
        stock("p1", "2026-03-02T22:00:00Z", 0),
        stock("p1", "2026-03-03T22:00:00Z", 0),
    ])
    .await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        ["2026-03-01 out 2026-03-01T22:00:00Z null 0 0"]
    );

    then(&lake, "refilled", &[stock("p1", "2026-03-04T09:00:00Z", 7)]).await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        ["2026-03-01 out 2026-03-01T22:00:00Z 2026-03-04T09:00:00Z 0 0"]
    );

    // a day later it is out once more: another alert
    then(&lake, "out", &[stock("p1", "2026-03-05T09:00:00Z", 0)]).await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        [
            "2026-03-01 out 2026-03-01T22:00:00Z 2026-03-04T09:00:00Z 0 0",
            "2026-03-05 out 2026-03-05T09:00:00Z null 0 0",
        ]
    );
}

#[tokio::test]
async fn a_gap_in_the_snapshots_does_not_end_an_alert() {
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 0), // nothing is known of before
        stock("p1", "2026-03-05T10:00:00Z", 0),
        stock("p1", "2026-03-09T10:00:00Z", 8),
    ])
    .await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        ["2026-03-01 out 2026-03-01T10:00:00Z 2026-03-09T10:00:00Z 0 0"]
    );
}

#[tokio::test]
async fn alerts_look_back_31_days_and_ahead_30_days() {
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 0),
        stock("p1", "2026-04-01T10:00:00Z", 0), // 31 days later: still the same
        stock("p1", "2026-05-03T10:00:00Z", 0), // 32 days later: who knows
        stock("p2", "2026-03-01T10:00:00Z", 0),
        stock("p2", "2026-03-31T23:00:00Z", 9), // 30 days later
        stock("p3", "2026-03-01T10:00:00Z", 0),
        stock("p3", "2026-04-01T00:00:00Z", 9), // 31 days later
    ])
    .await;
    assert_eq!(
        show(&lake, "stockout_alerts", "alert_date product_id state ended_at").await,
        [
            "2026-03-01 p1 out null",
            "2026-03-01 p2 out 2026-03-31T23:00:00Z",
            "2026-03-01 p3 out null",
            "2026-05-03 p1 out null",
        ]
    );
}

#[tokio::test]
async fn a_late_snapshot_moves_the_start_of_an_alert() {
    let lake =
        lake(&[stock("p1", "2026-03-01T08:00:00Z", 9), stock("p1", "2026-03-02T01:00:00Z", 2)])
            .await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        ["2026-03-02 low 2026-03-02T01:00:00Z null 2 2"]
    );

    then(&lake, "late", &[stock("p1", "2026-03-01T23:00:00Z", 4)]).await;
    assert_eq!(
        show(&lake, "stockout_alerts", ALERTS).await,
        ["2026-03-01 low 2026-03-01T23:00:00Z null 4 4"]
    );
}
