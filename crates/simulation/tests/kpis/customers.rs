//! What is known of customers.

use serde_json::json;
use shoplake_simulation::Event;

use crate::given::{failed, inquiry, lake, of_shop, page_view, sale, show, then, web};

/// One unit, or however many, for 10.00 EUR each.
fn bought(customer: &str, transaction: &str, day: &str, product: &str, quantity: i64) -> Event {
    sale(transaction, day, product, quantity).with(json!({"customer_id": customer}))
}

const PURCHASES: &str = "shop_id as_of_date customer_id recency_days frequency currency monetary \
    currency_purchases \
     average_order_value units_sold units_returned products tenure_days inactive_days";

#[tokio::test]
async fn value_is_net_and_a_return_alone_is_not_a_purchase() {
    let lake = lake(&[
        // one receipt: 2 * 10 + 1 * 10 - 1.50 = 28.50
        bought("c1", "t1", "2026-03-01", "p1", 2),
        bought("c1", "t1", "2026-03-01", "p2", 1).with(json!({"line_no": 2, "discount": "1.50"})),
        // -10, and no purchase; and one of 10
        bought("c1", "t2", "2026-03-05", "p1", -1),
        bought("c1", "t3", "2026-03-05", "p1", 1),
        // no customer
        sale("t4", "2026-03-05", "p3", 9),
        sale("t5", "2026-03-06", "p3", 9),
        web("e1", "c2", "page_view", "2026-03-07T10:00:00Z"),
        of_shop("other", bought("c1", "t1", "2026-03-06", "p1", -1)),
    ])
    .await;
    assert_eq!(
        show(&lake, "customer_features", PURCHASES).await,
        [
            "acme 2026-03-01 c1 0 1 EUR 28.5000 1 28.5 3 0 2 0 0",
            // 28.50 of two purchases; four units of p1 and p2
            "acme 2026-03-05 c1 0 2 EUR 28.5000 2 14.25 4 1 2 4 0",
            // on the sixth, no customer who is known was there
            "acme 2026-03-07 c1 2 2 EUR 28.5000 2 14.25 4 1 2 6 2",
            "acme 2026-03-07 c2 null 0 null null 0 null 0 0 0 0 0",
            // something came back that was bought before anybody counted
            "other 2026-03-06 c1 null 0 null null 0 null 0 1 0 0 0",
        ]
    );
    assert!(failed(&lake).iter().all(|check| check == "sold_products_are_in_inventory"));
}

#[tokio::test]
async fn value_is_in_the_currency_of_most_purchases() {
    let in_ = |currency: &str, event: Event| event.with(json!({"currency": currency}));
    let lake = lake(&[
        in_("USD", bought("c1", "t1", "2026-03-01", "p1", 5)),
        bought("c1", "t2", "2026-03-01", "p2", 1),
        in_("USD", bought("c1", "t3", "2026-03-02", "p1", 3)),
        // what is returned in a currency is of that currency, and two lines of a receipt are one
        // purchase
        in_("USD", bought("c1", "t4", "2026-03-03", "p1", -4)),
        bought("c1", "t5", "2026-03-03", "p3", 1),
        bought("c1", "t5", "2026-03-03", "p3", 1).with(json!({"line_no": 2})),
        // neither has a purchase: then no currency either
        in_("GBP", bought("c2", "t6", "2026-03-03", "p1", -1)),
    ])
    .await;
    assert_eq!(
        show(&lake, "customer_features", PURCHASES).await,
        [
            // one of each: EUR comes first
            "acme 2026-03-01 c1 0 2 EUR 10.0000 1 10.0 6 0 2 0 0",
            // 50 + 30 USD in two of three
            "acme 2026-03-02 c1 0 3 USD 80.0000 2 40.0 9 0 2 1 0",
            // two of each: 10 + 20 EUR
            "acme 2026-03-03 c1 0 4 EUR 30.0000 2 15.0 11 4 3 2 0",
            "acme 2026-03-03 c2 null 0 null null 0 null 0 1 0 0 0",
        ]
    );
}

#[tokio::test]
async fn visits_and_interactions_of_known_customers_are_counted() {
    let visit =
        |id: &str, session: &str, at: &str| page_view(id, at).with(json!({"session_id": session}));
    let kind = |kind: &str, event: Event| event.with(json!({"interaction_type": kind}));
    let opened = |id: &str, at: &str| {
        kind("support_ticket", inquiry(id, "c1", at))
            .with(json!({"ticket_id": "k1", "ticket_status": "opened"}))
    };
    let lake = lake(&[
        // s1 is one session at a distance of 30 minutes and another one beyond; s2 runs past
        // midnight, and is one of each day
        visit("e1", "s1", "2026-03-01T10:00:00Z"),
        visit("e2", "s1", "2026-03-01T10:30:00Z").with(json!({"event_type": "purchase"})),
        visit("e3", "s1", "2026-03-01T11:00:00.000001Z"),
        visit("e4", "s2", "2026-03-01T23:59:00Z"),
        visit("e5", "s2", "2026-03-02T00:01:00Z"),
        visit("e6", "s3", "2026-03-02T10:00:00Z").with(json!({"customer_id": null})),
        kind("complaint", inquiry("i1", "c1", "2026-03-01T10:00:00Z")).with(json!({"rating": 2})),
        kind("loyalty_earn", inquiry("i2", "c1", "2026-03-01T23:59:59.999999Z")),
        // the ticket is opened twice on the first, and again on the second
        opened("i3", "2026-03-01T10:00:00Z"),
        opened("i4", "2026-03-01T11:00:00Z"),
        opened("i5", "2026-03-02T10:00:00Z"),
        kind("feedback", inquiry("i6", "c1", "2026-03-02T12:00:00Z")).with(json!({"rating": 5})),
    ])
    .await;
    assert_eq!(
        show(
            &lake,
            "customer_features",
            "as_of_date customer_id web_events sessions web_purchases interactions \
             complaints loyalty_actions tickets ratings average_rating"
        )
        .await,
        // (2 + 5) / 2 = 3.5
        ["2026-03-01 c1 4 3 1 4 1 1 1 1 2.0", "2026-03-02 c1 5 4 1 6 1 1 2 2 3.5"]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn features_cover_365_days_and_include_late_events() {
    const VALUE: &str =
        "as_of_date customer_id recency_days frequency monetary tenure_days inactive_days";
    let lake = lake(&[
        bought("c1", "t1", "2025-03-01", "p1", 1),
        bought("c1", "t2", "2025-03-02", "p1", 2),
        inquiry("i1", "c2", "2025-03-01T23:59:59.999999Z"),
        inquiry("i2", "c3", "2026-03-01T00:00:00Z"),
    ])
    .await;
    assert_eq!(
        show(&lake, "customer_features", VALUE).await,
        [
            "2025-03-01 c1 0 1 10.0000 0 0",
            "2025-03-01 c2 null 0 null 0 0",
            "2025-03-02 c1 0 2 30.0000 1 0",
            "2025-03-02 c2 null 0 null 1 1",
            // 364 days later; c2 and the first purchase of c1 are 365 days ago
            "2026-03-01 c1 364 1 20.0000 364 364",
            "2026-03-01 c3 null 0 null 0 0",
        ]
    );

    then(&lake, "late", &[bought("c1", "t3", "2025-06-01", "p1", 1)]).await;
    // 1 June to 1 March: 30 + 31 + 31 + 30 + 31 + 30 + 31 + 31 + 28 = 273 days; 1 and 2 March to 1
    // June: 92 and 91
    assert_eq!(
        show(&lake, "customer_features", VALUE).await[4..],
        [
            "2025-06-01 c1 0 3 40.0000 92 0",
            "2025-06-01 c2 null 0 null 92 92",
            "2026-03-01 c1 273 2 30.0000 364 273",
            "2026-03-01 c3 null 0 null 0 0",
        ]
    );
}
