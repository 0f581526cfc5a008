//! Streams that accept nothing, or a part.

use shoplake_aws::stream::{PutFailure, Times};
use shoplake_platform::metrics::{ACCEPTED_EVENTS, REJECTED_EVENTS, UNACCEPTED_EVENTS};

use super::{Fixture, STREAM, event, events, has_last_event, ids, unavailable};
use crate::{Rejection, StreamFailure};

fn throttled() -> PutFailure {
    PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned())
}

#[tokio::test]
async fn a_partial_failure_lists_the_events_in_the_stream() {
    let fixture = Fixture::new();
    fixture.stream.reject(Times::Always, unavailable(), has_last_event);
    let rejection = fixture.accept(events(500)).await.unwrap_err();
    let Rejection::Unaccepted { failure, accepted, unaccepted } = rejection else {
        panic!("{rejection}")
    };
    assert_eq!(failure, StreamFailure::Unavailable);

    let (accepted, unaccepted) = (ids(&accepted), ids(&unaccepted));
    let envelopes = fixture.envelopes();
    let in_stream: Vec<_> =
        envelopes.iter().map(|envelope| envelope["id"].as_str().unwrap()).collect();
    assert_eq!(accepted, in_stream);
    assert_eq!(accepted.len() + unaccepted.len(), 500);
    assert!(!accepted.is_empty() && unaccepted.contains(&"msg_1.499"));
    assert_eq!(fixture.metrics.total(ACCEPTED_EVENTS), accepted.len() as f64);
    assert_eq!(fixture.metrics.total(UNACCEPTED_EVENTS), unaccepted.len() as f64);
    assert_eq!(fixture.metrics.total(REJECTED_EVENTS), 0.0);
}

#[tokio::test]
async fn a_repetition_after_throttling_has_the_same_ids() {
    let fixture = Fixture::new();
    // One put is one attempt and four retries.
    fixture.stream.reject(Times::First(5), throttled(), |_| true);
    let rejection = fixture.accept(event("e1")).await.unwrap_err();
    let Rejection::Unaccepted { failure, unaccepted, .. } = rejection else {
        panic!("{rejection}")
    };
    assert_eq!(failure, StreamFailure::Throttled);
    assert_eq!(fixture.accept(event("e1")).await.unwrap(), unaccepted);
}

#[tokio::test]
async fn a_passing_failure_of_the_stream_is_retried() {
    let fixture = Fixture::new();
    fixture.stream.reject(Times::First(1), throttled(), has_last_event);
    assert_eq!(fixture.accept(events(500)).await.unwrap().len(), 500);
    assert_eq!(fixture.stream.lines(STREAM).len(), 500);
}
