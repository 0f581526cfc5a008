//! Reads the few fields of a row that a connector uses, each on its own, so that one that is spoilt does not spoil the
//! others.

use chrono::DateTime;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// No id is longer; something else has slipped into the field.
const MAX_ID: usize = 128;

/// The field as a `T`, if it is there and is one.
pub fn parse<T: DeserializeOwned>(field: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

/// The field as an id: text that is not empty and not absurdly long.
pub fn id(field: Option<&RawValue>) -> Option<String> {
    parse::<String>(field).filter(|id| (1..=MAX_ID).contains(&id.len()))
}

/// The field as a moment in RFC 3339, as it was written.
pub fn moment(field: Option<&RawValue>) -> Option<String> {
    parse::<String>(field).filter(|time| DateTime::parse_from_rfc3339(time).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn given_an_id_then_its_text_and_otherwise_nothing() {
        let long = format!("\"{}\"", "x".repeat(129));

        assert_eq!(id(Some(&raw(r#""536\u0033""#))).as_deref(), Some("5363"));
        assert_eq!(id(None), None);
        for json in ["null", "17", "{}", r#""""#, &long] {
            assert_eq!(id(Some(&raw(json))), None, "{json}");
        }
    }

    #[test]
    fn given_a_whole_number_of_32_bits_then_it_and_otherwise_nothing() {
        assert_eq!(parse::<i32>(Some(&raw("-6"))), Some(-6));
        for json in ["2.5", "\"6\"", "null", "1e3", "3000000000", "[6]"] {
            assert_eq!(parse::<i32>(Some(&raw(json))), None, "{json}");
        }
    }

    #[test]
    fn given_a_moment_then_it_is_kept_as_it_was_written() {
        assert_eq!(moment(Some(&raw(r#""2010-12-01T08:26:00Z""#))).as_deref(), Some("2010-12-01T08:26:00Z"));
        assert_eq!(moment(Some(&raw(r#""yesterday""#))), None);
    }
}
