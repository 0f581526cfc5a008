//! Engagement, sessions, loyalty and newsletters.

use serde_json::json;
use shoplake_jobs::Severity;
use shoplake_simulation::Lake;

use crate::given::{failed, inquiry, lake, newsletter, of_shop, page_view, show, then, web};

const ENGAGEMENT: &str = "shop_id activity_date customer_id events score score_rank";

#[tokio::test]
async fn scores_are_weighted_and_ties_share_a_rank() {
    let loyalty = |kind: &str, event: shoplake_simulation::Event| {
        event.with(json!({"interaction_type": kind}))
    };
    let lake = lake(&[
        // 1 + 5 + 3 = 9
        web("e1", "c1", "page_view", "2026-03-01T10:00:00Z"),
        web("e2", "c1", "add_to_cart", "2026-03-01T10:01:00Z"),
        inquiry("i1", "c1", "2026-03-01T11:00:00Z"),
        // 13
        web("e3", "c2", "purchase", "2026-03-01T10:00:00Z"),
        // 5 + 1 + 3 = 9
        loyalty("loyalty_earn", inquiry("i2", "c3", "2026-03-01T10:00:00Z")),
        web("e4", "c3", "page_view", "2026-03-01T10:00:00Z"),
        inquiry("i3", "c3", "2026-03-01T23:59:59.999999Z"),
        // 1
        web("e5", "c4", "search", "2026-03-01T10:00:00Z"),
        // 0
        web("e6", "c5", "remove_from_cart", "2026-03-01T10:00:00Z"),
        // no customer
        page_view("e7", "2026-03-01T10:00:00Z")
            .with(json!({"event_type": "purchase", "customer_id": null})),
        // another day: 2 + 8 = 10
        web("e8", "c4", "product_view", "2026-03-02T00:00:00Z"),
        web("e9", "c4", "checkout", "2026-03-02T00:01:00Z"),
        // another shop: 5 + 5 = 10
        of_shop("other", loyalty("loyalty_signup", inquiry("i1", "c1", "2026-03-01T10:00:00Z"))),
        of_shop("other", loyalty("loyalty_redeem", inquiry("i2", "c1", "2026-03-01T10:00:00Z"))),
    ])
    .await;
    assert_eq!(
        show(&lake, "customer_engagement_score", ENGAGEMENT).await,
        [
            "acme 2026-03-01 c1 3 9.0000 2",
            "acme 2026-03-01 c2 1 13.0000 1",
            "acme 2026-03-01 c3 3 9.0000 2",
            "acme 2026-03-01 c4 1 1.0000 4",
            "acme 2026-03-01 c5 1 0.0000 5",
            "acme 2026-03-02 c4 2 10.0000 1",
            "other 2026-03-01 c1 2 10.0000 1",
        ]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

async fn set_weights(lake: &Lake, weights: &str) {
    let csv = format!("shop_id,activity,weight\n{weights}");
    lake.put("reference/engagement_weights.csv", csv.into_bytes()).await.unwrap();
    lake.settle().await.unwrap();
}

#[tokio::test]
async fn edited_weights_change_existing_days_by_shop() {
    let events = [
        web("e1", "c1", "page_view", "2026-03-01T10:00:00Z"),
        web("e2", "c1", "page_view", "2026-03-01T10:01:00Z"),
        web("e3", "c1", "search", "2026-03-01T10:02:00Z"),
        of_shop("other", web("e1", "c1", "page_view", "2026-03-01T10:00:00Z")),
    ];
    let lake = lake(&events).await;
    assert_eq!(
        show(&lake, "customer_engagement_score", ENGAGEMENT).await,
        ["acme 2026-03-01 c1 3 3.0000 1", "other 2026-03-01 c1 1 1.0000 1"]
    );

    // 2 * 2.5 + 10 = 15; the other shop has no weight of its own: 4
    set_weights(&lake, "*,page_view,4\n*,search,10\nacme,page_view,2.5\n").await;
    assert_eq!(
        show(&lake, "customer_engagement_score", ENGAGEMENT).await,
        ["acme 2026-03-01 c1 3 15.0000 1", "other 2026-03-01 c1 1 4.0000 1"]
    );
    assert!(failed(&lake).is_empty());
}

#[tokio::test]
async fn an_activity_without_a_weight_scores_nothing_and_warns() {
    let lake = lake(&[
        web("e1", "c1", "page_view", "2026-03-01T10:00:00Z"),
        web("e2", "c1", "search", "2026-03-01T10:02:00Z"),
    ])
    .await;
    set_weights(&lake, "*,page_view,4\nother,search,10\n").await;
    assert_eq!(
        show(&lake, "customer_engagement_score", ENGAGEMENT).await,
        ["acme 2026-03-01 c1 2 4.0000 1"]
    );
    assert_eq!(failed(&lake), ["activities_have_a_weight"]);
    let warning = &lake.failed_checks()[0];
    assert_eq!((warning.severity, warning.rows), (Severity::Warn, 1));
    assert_eq!(warning.sample[0]["activity"].as_deref(), Some("search"));
}

#[tokio::test]
async fn loyalty_rate_is_the_share_of_active_customers() {
    let anonymous = |id, at| page_view(id, at).with(json!({"customer_id": null}));
    let lake = lake(&[
        page_view("e1", "2026-03-01T10:00:00Z"), // c1
        web("e2", "c2", "search", "2026-03-01T10:00:00Z"),
        inquiry("i1", "c2", "2026-03-01T10:00:00Z")
            .with(json!({"interaction_type": "loyalty_redeem"})),
        inquiry("i2", "c2", "2026-03-01T11:00:00Z")
            .with(json!({"interaction_type": "loyalty_earn"})),
        inquiry("i3", "c3", "2026-03-01T10:00:00Z"),
        anonymous("e3", "2026-03-01T10:00:00Z"),
        anonymous("e4", "2026-03-02T10:00:00Z"),
    ])
    .await;
    assert_eq!(
        show(
            &lake,
            "loyalty_activity_rate",
            "activity_date loyalty_customers active_customers loyalty_activity_rate"
        )
        .await,
        // c2 of c1, c2 and c3; no known customer on the second
        ["2026-03-01 1 3 0.3333333333333333", "2026-03-02 0 0 null"]
    );
}

const SESSIONS: &str =
    "session_date sessions average_duration_seconds median_duration_seconds bounces bounce_rate";

#[tokio::test]
async fn a_late_event_moves_a_session_to_the_day_it_started_on() {
    let lake = lake(&[
        page_view("e2", "2026-03-02T00:10:00Z"),
        page_view("e3", "2026-03-02T00:20:00Z"),
        // the same session_id in the evening is another session, with one view and nothing else
        page_view("e4", "2026-03-02T20:00:00Z"),
    ])
    .await;
    // 600 and 0 seconds
    assert_eq!(
        show(&lake, "session_duration_bounce_rate", SESSIONS).await,
        ["2026-03-02 2 300.0 300.0 1 0.5"]
    );

    then(&lake, "late", &[page_view("e1", "2026-03-01T23:50:00Z")]).await;
    // 23:50 to 00:20 is 30 minutes, and wholly of the first; the evening stays
    assert_eq!(
        show(&lake, "session_duration_bounce_rate", SESSIONS).await,
        ["2026-03-01 1 1800.0 1800.0 0 0.0", "2026-03-02 1 0.0 0.0 1 1.0"]
    );
}

const NEWSLETTER: &str =
    "shop_id event_date subscriptions unsubscriptions net_subscriptions opens opening_customers";

#[tokio::test]
async fn newsletter_events_are_counted_by_day_and_type() {
    let events = [
        newsletter("n1", "c1", "subscribe", "2026-03-01T00:00:00Z"),
        newsletter("n2", "c2", "subscribe", "2026-03-01T10:00:00Z"),
        newsletter("n3", "c1", "unsubscribe", "2026-03-01T11:00:00Z"),
        // three opens of two customers
        newsletter("n4", "c2", "open", "2026-03-01T12:00:00Z"),
        newsletter("n5", "c2", "open", "2026-03-01T12:00:00Z"),
        newsletter("n6", "c3", "open", "2026-03-01T23:59:59.999999Z"),
        // another day, on which the id n1 is another event: 0 - 1 = -1
        newsletter("n1", "c2", "unsubscribe", "2026-03-02T00:00:00Z"),
        // another shop
        of_shop("other", newsletter("n1", "c1", "open", "2026-03-01T10:00:00Z")),
        of_shop("other", newsletter("n2", "c1", "subscribe", "2026-03-02T10:00:00Z")),
    ];
    let lake = lake(&events).await;
    then(&lake, "again", &events).await;
    assert_eq!(
        show(&lake, "newsletter_by_day", NEWSLETTER).await,
        [
            "acme 2026-03-01 2 1 1 3 2",
            "acme 2026-03-02 0 1 -1 0 0",
            "other 2026-03-01 0 0 0 1 1",
            "other 2026-03-02 1 0 1 0 0",
        ]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}
