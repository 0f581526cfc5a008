//! Times as the texts of `timestamp` columns, which are in UTC and have microseconds.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer, de::Error};

/// Returns the text of a time, for a parameter that is cast to `timestamp`.
pub(crate) fn text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// Reads a column that was cast to a text; the fraction of a second may be missing.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| {
        let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
        time.map(|time| time.and_utc())
            .map_err(|error| D::Error::custom(format!("invalid timestamp {text:?}: {error}")))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct Row {
        #[serde(deserialize_with = "deserialize")]
        time: Option<DateTime<Utc>>,
    }

    #[test]
    fn a_timestamp_is_read_with_and_without_a_fraction() {
        for (column, expected) in [
            (json!("2010-12-02 03:04:05"), Some("2010-12-02 03:04:05.000000")),
            (json!("2010-12-02 03:04:05.000001"), Some("2010-12-02 03:04:05.000001")),
            (json!(null), None),
        ] {
            let row: Row = serde_json::from_value(json!({"time": column})).unwrap();
            assert_eq!(row.time.map(text).as_deref(), expected);
        }
    }

    #[test]
    fn a_text_that_is_not_a_time_is_named() {
        let error = serde_json::from_value::<Row>(json!({"time": "today"})).err().unwrap();
        assert!(error.to_string().contains("invalid timestamp \"today\""), "{error}");
    }
}
