//! What is on the stream once events were accepted.

use serde_json::{Value, json};
use shoplake_platform::metrics::{
    ACCEPTED_EVENTS, RECEIVED_BODY, RECEIVED_EVENTS, REJECTED_REQUESTS,
};

use super::{Fixture, STREAM, event, events, ids};
use crate::{MAX_EVENTS, Receipt, Rejection};

#[tokio::test]
async fn an_accepted_event_is_in_the_stream_in_its_envelope() {
    let fixture = Fixture::new();
    let receipts = fixture.accept(event("e1")).await.unwrap();
    assert_eq!(receipts, [Receipt { index: 0, id: "msg_1.0".to_owned() }]);
    let envelope = json!({
        "specversion": "1.0",
        "id": "msg_1.0",
        "source": "/shops/acme/web",
        "type": "visits.received",
        "time": "2026-11-21T09:59:58.000000Z",
        "shopid": "acme",
        "dataset": "visits",
        "receivedat": "2026-11-21T10:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {"event_id": "e1", "occurred_at": "2026-11-21T09:59:58+00:00"},
    });
    assert_eq!(fixture.envelopes(), [envelope]);
}

#[tokio::test]
async fn the_bytes_of_an_event_are_kept() {
    let fixture = Fixture::new();
    let odd = r#"{"x": 1.50e+0, "event_id":"\u0061", "occurred_at":"2026-11-21T09:59:58Z"}"#;
    let pretty = "{\r\n\t\"event_id\": \"b\",\n\t\"occurred_at\": \"2026-11-21T09:59:58Z\"\n}";
    fixture.accept(format!("[{odd} , {pretty}]")).await.unwrap();
    let lines = fixture.stream.lines(STREAM);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with(&format!(r#""data":{odd}}}"#)), "{}", lines[0]);
    assert!(serde_json::from_str::<Value>(&lines[1]).is_ok(), "{}", lines[1]);
}

#[tokio::test]
async fn a_byte_order_mark_is_not_part_of_the_first_event() {
    let fixture = Fixture::new();
    fixture.accept(format!("\u{feff}{}", event("e1"))).await.unwrap();
    let line = &fixture.stream.lines(STREAM)[0];
    assert!(line.ends_with(&format!(r#""data":{}}}"#, event("e1"))), "{line}");
}

#[tokio::test]
async fn many_events_share_records_in_order() {
    let fixture = Fixture::new();
    let receipts = fixture.accept(events(MAX_EVENTS)).await.unwrap();
    assert_eq!(ids(&receipts).len(), MAX_EVENTS);
    assert!(fixture.stream.records(STREAM).len() < 10);
    for (index, envelope) in fixture.envelopes().iter().enumerate() {
        assert_eq!(envelope["id"], format!("msg_1.{index}"));
        assert_eq!(envelope["data"]["event_id"], format!("e{index}"));
    }
}

#[tokio::test]
async fn events_and_rejected_requests_are_counted_by_dataset() {
    let fixture = Fixture::new();
    fixture.accept(events(3)).await.unwrap();
    assert!(matches!(fixture.accept_as("acme", "msg_2", "{").await, Err(Rejection::Body(_))));
    let dataset = fixture.ingest.dataset("visits").unwrap();
    fixture.ingest.count_rejected_request(dataset, 10);
    assert_eq!(fixture.metrics.total(RECEIVED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(ACCEPTED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(REJECTED_REQUESTS), 2.0);
    assert_eq!(fixture.metrics.total(RECEIVED_BODY), (events(3).len() + 11) as f64);
    assert!(fixture.metrics.lines().iter().all(|line| line["dataset"] == "visits"));
}

#[test]
fn only_datasets_that_are_streamed_take_events() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ingest.datasets(), ["visits"]);
    for name in ["sales", "unknown", ""] {
        assert!(fixture.ingest.dataset(name).is_none(), "{name}");
    }
}
