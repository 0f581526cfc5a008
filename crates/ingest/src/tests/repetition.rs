//! Requests that are sent again, under the same id.

use shoplake_aws::stream::Times;

use super::{Fixture, STREAM, event, events, has_last_event, now, unavailable};
use crate::{Rejection, ReusedId};

#[tokio::test]
async fn an_accepted_id_is_rejected_for_another_body() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        fixture.accept(event("e1")).await.unwrap();
    }
    let rejection = fixture.accept(event("e2")).await.unwrap_err();
    assert!(
        matches!(rejection, Rejection::ReusedId(ReusedId { accepted_at }) if accepted_at == now()),
        "{rejection}"
    );
    assert_eq!(fixture.stream.lines(STREAM).len(), 2);

    for (shop, id) in [("acme", "msg_2"), ("other", "msg_1")] {
        fixture.accept_as(shop, id, event("e2")).await.unwrap();
    }
}

#[tokio::test]
async fn a_rejected_request_may_be_corrected_under_its_id() {
    let fixture = Fixture::new();
    fixture.accept(r#"{"event_id":7}"#).await.unwrap_err();
    fixture.stream.reject(Times::First(5), unavailable(), |_| true);
    fixture.accept(event("e1")).await.unwrap_err();
    fixture.accept(event("e2")).await.unwrap();
}

#[tokio::test]
async fn a_partly_accepted_id_is_rejected_for_another_body() {
    let fixture = Fixture::new();
    fixture.stream.reject(Times::First(5), unavailable(), has_last_event);
    fixture.accept(events(500)).await.unwrap_err();
    let rejection = fixture.accept(events(499)).await.unwrap_err();
    assert!(matches!(rejection, Rejection::ReusedId(_)), "{rejection}");
    fixture.accept(events(500)).await.unwrap();
}
