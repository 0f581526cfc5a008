//! Revenue.

use serde_json::json;

use crate::given::{failed, lake, sale, show};

#[tokio::test]
async fn revenue_and_margin_add_up_by_region_and_currency() {
    let lake = lake(&[
        // 3 * 10.00 less 2.00, cost 3 * 4.00
        sale("t1", "2026-03-01", "p1", 3).with(json!({"discount": "2.00"})),
        // one of them comes back, and so does its discount
        sale("t2", "2026-03-01", "p1", -1).with(json!({"discount": "-0.50"})),
        // 2 * 7.25, at no known cost
        sale("t3", "2026-03-01", "p2", 2).with(json!({"unit_price": "7.25", "unit_cost": null})),
        // another currency, which is never added
        sale("t4", "2026-03-01", "p1", 1).with(json!({"unit_price": "99.9999", "currency": "USD"})),
        // another region, to which something only comes back: 2 * 5.00
        sale("t5", "2026-03-01", "p3", -2)
            .with(json!({"region": "south", "unit_price": "5.00", "unit_cost": null})),
        // another day
        sale("t6", "2026-03-02", "p1", 1),
    ])
    .await;
    assert_eq!(
        show(
            &lake,
            "revenue_by_region",
            "business_date region currency gross_sales returns discounts net_revenue \
             cost_of_goods gross_margin units_without_cost"
        )
        .await,
        [
            // 30.00 + 14.50; 10.00; 2.00 - 0.50; 44.50 - 10.00 - 1.50; 12.00 - 4.00; 33.00 - 8.00
            "2026-03-01 north EUR 44.5000 10.0000 1.5000 33.0000 8.0000 25.0000 2",
            "2026-03-01 north USD 99.9999 0.0000 0.0000 99.9999 4.0000 95.9999 0",
            "2026-03-01 south EUR 0.0000 10.0000 0.0000 -10.0000 0.0000 -10.0000 2",
            "2026-03-02 north EUR 10.0000 0.0000 0.0000 10.0000 4.0000 6.0000 0",
        ]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn both_sales_models_have_the_same_net_revenue() {
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 3).with(json!({"discount": "2.00"})),
        sale("t2", "2026-03-01", "p1", -1).with(json!({"discount": "-0.50"})),
        sale("t3", "2026-03-01", "p2", 2),
    ])
    .await;
    // 30.00 - 10.00 - 1.50 and 20.00
    assert_eq!(
        show(
            &lake,
            "total_sales_by_region_product",
            "product_id net_sales units_sold units_returned"
        )
        .await,
        ["p1 18.5000 3 1", "p2 20.0000 2 0"]
    );
    // 18.50 + 20.00
    assert_eq!(show(&lake, "revenue_by_region", "net_revenue").await, ["38.5000"]);
}

#[tokio::test]
async fn sums_of_the_greatest_lines_are_exact() {
    let most = json!({"unit_price": "99999999999999.9999", "unit_cost": "99999999999999.9999"});
    let line = |receipt, quantity| sale(receipt, "2026-03-01", "p1", quantity).with(most.clone());
    let of_customer = line("t3", 1_000_000).with(json!({"customer_id": "c1"}));
    let lake =
        lake(&[line("t1", 1_000_000), line("t2", 1_000_000), of_customer, line("t4", -1)]).await;
    // three times 99,999,999,999,999,999,900, less one unit of 99,999,999,999,999.9999
    assert_eq!(
        show(&lake, "revenue_by_region", "gross_sales returns net_revenue cost_of_goods").await,
        ["299999999999999999700.0000 99999999999999.9999 299999899999999999700.0001 \
             299999899999999999700.0001"]
    );
    assert_eq!(
        show(&lake, "total_sales_by_region_product", "gross_sales").await,
        ["299999899999999999700.0001"]
    );
    assert_eq!(
        show(&lake, "inventory_turnover", "cost_of_goods_sold_30d turnover").await,
        ["299999899999999999700.0001 null"]
    );
    assert_eq!(show(&lake, "customer_features", "monetary").await, ["99999999999999999900.0000"]);
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}
