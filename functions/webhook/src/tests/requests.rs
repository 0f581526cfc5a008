//! Paths, methods, media types and sizes; and that every request has a well-formed response.

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, RequestExt};
use proptest::prelude::*;
use serde_json::json;
use shoplake_aws::stream::{PutFailure, Times};
use shoplake_ingest::MAX_EVENTS;
use shoplake_platform::metrics::{RECEIVED_BODY, RECEIVED_EVENTS, REJECTED_REQUESTS};

use super::{Fixture, check_problem, event, events, ids, parsed, signed, signed_as, with_header};
use crate::webhook::MAX_BODY_BYTES;

#[tokio::test]
async fn health_is_answered_with_the_version() {
    let request = lambda_http::http::Request::get("https://shoplake.test/v1/health")
        .body(Body::Empty)
        .unwrap()
        .with_raw_http_path("/v1/health");
    let response = Fixture::new().webhook.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(parsed(&response), json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn accepted_events_are_answered_with_202_and_receipts() {
    let response = Fixture::new().webhook.handle(signed(events(2))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let receipts = json!([{"index": 0, "id": "msg_1.0"}, {"index": 1, "id": "msg_1.1"}]);
    assert_eq!(parsed(&response), json!({"accepted": 2, "receipts": receipts}));
}

#[tokio::test]
async fn an_unknown_path_or_dataset_is_404_with_the_known_ones() {
    let fixture = Fixture::new();
    for path in [
        "/",
        "/v1/event",
        "/v1/events/",
        "/v1/events/visits/",
        "/v1/events/sales",
        "/v1/events/..%2f",
    ] {
        let request = signed(event("e1")).with_raw_http_path(path);
        let (_, problem) = fixture.refused(request, StatusCode::NOT_FOUND).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("(visits)") || detail.contains("/v1/events/{dataset}"), "{detail}");
        let found = path
            .strip_prefix("/v1/events/")
            .filter(|_| detail.contains("(visits)"))
            .unwrap_or(path);
        assert!(
            detail.contains(&format!("got {found:?}"))
                || detail.contains(&format!("path {found:?}"))
        );
    }
    assert!(fixture.metrics.lines().is_empty());
}

#[tokio::test]
async fn another_method_is_answered_with_405_and_the_allowed_one() {
    let fixture = Fixture::new();
    let mut request = signed(event("e1"));
    *request.method_mut() = Method::PUT;
    let (response, problem) = fixture.refused(request, StatusCode::METHOD_NOT_ALLOWED).await;
    assert_eq!(problem["detail"], r#"expected POST at this path, got "PUT""#);
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn a_body_that_is_not_plain_json_is_answered_with_415() {
    let fixture = Fixture::new();
    let request = with_header(signed(event("e1")), "content-type", "text/plain");
    let (_, problem) = fixture.refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(r#"got content-type: "text/plain" and no content-encoding"#),
        "{detail}"
    );
    let request = with_header(signed(event("e1")), "content-encoding", "gzip");
    fixture.refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let mut request = signed(event("e1"));
    request.headers_mut().remove("content-type");
    fixture.refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
}

#[tokio::test]
async fn too_large_a_body_is_answered_with_413() {
    let fixture = Fixture::new();
    let request = signed(vec![b' '; MAX_BODY_BYTES + 1]);
    fixture.refused(request, StatusCode::PAYLOAD_TOO_LARGE).await;
    let request = signed(events(MAX_EVENTS + 1));
    fixture.refused(request, StatusCode::PAYLOAD_TOO_LARGE).await;
}

#[tokio::test]
async fn a_body_that_is_not_a_list_of_events_is_answered_with_400() {
    let fixture = Fixture::new();
    for body in ["", "[]", "null", "{", "[{}", "{}{}", "hello"] {
        fixture.refused(signed(body), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn every_request_to_a_dataset_is_counted_once() {
    let fixture = Fixture::new();
    fixture.webhook.handle(signed(events(3))).await;
    fixture.refused(signed_as("acme", "msg_2", "{"), StatusCode::BAD_REQUEST).await;
    let unsigned = with_header(signed("[]"), "webhook-signature", "v1,AAAA");
    fixture.refused(unsigned, StatusCode::UNAUTHORIZED).await;
    assert_eq!(fixture.metrics.lines().len(), 3);
    assert_eq!(fixture.metrics.total(RECEIVED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(REJECTED_REQUESTS), 2.0);
    assert_eq!(fixture.metrics.total(RECEIVED_BODY), (events(3).len() + 3) as f64);
}

/// Bodies from nonsense to valid.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("{}".to_owned()),
        Just(event("e")),
        Just(event("e").replace('}', r#","quantity":2.5}"#)),
        "[ -~]{0,20}",
    ];
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..300),
        3 => prop::collection::vec(value, 0..12)
            .prop_map(|values| format!("[{}]", values.join(",")).into_bytes()),
        3 => (1..60_usize).prop_map(|count| events(count).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_body_has_a_well_formed_response(
        body in body(),
        is_signed in prop::bool::weighted(0.9),
        failures in prop_oneof![Just(0_usize), 0..12_usize],
    ) {
        let fixture = Fixture::new();
        let failure = PutFailure::Unavailable("InternalFailure".to_owned());
        fixture.stream.reject(Times::First(failures), failure, |_| true);
        let mut request = signed(&body);
        if !is_signed {
            request = with_header(request, "webhook-signature", "v1,AAAA");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let response = runtime.block_on(fixture.webhook.handle(request));
        let answer = parsed(&response);

        match response.status() {
            StatusCode::ACCEPTED => {
                prop_assert!(is_signed);
                let receipts = ids(&answer, "receipts").len() as u64;
                prop_assert_eq!(answer["accepted"].as_u64(), Some(receipts));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                check_problem(&response, &answer);
                ids(&answer, "accepted");
            }
            StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::UNAUTHORIZED => check_problem(&response, &answer),
            status => return Err(TestCaseError::fail(format!("{status}: {answer}"))),
        }
    }
}
