//! A shop that sends many old days delays only those, and loses none of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use chrono::TimeDelta;
use serde_json::json;
use shoplake_simulation::{Event, Lake};

/// The first day of the simulation's clock.
const LIVE: &str = "2026-01-01";

/// A model of web events, with a row for each shop and day.
const MODEL: &str = "session_duration_bounce_rate";

fn page_view(shop: &str, day: &str) -> Event {
    Event::new(
        "web_traffic",
        shop,
        json!({
            "event_id": day, "session_id": day, "visitor_id": "v", "event_type": "page_view",
            "occurred_at": format!("{day}T00:00:00Z"), "page_url": "https://shop.example/",
        }),
    )
}

/// Delivers 20 old days of a hostile shop, then its live day and that of a good shop.
async fn deliver(lake: &Lake) {
    let old: Vec<_> =
        (1..=20).map(|day| page_view("hostile", &format!("2025-11-{day:02}"))).collect();
    lake.deliver(&old, "old").await.unwrap();
    let live = ["hostile", "good"].map(|shop| page_view(shop, LIVE));
    lake.deliver(&live, "live").await.unwrap();
}

/// Returns shop and day of the model's rows.
async fn rows(lake: &Lake) -> BTreeSet<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let rows = lake.rows(MODEL).await.unwrap();
    rows.iter().map(|row| (text(&row["shop_id"]), text(&row["session_date"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_old_days_delay_no_live_day_and_are_not_lost() {
    let limit = NonZeroU16::new(5).unwrap();
    let limited = Lake::of_repository().unwrap().with_old_days_per_hour(limit);
    deliver(&limited).await;
    limited.run_for(TimeDelta::minutes(10)).await.unwrap();
    let at_once = rows(&limited).await;
    for shop in ["hostile", "good"] {
        assert!(at_once.contains(&(shop.to_owned(), LIVE.to_owned())), "{shop}: {at_once:?}");
    }
    assert!(at_once.len() <= 2 + 5 + 3, "days that an allowed day changes count, too: {at_once:?}");

    limited.settle().await.unwrap();
    let unlimited = Lake::of_repository().unwrap();
    deliver(&unlimited).await;
    unlimited.settle().await.unwrap();
    assert_eq!(rows(&limited).await.len(), 22);
    for model in unlimited.models().iter() {
        let rows = async |lake: &Lake| lake.rows(&model.name).await.unwrap();
        assert_eq!(rows(&limited).await, rows(&unlimited).await, "{}", model.name);
    }
}
