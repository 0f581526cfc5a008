//! Stock availability and product turnover.

use serde_json::json;

use crate::given::{failed, lake, of_shop, sale, show, stock, then};

const AVAILABILITY: &str =
    "stock_date product_id snapshots on_hand reserved available last_snapshot_at availability_rate";

#[tokio::test]
async fn levels_are_of_the_last_snapshot_and_the_rate_of_all() {
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 5).with(json!({"reserved": 2})), // 3 available
        stock("p1", "2026-03-01T11:00:00Z", 2).with(json!({"reserved": 2})), // 0
        stock("p1", "2026-03-01T12:00:00Z", 0).with(json!({"reserved": 1})), // -1
        stock("p1", "2026-03-01T13:00:00Z", 7).with(json!({"reserved": 3})), // 4
    ])
    .await;
    // something was available at 10:00 and 13:00: 2 of 4
    assert_eq!(
        show(&lake, "stock_availability", AVAILABILITY).await,
        ["2026-03-01 p1 4 7 3 4 2026-03-01T13:00:00Z 0.5"]
    );

    // the snapshot of 12:00 once more, and the one of 09:00, which comes late: 3 of 5
    then(
        &lake,
        "late",
        &[
            stock("p1", "2026-03-01T12:00:00Z", 0).with(json!({"reserved": 1})),
            stock("p1", "2026-03-01T09:00:00Z", 1),
        ],
    )
    .await;
    assert_eq!(
        show(&lake, "stock_availability", AVAILABILITY).await,
        ["2026-03-01 p1 5 7 3 4 2026-03-01T13:00:00Z 0.6"]
    );

    // the snapshot of 13:00 was wrong, and is sent again: 2 of 5
    let corrected = stock("p1", "2026-03-01T13:00:00Z", 0).received_at("2026-03-02T00:00:00Z");
    then(&lake, "corrected", &[corrected]).await;
    assert_eq!(
        show(&lake, "stock_availability", AVAILABILITY).await,
        ["2026-03-01 p1 5 0 0 0 2026-03-01T13:00:00Z 0.4"]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn a_snapshot_belongs_to_its_own_day() {
    let lake = lake(&[
        stock("p1", "2026-03-01T23:59:59.999999Z", 0),
        stock("p1", "2026-03-02T00:00:00Z", 8),
    ])
    .await;
    assert_eq!(
        show(&lake, "stock_availability", AVAILABILITY).await,
        [
            "2026-03-01 p1 1 0 0 0 2026-03-01T23:59:59.999999Z 0.0",
            "2026-03-02 p1 1 8 0 8 2026-03-02T00:00:00Z 1.0",
        ]
    );
}

const TURNOVER: &str =
    "shop_id business_date product_id units_sold_30d average_on_hand_30d turnover_rate";

#[tokio::test]
async fn average_stock_is_the_sum_of_all_locations() {
    let at_l2 = |event: shoplake_simulation::Event| event.with(json!({"location_id": "l2"}));
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 6),
        sale("t2", "2026-03-01", "p1", -1), // does not take a sale back
        sale("t3", "2026-03-02", "p1", 4).with(json!({"region": "south", "currency": "USD"})),
        stock("p1", "2026-03-01T10:00:00Z", 20),
        at_l2(stock("p1", "2026-03-01T10:00:00Z", 10)),
        stock("p1", "2026-03-02T10:00:00Z", 14),
        at_l2(stock("p1", "2026-03-02T10:00:00Z", 10)),
        stock("p1", "2026-03-02T11:00:00Z", 12), // not counted at l2
    ])
    .await;
    assert_eq!(
        show(&lake, "product_turnover_rate", TURNOVER).await,
        [
            // 20 + 10 units at one time; 6 / 30
            "acme 2026-03-01 p1 6 30.0 0.2",
            // (20 + 14 + 12) / 3 units at l1 and (10 + 10) / 2 at l2; 10 / 25.333...
            "acme 2026-03-02 p1 10 25.333333333333332 0.39473684210526316",
        ]
    );
}

#[tokio::test]
async fn location_that_was_not_counted_is_not_empty() {
    let at_l2 = |event: shoplake_simulation::Event| event.with(json!({"location_id": "l2"}));
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 10),
        at_l2(stock("p1", "2026-03-01T10:00:00Z", 10)),
        stock("p1", "2026-03-01T11:00:00Z", 10),
        // an item that was counted once and one that was counted twice
        stock("p2", "2026-03-01T10:00:00Z", 3),
        sale("t1", "2026-03-01", "p1", 5),
    ])
    .await;
    assert_eq!(
        show(&lake, "product_turnover_rate", TURNOVER).await,
        ["acme 2026-03-01 p1 5 20.0 0.25", "acme 2026-03-01 p2 0 3.0 0.0"]
    );
    // p1 at each location 10 * 2.50, p2 3 * 2.50; 5 * 4.00 / 57.50
    assert_eq!(
        show(&lake, "inventory_turnover", "average_inventory_value_30d turnover").await,
        ["57.5 0.34782608695652173"]
    );
}

/// 25 units at a barcode (EAN-13) that was scanned into the field of the price.
#[tokio::test]
async fn barcode_as_a_price_hides_no_sale_of_another_shop() {
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 25).with(json!({"unit_price": "4006381333931"})),
        of_shop("other", sale("t1", "2026-03-01", "p1", 2)),
    ])
    .await;
    assert_eq!(
        show(&lake, "total_sales_by_region_product", "shop_id units_sold gross_sales").await,
        ["acme 25 100159533348275.0000", "other 2 20.0000"]
    );
    assert_eq!(
        show(&lake, "revenue_by_region", "shop_id net_revenue").await,
        ["acme 100159533348275.0000", "other 20.0000"]
    );
}

#[tokio::test]
async fn units_sold_cover_30_days() {
    let lake = lake(&[
        sale("t1", "2026-01-30", "p1", 7),
        sale("t2", "2026-01-31", "p1", 5), // 29 days before the first of March
        stock("p1", "2026-03-01T10:00:00Z", 10),
    ])
    .await;
    assert_eq!(
        show(&lake, "product_turnover_rate", TURNOVER).await,
        [
            "acme 2026-01-30 p1 7 null null",
            "acme 2026-01-31 p1 12 null null",
            // 5 / 10; there is no row for the days between, on which nothing happened
            "acme 2026-03-01 p1 5 10.0 0.5",
        ]
    );
}

#[tokio::test]
async fn turnover_without_average_stock_is_null() {
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 2),
        stock("p1", "2026-03-01T10:00:00Z", 0),
        stock("p2", "2026-03-01T10:00:00Z", 4),
        sale("t3", "2026-03-01", "p3", 1),
        stock("p3", "2026-03-01T10:00:00Z", -3),
        of_shop("other", sale("t1", "2026-03-01", "p1", 9)),
    ])
    .await;
    assert_eq!(
        show(&lake, "product_turnover_rate", TURNOVER).await,
        [
            "acme 2026-03-01 p1 2 0.0 null",
            "acme 2026-03-01 p2 0 4.0 0.0", // never sold
            "acme 2026-03-01 p3 1 -3.0 null",
            "other 2026-03-01 p1 9 null null",
        ]
    );
}

#[tokio::test]
async fn a_late_sale_changes_the_30_days_that_count_it() {
    let lake = lake(&[
        stock("p1", "2026-03-01T10:00:00Z", 10),
        stock("p1", "2026-03-30T10:00:00Z", 10),
        stock("p1", "2026-03-31T10:00:00Z", 10),
    ])
    .await;
    then(&lake, "late", &[sale("t1", "2026-03-01", "p1", 5)]).await;
    assert_eq!(
        show(&lake, "product_turnover_rate", TURNOVER).await,
        [
            "acme 2026-03-01 p1 5 10.0 0.5",
            "acme 2026-03-30 p1 5 10.0 0.5", // 2 snapshots of 10, the sale is 29 days old
            "acme 2026-03-31 p1 0 10.0 0.0", // 30 days old
        ]
    );
}
