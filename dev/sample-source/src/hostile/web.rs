//! Events of `web_traffic`.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::json;

use super::object::{Object, widest};

/// Returns a valid event.
pub(super) fn event(id: &str, at: DateTime<Utc>) -> Object {
    Object::of(&json!({
        "event_id": id,
        "session_id": format!("session-of-{id}"),
        "visitor_id": "hostile-visitor",
        "event_type": "page_view",
        "occurred_at": at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "page_url": "https://hostile.example/",
    }))
}

/// Returns an event with texts of the largest accepted size, in characters of four bytes.
pub(super) fn widest_event(id: &str, at: DateTime<Utc>) -> Object {
    let device = json!({ "type": "tablet", "os": widest(64, ""), "browser": widest(64, "") });
    let utm = json!({
        "source": widest(256, ""), "medium": widest(256, ""), "campaign": widest(256, ""),
        "term": widest(256, ""), "content": widest(256, ""),
    });
    event(id, at)
        .text("event_id", &widest(64, id))
        .text("session_id", &widest(64, id))
        .text("visitor_id", &widest(64, id))
        .text("customer_id", &widest(64, id))
        .text("page_url", &widest(2_048, "https://hostile.example/"))
        .text("page_title", &widest(512, ""))
        .text("referrer", &widest(2_048, ""))
        .text("product_id", &widest(64, ""))
        .text("search_term", &widest(512, ""))
        .text("order_id", &widest(64, ""))
        .text("user_agent", &widest(1_024, ""))
        .text("language", &widest(35, ""))
        .text("order_value", "99999999999999.9999")
        .text("currency", "GBP")
        .raw("quantity", "1000000")
        .raw("duration_ms", "86400000")
        .raw("device", device.to_string())
        .raw("utm", utm.to_string())
}

/// Returns the events of a visitor who views a page every 25 minutes for 50 hours.
pub(super) fn endless_session(last: DateTime<Utc>) -> Vec<Object> {
    (0..=120)
        .map(|number| {
            let at = last - Duration::minutes(25 * (120 - number));
            event(&format!("robot-{number}"), at)
                .text("session_id", "robot")
                .text("customer_id", "robot")
        })
        .collect()
}
