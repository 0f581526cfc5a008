//! Requests in the form in which API Gateway gives them to the function.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};
use serde_json::{Value, json};

use super::{CURRENT, Fixture, STREAM, check_problem, event, now, parsed, signature};
use crate::webhook::MAX_BODY_BYTES;

/// Returns the event for a request with these headers.
fn proxy_event(headers: &[(&str, String)], body: &str, is_base64: bool) -> Value {
    let single: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let multiple: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let path = "/v1/v1/events/visits";
    json!({
        "resource": "/v1/events/{dataset}",
        "path": "/v1/events/visits",
        "httpMethod": "POST",
        "headers": single,
        "multiValueHeaders": multiple,
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": {"dataset": "visits"},
        "stageVariables": null,
        "requestContext": {"stage": "v1", "httpMethod": "POST", "path": path, "identity": {}},
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

/// The headers of a signed request, title-cased as clients of HTTP/1.1 send them.
fn title_case_headers(body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-Shop-Id", "acme".to_owned()),
        ("Webhook-Id", "msg_1".to_owned()),
        ("Webhook-Timestamp", now().timestamp().to_string()),
        ("Webhook-Signature", signature(CURRENT, body)),
    ]
}

async fn handle_event(fixture: &Fixture, event: &Value) -> Response<Body> {
    fixture.webhook.handle(lambda_http::request::from_str(&event.to_string()).unwrap()).await
}

#[tokio::test]
async fn header_names_in_any_case_give_the_same_answer() {
    let body = event("e1");
    let cases: [fn(&str) -> String; 3] =
        [str::to_owned, |name| name.to_ascii_lowercase(), |name| name.to_ascii_uppercase()];
    for case in cases {
        let fixture = Fixture::new();
        let headers: Vec<_> = title_case_headers(body.as_bytes())
            .into_iter()
            .map(|(name, value)| (case(name), value))
            .collect();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        for (body, is_base64) in [(body.clone(), false), (STANDARD.encode(&body), true)] {
            let response = handle_event(&fixture, &proxy_event(&headers, &body, is_base64)).await;
            assert_eq!(response.status(), StatusCode::ACCEPTED, "{headers:?}");
        }
        assert_eq!(fixture.stream.lines(STREAM).len(), 2);
    }
}

#[tokio::test]
async fn a_missing_header_is_answered_with_401_that_names_it() {
    let fixture = Fixture::new();
    let body = event("e1");
    for missing in ["X-Shop-Id", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"] {
        let mut headers = title_case_headers(body.as_bytes());
        headers.retain(|(name, _)| *name != missing);
        let response = handle_event(&fixture, &proxy_event(&headers, &body, false)).await;
        let problem = parsed(&response);
        check_problem(&response, &problem);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let detail = problem["detail"].as_str().unwrap();
        let expected = format!("the header {} is missing", missing.to_ascii_lowercase());
        assert!(detail.starts_with(&expected), "{detail}");
    }
}

/// Lambda's limit of an event that it is invoked with.
const MAX_INVOCATION_BYTES: usize = 6_291_556;

/// API Gateway's limit of all headers of a request.
const MAX_HEADER_BYTES: usize = 10_240;

/// Events that together are a body of exactly `bytes`, full of what JSON escapes.
fn body_of_quotes(bytes: usize) -> String {
    let count = 3;
    let note = |length: usize| r#"\""#.repeat(length / 2) + &"x".repeat(length % 2);
    let with_note = |number: usize, length: usize| {
        event(&format!("e{number}")).replace('}', &format!(r#","note":"{}"}}"#, note(length)))
    };
    let overhead = count + 1 + count * with_note(0, 0).len();
    let total = bytes - overhead;
    let first = total / count;
    let lengths = [first, first, total - 2 * first];
    let events: Vec<_> =
        lengths.into_iter().enumerate().map(|(number, length)| with_note(number, length)).collect();
    let body = format!("[{}]", events.join(","));
    assert_eq!(body.len(), bytes);
    body
}

#[tokio::test]
async fn the_largest_body_full_of_quotes_fits_into_an_invocation() {
    let fixture = Fixture::new();
    let body = body_of_quotes(MAX_BODY_BYTES);
    let mut headers = title_case_headers(body.as_bytes());
    let used: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers.push(("Cookie", "\"".repeat(MAX_HEADER_BYTES - used - "Cookie".len())));
    let event = proxy_event(&headers, &body, false);
    // The context of a real request is larger, by less than 10 KB.
    let bytes = event.to_string().len() + 10_000;
    assert!(bytes <= MAX_INVOCATION_BYTES, "{bytes}");
    assert!(bytes > 2 * MAX_BODY_BYTES, "{bytes}: the body does not double");
    let response = handle_event(&fixture, &event).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED, "{:?}", parsed(&response));

    let larger = body_of_quotes(MAX_BODY_BYTES + 1);
    let event = proxy_event(&title_case_headers(larger.as_bytes()), &larger, false);
    let response = handle_event(&fixture, &event).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
