//! Events that the contract must refuse.

use anyhow::Context;
use serde_json::Value;

use super::Event;

/// Spoils a good event in the `kind`-th way; kinds repeat.
pub(super) fn spoil(event: &Event, kind: u64) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(event)?;
    let fields = value.as_object_mut().context("an event is an object")?;
    match kind % 5 {
        0 => drop(fields.remove("event_id")),
        1 => drop(fields.insert("event_type".to_owned(), "teleport".into())),
        2 => drop(fields.insert("occurred_at".to_owned(), "yesterday".into())),
        3 => drop(fields.insert("session_id".to_owned(), Value::Null)),
        _ => drop(fields.insert("page_url".to_owned(), 404.into())),
    }
    Ok(value)
}
