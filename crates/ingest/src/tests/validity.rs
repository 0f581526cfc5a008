//! Which events are rejected, and that none of their request is accepted then.

use proptest::prelude::*;
use shoplake_aws::stream::Times;
use shoplake_contracts::Code;
use shoplake_contracts::envelope::MAX_RECORD_BYTES;
use shoplake_platform::metrics::{RECEIVED_EVENTS, REJECTED_EVENTS};

use super::{Fixture, STREAM, event, events_of_days, ids, unavailable, visits};
use crate::{EventError, Rejection};

/// Gives the events to ingest and returns what is wrong with them; none may be in the stream.
async fn errors(fixture: &Fixture, body: String) -> Vec<EventError> {
    let rejection = fixture.accept(body).await.unwrap_err();
    assert!(fixture.stream.lines(STREAM).is_empty());
    match rejection {
        Rejection::InvalidEvents { errors, .. } | Rejection::EventsTooLarge { errors } => errors,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn one_invalid_event_rejects_all_and_every_error_is_listed() {
    let fixture = Fixture::new();
    let body = format!(
        r#"[{},{{"event_id":7}},{}]"#,
        event("e1"),
        event("e2").replace('}', r#","quantity":10}"#)
    );
    let errors = errors(&fixture, body).await;
    let fields: Vec<_> =
        errors.iter().map(|error| (error.index, error.reason.field.as_str())).collect();
    assert_eq!(fields, [(1, "event_id"), (1, "occurred_at"), (2, "quantity")]);
    assert_eq!(fixture.metrics.total(RECEIVED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(REJECTED_EVENTS), 3.0);
}

#[tokio::test]
async fn an_event_of_another_shop_is_rejected() {
    let fixture = Fixture::new();
    let of_shop = |shop: &str| event("e1").replace('}', &format!(r#","shop_id":"{shop}"}}"#));
    let errors = errors(&fixture, of_shop("other")).await;
    assert_eq!(errors[0].reason.field, "shop_id");
    assert_eq!(errors[0].reason.code, Code::ShopMismatch);
    fixture.accept(of_shop("acme")).await.unwrap();
}

#[tokio::test]
async fn an_event_larger_than_a_record_is_rejected() {
    let fixture = Fixture::new();
    let note = "x".repeat(MAX_RECORD_BYTES);
    let large = event("large").replace('}', &format!(r#","note":"{note}"}}"#));
    let errors = errors(&fixture, format!("[{},{large}]", event("e1"))).await;
    assert_eq!((errors.len(), errors[0].index), (1, 1));
    assert_eq!(errors[0].reason.code, Code::TooLarge);
}

#[tokio::test]
async fn a_nul_character_is_rejected_and_its_field_named() {
    let fixture = Fixture::new();
    let errors = errors(&fixture, format!("[{},{}]", event("e1"), event(r"a\u0000b"))).await;
    let EventError { index, reason } = &errors[0];
    assert_eq!((*index, reason.field.as_str()), (1, "event_id"));
    assert_eq!(reason.code, Code::UnsupportedCharacter);
    assert!(reason.actual.contains("U+0000"), "{reason}");
}

#[tokio::test]
async fn an_invalid_number_in_an_unknown_field_is_named() {
    let fixture = Fixture::new();
    let body = event("e1").replace('}', r#","extra":{"deep":[1,1e400]}}"#);
    let reason = errors(&fixture, body).await[0].reason.to_string();
    assert!(reason.contains("extra.deep[1]") && reason.contains("out of range"), "{reason}");
}

#[tokio::test]
async fn a_time_outside_the_window_is_rejected() {
    let fixture = Fixture::new();
    for (days, code) in [(401, Code::TooOld), (-2, Code::InTheFuture)] {
        let errors = errors(&fixture, events_of_days(days..days + 1)).await;
        assert_eq!(errors[0].reason.field, "occurred_at");
        assert_eq!(errors[0].reason.code, code);
    }
    fixture.accept(events_of_days(399..400)).await.unwrap();
}

#[tokio::test]
async fn one_id_with_two_times_is_rejected() {
    let fixture = Fixture::new();
    let earlier = |seconds: u32| event("e1").replace("09:59:58", &format!("09:59:{seconds:02}"));
    let body = format!("[{},{},{},{}]", earlier(1), event("e2"), earlier(2), earlier(1));
    let errors = errors(&fixture, body).await;
    let [EventError { index: 2, reason }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((reason.field.as_str(), reason.code), ("occurred_at", Code::TimeMismatch));
    for part in ["2026-11-21T09:59:01.000000Z", "event 0", "the same event_id"] {
        assert!(reason.expected.contains(part), "{reason}");
    }
    assert_eq!(reason.actual, "2026-11-21T09:59:02.000000Z");

    fixture.accept(format!("[{},{}]", event("e1"), event("e1"))).await.unwrap();
}

#[tokio::test]
async fn versions_of_one_row_may_have_different_times() {
    let fixture = Fixture::of(visits::contracts_with_versions());
    let earlier = event("e1").replace("09:59:58", "09:59:57");
    fixture.accept(format!("[{earlier},{}]", event("e1"))).await.unwrap();
}

/// Bodies from nonsense to nearly valid.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just(event("e")),
        Just(event("e").replace('}', r#","quantity":2}"#)),
        Just(event("e").replace('}', r#","quantity":2.5}"#)),
        Just(event("e").replace('}', r#","event_id":"twice"}"#)),
        Just(format!("{}1{}", "[".repeat(300), "]".repeat(300))),
        "[ -~]{0,20}",
        concat!(
            r#"\{"event_id":"[a-z\\u0-9]{0,70}","#,
            r#""occurred_at":"20[0-9]{2}-[01][0-9]-[0-3][0-9]T10:00:00Z"\}"#
        ),
    ];
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..300),
        3 => prop::collection::vec(value, 0..12)
            .prop_map(|values| format!("[{}]", values.join(",")).into_bytes()),
        3 => prop::collection::vec(Just(event("e")), 1..60)
            .prop_map(|values| format!(" [ {}\n]", values.join(" ,\n")).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn the_stream_has_exactly_the_events_with_a_receipt(
        body in body(),
        failures in prop_oneof![Just(0_usize), 0..12_usize],
    ) {
        let fixture = Fixture::new();
        fixture.stream.reject(Times::First(failures), unavailable(), |_| true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let result = runtime.block_on(fixture.accept(&body));

        let accepted = match result {
            Ok(receipts) | Err(Rejection::Unaccepted { accepted: receipts, .. }) => receipts,
            Err(Rejection::Body(_) | Rejection::InvalidEvents { .. }) => Vec::new(),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let envelopes = fixture.envelopes();
        let in_stream: Vec<_> =
            envelopes.iter().map(|envelope| envelope["id"].as_str().unwrap()).collect();
        prop_assert_eq!(in_stream, ids(&accepted));
    }
}
