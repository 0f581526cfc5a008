//! Takes a body apart into its events, without touching their bytes.

use serde_json::value::RawValue;

/// Most events in one request.
pub(crate) const MAX_EVENTS: usize = 500;

/// Largest body. Lambda takes 6 MB of JSON-escaped request; this leaves room for the escapes and the headers.
pub(crate) const MAX_BODY_BYTES: usize = 5_000_000;

/// Why there are no events in a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("expected one JSON event ({{...}}) or an array of events ([{{...}}, ...]), got {actual}")]
    NeitherObjectNorArray { actual: &'static str },
    #[error("expected valid JSON in UTF-8, got a body that is not: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("expected at least one event, got an empty array")]
    NoEvents,
    #[error(
        "expected at most {MAX_EVENTS} events in one request, got {actual}; send them in several requests"
    )]
    TooManyEvents { actual: usize },
}

/// The events of a body: itself, or the elements of its array.
pub(crate) fn split(body: &[u8]) -> Result<Vec<&RawValue>, BodyError> {
    let events = match body.trim_ascii_start().first() {
        Some(b'{') => vec![serde_json::from_slice(body)?],
        Some(b'[') => serde_json::from_slice(body)?,
        first => {
            let actual = match first {
                None => "an empty body",
                Some(b'"') => "a string",
                Some(b'-' | b'0'..=b'9') => "a number",
                Some(_) => "something else",
            };
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
    fn given_one_event_or_an_array_when_split_then_the_bytes_are_those_that_came() {
        assert_eq!(texts(b" {\"a\": 1.50} "), [r#"{"a": 1.50}"#]);
        assert_eq!(texts(b"[{\"a\":1e2}, [ ] ,{}]"), [r#"{"a":1e2}"#, "[ ]", "{}"]);
    }

    #[test]
    fn given_something_else_when_split_then_the_error_says_what_came() {
        let message = |body: &[u8]| split(body).unwrap_err().to_string();
        assert!(message(b"").ends_with("got an empty body"));
        assert!(message(b"\"{}\"").ends_with("got a string"));
        assert!(message(b"{\"a\":").contains("EOF"));
        assert!(message(b"{} {}").contains("trailing"));
        assert!(message(b"[{\"a\":\"\xff\"}]").contains("UTF-8"));
        assert!(message(b"[]").ends_with("an empty array"));
    }

    #[test]
    fn given_more_events_than_the_limit_when_split_then_they_are_refused() {
        let body = |count| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(split(body(MAX_EVENTS).as_bytes()).unwrap().len(), MAX_EVENTS);
        assert!(matches!(
            split(body(MAX_EVENTS + 1).as_bytes()),
            Err(BodyError::TooManyEvents { actual: 501 })
        ));
    }

    proptest! {
        #[test]
        fn given_any_bytes_when_split_then_no_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = split(&body);
        }
    }
}
