//! `visits`, a small dataset in partitions of a day, and its events.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use shoplake_contracts::Contracts;

/// The schema of `visits`.
const SCHEMA: &str = include_str!("visits.json");

/// Returns contracts with `visits` alone.
pub fn contracts() -> Contracts {
    Contracts::from_sources([("visits", SCHEMA)]).unwrap()
}

/// Returns contracts with `visits`, which the webhook accepts, and with `sales`, which has the same
/// fields and comes from a connector.
pub fn contracts_with_batch() -> Contracts {
    let batch = SCHEMA.replace(r#""delivery": "stream""#, r#""delivery": "batch""#);
    Contracts::from_sources([("visits", SCHEMA), ("sales", &batch)]).unwrap()
}

/// Returns contracts with `visits`, whose rows with one id are versions.
pub fn contracts_with_versions() -> Contracts {
    let versions = SCHEMA.replace(r#""version": null"#, r#""version": "occurred_at""#);
    Contracts::from_sources([("visits", &versions)]).unwrap()
}

/// Returns when events are received, two seconds after an [`event`] happened.
pub fn now() -> DateTime<Utc> {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// Returns an event as JSON.
pub fn event(id: &str) -> String {
    format!(r#"{{"event_id":"{id}","occurred_at":"2026-11-21T09:59:58+00:00"}}"#)
}

/// Returns a JSON array of events, `e0` and so on.
pub fn events(count: usize) -> String {
    let events: Vec<String> = (0..count).map(|number| event(&format!("e{number}"))).collect();
    format!("[{}]", events.join(","))
}

/// Returns a JSON array with one event for each of these numbers of days before [`now`].
pub fn events_of_days(days: Range<i64>) -> String {
    let event = |days: i64| {
        let at = (now() - TimeDelta::days(days)).to_rfc3339();
        format!(r#"{{"event_id":"e{days}","occurred_at":"{at}"}}"#)
    };
    format!("[{}]", days.map(event).collect::<Vec<_>>().join(","))
}
