//! The rules that JSON Schema has no keywords for, written without the contracts' code.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::documents::RECEIVED_AT;

/// Returns whether data that a validator accepts fulfils the further rules: the warehouse can store
/// its texts, and its times are within the window.
pub(crate) fn hold(schema: &Value, data: &Value) -> bool {
    let declared = &schema["x-dataset"];
    let partition = declared["partition"].as_str().unwrap_or_default();
    let has_window = !declared["accepts"].is_null()
        || (declared["delivery"] != "internal" && !partition.starts_with("bucket"));
    let column = partition.trim_end_matches(')').rsplit('(').next().unwrap_or_default();
    let is_in_window = |field: &str| {
        let text = data[field].as_str().unwrap_or_default();
        let received_at = RECEIVED_AT.parse::<DateTime<Utc>>().expect("a time");
        if schema["properties"][field]["format"] == "date" {
            // 400 days and half a day back, one day and 14 hours ahead.
            ("2025-08-27"..="2026-10-03").contains(&text)
        } else if schema["properties"][field]["format"] == "date-time" {
            // The decoder cuts off what comes after the microseconds, and a leap second.
            let time =
                DateTime::parse_from_rfc3339(&text.replace(":60", ":59")).expect("a time").to_utc();
            let micros = time.timestamp_micros() - received_at.timestamp_micros();
            (-400 * 86_400_000_000..=86_400_000_000).contains(&micros)
        } else {
            true
        }
    };
    let times = [declared["event_time"].as_str().unwrap_or_default(), column];
    has_storable_texts(schema, data) && (!has_window || times.into_iter().all(is_in_window))
}

fn has_storable_texts(schema: &Value, data: &Value) -> bool {
    match data {
        Value::String(text) => text.chars().all(|character| {
            let code = character as u32;
            code != 0 && !(0xFDD0..0xFDF0).contains(&code) && code % 0x1_0000 < 0xFFFE
        }),
        Value::Array(items) => items.iter().all(|item| has_storable_texts(&schema["items"], item)),
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let property = &schema["properties"][name];
            property.is_null() || has_storable_texts(property, value)
        }),
        _ => true,
    }
}
