//! The simulation itself: what is delivered arrives in the tables, and nowhere else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::json;
use shoplake_simulation::{Event, Lake, texts};

fn sale(line: u32) -> Event {
    let data = json!({
        "transaction_id": "t1", "line_no": line, "store_id": "s1", "region": "north",
        "product_id": "p1", "quantity": 2,
        "unit_price": "2.50", "discount": "0.50", "currency": "GBP",
        "sold_at": "2026-03-01T10:00:00Z",
        "business_date": "2026-03-01",
    });
    Event::new("pos_sales", "acme", data).in_batch("2026-03-01")
}

fn view(id: &str) -> Event {
    Event::new(
        "web_traffic",
        "acme",
        json!({
            "event_id": id, "session_id": "s1", "visitor_id": "v1", "event_type": "page_view",
            "occurred_at": "2026-03-01T10:00:00Z", "page_url": "https://acme.example/",
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_stream_and_of_a_batch_are_in_the_tables() {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&[view("e1"), sale(1), sale(2)], "a").await.unwrap();

    let settled = lake.settle().await.unwrap();

    assert!(settled.commits > 0 && settled.conflicts == 0, "{settled:?}");
    let sales = lake.rows("total_sales_by_region_product").await.unwrap();
    // 2 lines of 2 units at 2.50 are 10.00, less 0.50 on each line
    assert_eq!(
        texts(&sales, "shop_id business_date units_sold net_sales"),
        ["acme 2026-03-01 4 9.0000"]
    );
    let sessions = lake.rows("session_duration_bounce_rate").await.unwrap();
    assert_eq!(texts(&sessions, "session_date sessions bounce_rate"), ["2026-03-01 1 1.0"]);
    assert_eq!(lake.failed_checks(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_commits_nothing() {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&[sale(1)], "a").await.unwrap();
    lake.settle().await.unwrap();

    lake.deliver(&[sale(1)], "b").await.unwrap();
    let settled = lake.settle().await.unwrap();

    assert!(settled.jobs > 0, "the new object has to be looked at");
    assert_eq!(settled.commits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_breaks_its_contract_is_in_quarantine() {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(
        &[sale(1).with(json!({"quantity": 0})), view("e1").with(json!({"event_id": ""}))],
        "a",
    )
    .await
    .unwrap();
    lake.settle().await.unwrap();

    assert_eq!(lake.quarantined().await.unwrap().len(), 2);
    assert_eq!(lake.rows("total_sales_by_region_product").await.unwrap(), []);
}

/// The reasons of what is in quarantine: code and field of the first of each line, in order.
async fn reasons(lake: &Lake) -> Vec<String> {
    let lines = lake.quarantined().await.unwrap();
    let mut found: Vec<_> = lines
        .iter()
        .map(|line| {
            let reason = &line["failure"]["reasons"][0];
            let text = |name: &str| reason[name].as_str().unwrap_or_default();
            format!("{} {}", text("code"), text("field"))
        })
        .collect();
    found.sort();
    found
}

/// No warehouse can hold NUL: a text with it would fail the load of the partition, for all shops.
#[tokio::test(flavor = "multi_thread")]
async fn text_with_nul_is_in_quarantine_without_the_other_rows() {
    let lake = Lake::of_repository().unwrap();
    let nul = "a\0b";
    let events = [
        sale(1),
        sale(2).with(json!({"product_id": nul})),
        sale(3).with(json!({"region": nul})),
        sale(4).with(json!({"customer_id": nul})),
        view("e1"),
        view("e2").with(json!({"customer_id": nul})),
        view("e3").with(json!({"device": {"os": nul}})),
    ];
    lake.deliver(&events, "a").await.unwrap();
    lake.settle().await.unwrap();

    assert_eq!(
        reasons(&lake).await,
        ["customer_id", "customer_id", "device.os", "product_id", "region"]
            .map(|field| format!("unsupported_character {field}"))
    );
    let sales = lake.rows("total_sales_by_region_product").await.unwrap();
    assert_eq!(texts(&sales, "product_id units_sold"), ["p1 2"]);
    let sessions = lake.rows("session_duration_bounce_rate").await.unwrap();
    assert_eq!(texts(&sessions, "sessions bounces"), ["1 1"]);
}

/// A line that breaks its contract, with times of receipt that are on no day of the calendar in
/// UTC.
#[tokio::test(flavor = "multi_thread")]
async fn bad_line_never_fails_its_batch() {
    let lake = Lake::of_repository().unwrap();
    let mut lines = vec![lake.envelope(&view("e1")).unwrap(), lake.envelope(&sale(1)).unwrap()];
    let odd =
        ["0000-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:59", "2026-03-01T10:00:00Z", "never"];
    for (number, receipt) in odd.iter().enumerate() {
        for event in [view(&format!("bad{number}")), sale(50 + number as u32)] {
            let at = event.received_at;
            let bad = event.with(json!({"occurred_at": "not a time", "sold_at": "not a time"}));
            let line = String::from_utf8(lake.envelope(&bad).unwrap()).unwrap();
            let written = at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            let start = line.find("\"receivedat\":\"").unwrap() + 14;
            assert!(line[start..].starts_with(&written[..19]), "{line}");
            let end = start + line[start..].find('"').unwrap();
            lines.push(format!("{}{receipt}{}", &line[..start], &line[end..]).into_bytes());
        }
    }
    lake.deliver_lines(&lines, "a").await.unwrap();
    lake.settle().await.unwrap();

    assert_eq!(lake.quarantined().await.unwrap().len(), 2 * odd.len());
    let sessions = lake.rows("session_duration_bounce_rate").await.unwrap();
    assert_eq!(texts(&sessions, "sessions"), ["1"]);
    let sales = lake.rows("total_sales_by_region_product").await.unwrap();
    assert_eq!(texts(&sales, "units_sold"), ["2"]);
    for key in lake.objects().keys() {
        let day = key.split("dt=").nth(1).map_or("2026-01-01", |rest| &rest[..10]);
        assert!(
            ("2025-12-31".."2026-03-03").contains(&day),
            "{key} is of a day on which nothing came"
        );
    }
}

/// One wrong clock cannot make partitions of a century.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_other_years_make_no_partition() {
    let lake = Lake::of_repository().unwrap();
    let at = |id: &str, time: &str| {
        view(id).with(json!({"occurred_at": time})).received_at("2026-03-01T10:00:00Z")
    };
    let mut events: Vec<_> = (2000..2100)
        .map(|year| at(&format!("e{year}"), &format!("{year}-03-01T10:00:00Z")))
        .collect();
    // the window's edges: 400 days before the receipt and one day after it, and a microsecond
    // beyond them
    events.push(at("oldest", "2025-01-25T10:00:00Z"));
    events.push(at("too-old", "2025-01-25T09:59:59.999999Z"));
    events.push(at("newest", "2026-03-02T10:00:00Z"));
    events.push(at("too-new", "2026-03-02T10:00:00.000001Z"));
    lake.deliver(&events, "a").await.unwrap();
    lake.settle().await.unwrap();

    let reasons = reasons(&lake).await;
    let count = |reason: &str| reasons.iter().filter(|found| *found == reason).count();
    // of the years, only 2025 and 2026 are within 400 days
    assert_eq!(
        (count("too_old occurred_at"), count("in_the_future occurred_at")),
        (26, 74),
        "{reasons:?}"
    );
    let sessions = lake.rows("session_duration_bounce_rate").await.unwrap();
    assert_eq!(
        texts(&sessions, "session_date sessions"),
        ["2025-01-25 1", "2025-03-01 1", "2026-03-01 1", "2026-03-02 1"]
    );
}

/// A till that writes whole numbers with a decimal point.
#[tokio::test(flavor = "multi_thread")]
async fn whole_quantity_with_a_decimal_point_is_a_whole_quantity() {
    let lake = Lake::of_repository().unwrap();
    let mut lines = Vec::new();
    for (number, quantity) in ["2.0", "1", "3.00", "1e1"].into_iter().enumerate() {
        let line = String::from_utf8(lake.envelope(&sale(1 + number as u32)).unwrap()).unwrap();
        let written = line.replace("\"quantity\":2", &format!("\"quantity\":{quantity}"));
        assert_ne!(written, line);
        lines.push(written);
    }
    lake.deliver_lines(&lines, "a").await.unwrap();
    lake.settle().await.unwrap();
    assert_eq!(lake.quarantined().await.unwrap(), Vec::<serde_json::Value>::new());
    // 2 + 1 + 3 + 10
    let sales = lake.rows("total_sales_by_region_product").await.unwrap();
    assert_eq!(texts(&sales, "units_sold"), ["16"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_about_an_unknown_model_lists_the_known_ones() {
    let lake = Lake::of_repository().unwrap();
    let error = lake.rows("total_sales").await.unwrap_err().to_string();
    assert!(
        error.contains("no model \"total_sales\"")
            && error.contains("total_sales_by_region_product"),
        "{error}"
    );
}
