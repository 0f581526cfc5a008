//! Sessions, against numbers computed by hand.
use shoplake_testing::{Lake, Row, row, texts};

const MODEL: &str = "session_duration_bounce_rate";

fn event(id: &str, session: &str, event_type: &str, at: &str) -> Row {
    row(
        &[
            ("shop_id", "acme"),
            ("visitor_id", "v1"),
            ("page_url", "https://shop.example/"),
            ("device_type", "mobile"),
            ("device_os", "ios"),
            ("device_browser", "safari"),
            ("_received_at", "2026-03-01T00:00:00Z"),
        ],
        &[
            ("event_id", id),
            ("session_id", session),
            ("event_type", event_type),
            ("occurred_at", at),
            ("_envelope_id", id),
        ],
    )
}

/// Writes each event into the folder of its day, one object per day.
async fn lake(events: &[Row]) -> Lake {
    let lake = Lake::new();
    for day in ["2026-02-28", "2026-03-01", "2026-03-02"] {
        let rows: Vec<_> =
            events.iter().filter(|event| event["occurred_at"].starts_with(day)).cloned().collect();
        if !rows.is_empty() {
            lake.write("web_traffic", &format!("dt={day}"), "a", &rows).await;
        }
    }
    lake
}

async fn rows(events: &[Row], day: &str) -> Vec<String> {
    let output = lake(events).await.run(MODEL, day).await.unwrap();
    assert_eq!(output.failed_checks, []);
    texts(&output.rows)
}

#[tokio::test]
async fn durations_and_bounces_equal_those_by_hand() {
    let events = [
        // 90.5 seconds
        event("e1", "s1", "page_view", "2026-03-01T10:00:00Z"),
        event("e2", "s1", "add_to_cart", "2026-03-01T10:01:30.500Z"),
        // a bounce
        event("e3", "s2", "product_view", "2026-03-01T11:00:00Z"),
        // one event, but no view
        event("e4", "s3", "search", "2026-03-01T12:00:00Z"),
        // two views are no bounce; 10 seconds
        event("e5", "s4", "page_view", "2026-03-01T13:00:00Z"),
        event("e6", "s4", "page_view", "2026-03-01T13:00:10Z"),
    ];
    // shop | day | sessions | average (100.5 / 4) | median of 0, 0, 10, 90.5 | bounces | rate
    assert_eq!(rows(&events, "2026-03-01").await, ["acme|2026-03-01|4|25.125|5.0|1|0.25"]);
}

#[tokio::test]
async fn a_pause_of_more_than_30_minutes_ends_a_session() {
    let at = |second_event| {
        [
            event("e1", "s1", "page_view", "2026-03-01T10:00:00Z"),
            event("e2", "s1", "page_view", second_event),
        ]
    };
    assert_eq!(
        rows(&at("2026-03-01T10:30:00Z"), "2026-03-01").await,
        ["acme|2026-03-01|1|1800.0|1800.0|0|0.0"]
    );
    assert_eq!(
        rows(&at("2026-03-01T10:30:00.000001Z"), "2026-03-01").await,
        ["acme|2026-03-01|2|0.0|0.0|2|1.0"]
    );
}

#[tokio::test]
async fn a_session_belongs_to_the_day_on_which_it_started() {
    let events = [
        event("e1", "s1", "page_view", "2026-02-28T23:50:00Z"),
        event("e2", "s1", "page_view", "2026-03-01T00:10:00Z"),
        event("e3", "s1", "page_view", "2026-03-01T00:20:00Z"),
        // the same session_id, a new session
        event("e4", "s1", "page_view", "2026-03-01T09:00:00Z"),
        // the only one of the day after
        event("e5", "s2", "page_view", "2026-03-02T12:00:00Z"),
    ];
    assert_eq!(rows(&events, "2026-02-28").await, ["acme|2026-02-28|1|1800.0|1800.0|0|0.0"]);
    assert_eq!(rows(&events, "2026-03-01").await, ["acme|2026-03-01|1|0.0|0.0|1|1.0"]);
    assert_eq!(rows(&events, "2026-03-02").await, ["acme|2026-03-02|1|0.0|0.0|1|1.0"]);
}

#[tokio::test]
async fn a_bounce_with_a_duplicate_event_stays_a_bounce() {
    let bounce = || event("e1", "s1", "page_view", "2026-03-01T10:00:00Z");
    assert_eq!(
        rows(&[bounce(), bounce()], "2026-03-01").await,
        ["acme|2026-03-01|1|0.0|0.0|1|1.0"]
    );
}

#[tokio::test]
async fn a_late_event_joins_two_sessions() {
    let mut events = vec![
        event("e1", "s1", "page_view", "2026-03-01T10:00:00Z"),
        event("e3", "s1", "page_view", "2026-03-01T10:50:00Z"),
    ];
    assert_eq!(rows(&events, "2026-03-01").await, ["acme|2026-03-01|2|0.0|0.0|2|1.0"]);
    events.push(event("e2", "s1", "page_view", "2026-03-01T10:25:00Z"));
    assert_eq!(rows(&events, "2026-03-01").await, ["acme|2026-03-01|1|3000.0|3000.0|0|0.0"]);
}

#[tokio::test]
async fn equal_session_ids_of_two_shops_are_two_sessions() {
    let mut other = event("e1", "s1", "page_view", "2026-03-01T10:00:00Z");
    other.insert("shop_id", "other".to_owned());
    let events = [event("e1", "s1", "page_view", "2026-03-01T10:00:05Z"), other];
    assert_eq!(
        rows(&events, "2026-03-01").await,
        ["acme|2026-03-01|1|0.0|0.0|1|1.0", "other|2026-03-01|1|0.0|0.0|1|1.0"]
    );
}
