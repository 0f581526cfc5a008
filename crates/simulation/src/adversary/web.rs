//! Web traffic.

use chrono::{Days, NaiveDate};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::{LIMITS, day as day_number, values};
use crate::event::Event;

const TYPES: [&str; 7] = [
    "page_view",
    "product_view",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
];

/// The distances of the events of a session in microseconds. A session ends after more than 30
/// minutes.
const PAUSES: [i64; 6] = [0, 1, 1_000_000, 1_799_999_999, 1_800_000_000, 1_800_000_001];

/// A day's sessions, some of which run past midnight.
pub(crate) fn day(rng: &mut StdRng, shop: &str, day: NaiveDate, events: &mut Vec<Event>) {
    for session in 0..rng.random_range(1..5) {
        // A tracker's session may come back on another day.
        let session_id = if rng.random_bool(0.2) {
            values::id(rng, "s", 4)
        } else {
            format!("s-{day}-{session}")
        };
        let customer =
            if rng.random_bool(0.5) { Value::Null } else { values::id(rng, "c", 9).into() };
        let mut at = first(rng, day);
        for number in 0..rng.random_range(1..5) {
            // The same key may come back with other content: then the later copy counts, or else
            // the greater envelope.
            let event_id = if rng.random_bool(0.05) {
                format!("e-{day}-{}", rng.random_range(0..3))
            } else {
                format!("e-{day}-{session}-{number}")
            };
            let data = json!({
                "event_id": event_id, "session_id": session_id,
                "visitor_id": values::id(rng, "v", 5),
                "customer_id": customer, "event_type": values::pick(rng, &TYPES),
                "occurred_at": written(at),
                "page_url": format!("https://shop.example/{}", values::id(rng, "", 20)),
                "page_title": values::text(rng, 512), "referrer": values::text(rng, 2048),
                "product_id": values::maybe_id(rng, 0.5, "p", 5),
                "quantity": values::count(rng, 1, 1_000_000), "search_term": values::text(rng, 512),
                "search_results": values::count(rng, 0, 1_000_000_000),
                "order_id": values::maybe_id(rng, 0.7, "o", 5),
                "order_value": values::pick(rng, &["0", "0.0001", "99999999999999.9999"]),
                "currency": values::one_of(rng, &["EUR", "GBP"]),
                "user_agent": values::text(rng, 1024), "device": device(rng),
                "country": values::one_of(rng, &["DE", "GB"]), "language": values::text(rng, 35),
                "utm": {"source": values::text(rng, 256), "campaign": values::text(rng, 256)},
                "duration_ms": values::count(rng, 0, 86_400_000),
            });
            events.push(Event::new("web_traffic", shop, data));
            at += PAUSES.choose(rng).copied().unwrap_or_default();
        }
    }
}

/// Events that come back with the time of another day, some of them of a day a week or more later.
pub(crate) fn copies_on_other_days(events: &mut Vec<Event>) {
    for number in 0..4_u64 {
        for (days, time) in [(0, "23:59:59.999999"), (1, "00:00:00"), (6 + number % 4, "12:00:00")]
        {
            let data = json!({
                "event_id": format!("copied-{number}"), "session_id": format!("copied-{number}"),
                "visitor_id": "v", "customer_id": "c", "event_type": "page_view",
                "occurred_at": format!("{}T{time}Z", day_number(9) + Days::new(days)),
                "page_url": "https://shop.example/",
            });
            events.push(Event::new("web_traffic", LIMITS, data));
        }
    }
}

fn device(rng: &mut StdRng) -> Value {
    if rng.random_bool(0.3) {
        return Value::Null;
    }
    json!({
        "type": values::one_of(rng, &["mobile", "desktop", "bot"]), "os": values::text(rng, 64),
        "browser": values::text(rng, 64), "screen_width": values::count(rng, 0, 100_000),
    })
}

/// When a session begins, in microseconds since 1970-01-01T00:00:00Z: also close to midnight, on
/// both sides of it.
fn first(rng: &mut StdRng, day: NaiveDate) -> i64 {
    const DAY: i64 = 86_400_000_000;
    let midnight = i64::from(day.to_epoch_days()) * DAY;
    let offsets = [0, DAY - 1, DAY - 1_800_000_000, DAY - 1_800_000_001, DAY - 1_000_000, DAY / 2];
    if rng.random_bool(0.6) {
        midnight + offsets.choose(rng).copied().unwrap_or_default()
    } else {
        midnight + rng.random_range(0..DAY)
    }
}

fn written(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
