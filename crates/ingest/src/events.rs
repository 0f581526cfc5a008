//! Splits a body into its events without changing their bytes.

use serde_json::value::RawValue;
use shoplake_contracts::text;

use crate::quote::quoted_bytes;

/// The most events in one request.
pub const MAX_EVENTS: usize = 500;

/// Why a body is not a list of events.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body does not begin like an event or an array.
    #[error(
        "expected one JSON event ({{...}}) or an array of events ([{{...}}, ...]), got {actual}"
    )]
    NeitherObjectNorArray {
        /// What the body begins with.
        actual: String,
    },
    /// The body is not JSON.
    #[error("expected valid JSON in UTF-8, got a body that is not: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The array is empty.
    #[error("expected at least one event, got an empty array")]
    NoEvents,
    /// The array has more than [`MAX_EVENTS`] events.
    #[error(
        "expected at most {MAX_EVENTS} events in one request, got {actual}; send them in several \
         requests"
    )]
    TooManyEvents {
        /// The number of events.
        actual: usize,
    },
}

/// Returns the events of a body: the body itself, or the elements of its array.
pub(crate) fn split(body: &[u8]) -> Result<Vec<&RawValue>, BodyError> {
    // Some senders begin UTF-8 with a byte order mark. It is signed, but part of no event.
    let body = text::without_bom(body);
    let events = match body.trim_ascii_start().first() {
        Some(b'{') => vec![serde_json::from_slice(body)?],
        Some(b'[') => serde_json::from_slice(body)?,
        None => {
            return Err(BodyError::NeitherObjectNorArray { actual: "an empty body".to_owned() });
        }
        Some(_) => {
            let actual = format!("a body that begins with {}", quoted_bytes(body));
            return Err(BodyError::NeitherObjectNorArray { actual });
        }
    };
    match events.len() {
        0 => Err(BodyError::NoEvents),
        actual if actual > MAX_EVENTS => Err(BodyError::TooManyEvents { actual }),
        _ => Ok(events),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(body: &[u8]) -> Vec<&str> {
        split(body).unwrap().into_iter().map(RawValue::get).collect()
    }

    #[test]
    fn splitting_one_event_or_an_array_keeps_the_bytes() {
        assert_eq!(texts(b" {\"a\": 1.50} "), [r#"{"a": 1.50}"#]);
        assert_eq!(texts(b"[{\"a\":1e2}, [ ] ,{}]"), [r#"{"a":1e2}"#, "[ ]", "{}"]);
    }

    #[test]
    fn an_error_shows_how_the_body_begins() {
        let message = |body: &[u8]| split(body).unwrap_err().to_string();
        assert!(message(b"").ends_with("got an empty body"));
        assert!(message(b"\"{}\"").ends_with(r#"got a body that begins with "\"{}\"""#));
        assert!(message(b"event=view&x=1").ends_with(r#"begins with "event=view&x=1""#));
        assert!(message(b"\xff\xfe{\0}\0").ends_with(r#"begins with "\xff\xfe{\x00}\x00""#));
        assert!(message(&[b'x'; 60]).ends_with(&format!(r#"begins with "{}"..."#, "x".repeat(50))));
        assert!(message(b"{\"a\":").contains("EOF"));
        assert!(message(b"{} {}").contains("trailing"));
        assert!(message(b"[{\"a\":\"\xff\"}]").contains("UTF-8"));
        assert!(message(b"[]").ends_with("an empty array"));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_events() {
        assert_eq!(texts(b"\xef\xbb\xbf {\"a\":1}"), [r#"{"a":1}"#]);
        assert_eq!(texts(b"\xef\xbb\xbf[{},{}]"), ["{}", "{}"]);
        let twice = split(b"\xef\xbb\xbf\xef\xbb\xbf{}").unwrap_err().to_string();
        assert!(twice.contains(r"\xef\xbb\xbf{}"), "{twice}");
    }

    #[test]
    fn more_events_than_the_limit_are_rejected() {
        let body = |count| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(split(body(MAX_EVENTS).as_bytes()).unwrap().len(), MAX_EVENTS);
        assert!(matches!(
            split(body(MAX_EVENTS + 1).as_bytes()),
            Err(BodyError::TooManyEvents { actual: 501 })
        ));
    }

    proptest! {
        #[test]
        fn splitting_any_bytes_does_not_panic(
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = split(&body);
        }
    }
}
