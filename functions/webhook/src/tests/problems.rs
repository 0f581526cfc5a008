//! The status, headers and document of each rejection.

use chrono::TimeDelta;
use lambda_http::http::StatusCode;
use shoplake_aws::stream::{PutFailure, Times};
use shoplake_contracts::envelope::MAX_RECORD_BYTES;
use shoplake_ingest::MAX_EVENTS;

use super::{Fixture, STREAM, event, events, events_of_days, ids, signed, signed_as};

#[tokio::test]
async fn invalid_events_are_answered_with_422_and_each_error() {
    let fixture = Fixture::new();
    let body = format!(r#"[{},{}]"#, event("e1"), event("e2").replace('}', r#","quantity":10}"#));
    let (_, problem) = fixture.refused(signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem["type"], "urn:problem-type:shoplake:invalid-events");
    assert_eq!(problem["error_count"], 1);
    let error = &problem["errors"][0];
    assert_eq!((error["index"].as_u64(), error["field"].as_str()), (Some(1), Some("quantity")));
    assert_eq!(error["code"], "too_large");
    assert!(error["expected"].is_string() && error["actual"].is_string(), "{error}");
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn a_problem_lists_the_first_100_errors_and_counts_all() {
    let fixture = Fixture::new();
    let wrong =
        format!(r#"{{"event_id":"{}","occurred_at":"{0}","quantity":"{0}"}}"#, "\"'".repeat(40));
    let wrong = wrong.replace("\"'", "\\\"'");
    let body = format!("[{}]", vec![wrong; MAX_EVENTS].join(","));
    let (response, problem) = fixture.refused(signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert_eq!(problem["error_count"], 3 * MAX_EVENTS);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("got 500 that do not"), "{detail}");
    assert!(detail.contains("the first 100 of 1500 reasons"), "{detail}");
    let answer: &[u8] = response.body().as_ref();
    assert!(answer.len() < 100_000, "{} bytes", answer.len());
}

#[tokio::test]
async fn an_event_larger_than_a_record_is_answered_with_413() {
    let fixture = Fixture::new();
    let note = "x".repeat(MAX_RECORD_BYTES);
    let large = event("large").replace('}', &format!(r#","note":"{note}"}}"#));
    let request = signed(format!("[{},{large}]", event("e1")));
    let (_, problem) = fixture.refused(request, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(problem["errors"][0]["index"], 1);
    assert_eq!(problem["errors"][0]["code"], "too_large");
}

#[tokio::test]
async fn a_reused_webhook_id_is_answered_with_409() {
    let fixture = Fixture::new();
    assert_eq!(fixture.status(signed(event("e1"))).await, StatusCode::ACCEPTED);
    let (_, problem) = fixture.refused(signed(event("e2")), StatusCode::CONFLICT).await;
    assert_eq!(problem["type"], "urn:problem-type:shoplake:webhook-id-reused");
    let detail = problem["detail"].as_str().unwrap();
    for part in [r#"the webhook-id "msg_1""#, "new webhook-id", "2026-11-21T10:00:00Z"] {
        assert!(detail.contains(part), "{detail}");
    }
}

#[tokio::test]
async fn too_many_old_days_are_answered_with_429_until_the_hour_ends() {
    let fixture = Fixture::new();
    fixture.clock.advance(TimeDelta::seconds(90));
    assert_eq!(fixture.status(signed(events_of_days(10..50))).await, StatusCode::ACCEPTED);
    let request = signed_as("acme", "msg_2", events_of_days(40..80));
    let (response, problem) = fixture.refused(request, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem["type"], "urn:problem-type:shoplake:too-many-partitions");
    assert_eq!(response.headers()["retry-after"], "3511");
    let detail = problem["detail"].as_str().unwrap();
    for part in
        ["at most 48 partitions", "the shop acme", "this request has 30 new ones", "and 40 were"]
    {
        assert!(detail.contains(part), "{detail}");
    }
}

#[tokio::test]
async fn a_request_beyond_the_limit_of_an_hour_is_answered_with_413() {
    let fixture = Fixture::new();
    let request = signed(events_of_days(10..110));
    let (response, problem) = fixture.refused(request, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert!(!response.headers().contains_key("retry-after"), "sending it again cannot help");
    let detail = problem["detail"].as_str().unwrap();
    for part in ["at most 48 partitions", "the shop acme", "has 100", "open a backfill"] {
        assert!(detail.contains(part), "{detail}");
    }
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn a_stream_that_is_down_is_answered_with_503_and_both_parts() {
    let fixture = Fixture::new();
    let failure = PutFailure::Unavailable("InternalFailure".to_owned());
    fixture.stream.reject(Times::Always, failure, |record| {
        String::from_utf8_lossy(&record.data).contains(r#""event_id":"e499""#)
    });
    let (response, problem) =
        fixture.refused(signed(events(500)), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(response.headers()["retry-after"], "30");
    let (accepted, unaccepted) = (ids(&problem, "accepted"), ids(&problem, "unaccepted"));
    assert_eq!(accepted.len(), fixture.stream.lines(STREAM).len());
    assert_eq!(accepted.len() + unaccepted.len(), 500);
    assert!(!accepted.is_empty() && unaccepted.contains(&"msg_1.499".to_owned()));
}

#[tokio::test]
async fn a_throttled_stream_is_answered_with_429() {
    let fixture = Fixture::new();
    let failure = PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned());
    fixture.stream.reject(Times::Always, failure, |_| true);
    let (response, problem) =
        fixture.refused(signed(event("e1")), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem["type"], "urn:problem-type:shoplake:throttled");
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(ids(&problem, "unaccepted"), ["msg_1.0"]);
}
