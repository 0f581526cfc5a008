use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;
use shoplake_aws::{
    secrets::{CachedSecrets, MemorySecrets},
    shops::{Backfill, MemoryShopList, Shop, Shops},
    stream::{MemoryStream, PutFailure, Record, Times},
};
use shoplake_platform::{clock::ManualClock, metrics::MemorySink};

use super::*;
use crate::partition_limit::DEFAULT_LIMIT;

const CURRENT: &[u8] = b"the current secret of acme";
const PREVIOUS: &[u8] = b"the previous secret of acme";
const OTHER: &[u8] = b"the secret of the shop other";
const STREAM: &str = "test-web";

const VISITS: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Visits", "description": "What visitors do.", "type": "object",
    "x-dataset": {
        "source": "web", "delivery": "stream", "key": ["shop_id", "event_id"], "version": null,
        "event_time": "occurred_at", "partition": "day(occurred_at)", "sort": ["shop_id", "occurred_at"], "personal": []
    },
    "required": ["event_id", "occurred_at"],
    "properties": {
        "shop_id": {"type": "string", "description": "The shop."},
        "event_id": {"type": "string", "maxLength": 64, "description": "The event."},
        "occurred_at": {"type": "string", "format": "date-time", "description": "When it happened."},
        "quantity": {"type": ["integer", "null"], "minimum": 1, "maximum": 9, "description": "How many."}
    }
}"#;

struct Fixture {
    app: App,
    clock: Arc<ManualClock>,
    secrets: Arc<MemorySecrets>,
    list: Arc<MemoryShopList>,
    stream: Arc<MemoryStream>,
    metrics: Arc<MemorySink>,
}

fn now() -> DateTime<Utc> {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn fixture() -> Fixture {
    let batch = VISITS.replace(r#""delivery": "stream""#, r#""delivery": "batch""#);
    let clock = Arc::new(ManualClock::new(now()));
    let secrets = Arc::new(MemorySecrets::default());
    let whsec = |key| format!("whsec_{}", STANDARD.encode(key));
    secrets.set("acme".parse().unwrap(), [whsec(CURRENT).as_str(), whsec(PREVIOUS).as_str()]);
    secrets.set("other".parse().unwrap(), [whsec(OTHER).as_str()]);
    let list = Arc::new(MemoryShopList::default());
    list.set_shops(["acme", "other"]);
    let shops = Arc::new(CachedShopList::new(list.clone(), clock.clone()));
    let stream = Arc::new(MemoryStream::default());
    let metrics = Arc::new(MemorySink::default());
    Fixture {
        app: App {
            contracts: Contracts::from_sources([("visits", VISITS), ("sales", &batch)]).unwrap(),
            secrets: secrets.clone(),
            shops,
            stream: stream.clone(),
            clock: clock.clone(),
            metrics: Metrics::new("webhook", metrics.clone()),
            stream_prefix: "test".to_owned(),
            accepted_ids: AcceptedIds::default(),
            partition_limit: PartitionLimit::new(DEFAULT_LIMIT),
        },
        clock,
        secrets,
        list,
        stream,
        metrics,
    }
}

fn signature(key: &[u8], body: &[u8]) -> String {
    signature_of(key, "msg_1", body)
}

fn signature_of(key: &[u8], id: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{}.", now().timestamp()).as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A request as an honest sender makes it.
fn signed(body: impl AsRef<[u8]>) -> Request {
    signed_as("acme", "msg_1", body)
}

fn signed_as(shop: &str, id: &str, body: impl AsRef<[u8]>) -> Request {
    let body = body.as_ref();
    let key = if shop == "acme" { CURRENT } else { OTHER };
    lambda_http::http::Request::post("https://shoplake.test/v1/events/visits")
        .header("content-type", "application/json; charset=utf-8")
        .header("x-shop-id", shop)
        .header("webhook-id", id)
        .header("webhook-timestamp", now().timestamp())
        .header("webhook-signature", signature_of(key, id, body))
        .body(Body::Binary(body.to_vec()))
        .unwrap()
        .with_raw_http_path("/v1/events/visits")
}

fn with_header(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn event(id: &str) -> String {
    format!(r#"{{"event_id":"{id}","occurred_at":"2026-11-21T09:59:58+00:00"}}"#)
}

/// One event on each of the days before `now`, from the first to the last number of days back.
fn events_of_days(days: std::ops::Range<i64>) -> String {
    let event = |days: i64| {
        let at = (now() - TimeDelta::days(days)).to_rfc3339();
        format!(r#"{{"event_id":"e{days}","occurred_at":"{at}"}}"#)
    };
    format!("[{}]", days.map(event).collect::<Vec<_>>().join(","))
}

fn events(count: usize) -> String {
    let events: Vec<String> = (0..count).map(|number| event(&format!("e{number}"))).collect();
    format!("[{}]", events.join(","))
}

fn parsed(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body().as_ref()).unwrap()
}

/// Sends the request, and checks what every problem has in common.
async fn refused(
    fixture: &Fixture,
    request: Request,
    status: StatusCode,
) -> (Response<Body>, Value) {
    let response = fixture.app.handle(request).await;
    let problem = parsed(&response);
    assert_eq!(response.status(), status, "{problem}");
    check_problem(&response, &problem);
    (response, problem)
}

fn check_problem(response: &Response<Body>, problem: &Value) {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(problem["status"], response.status().as_u16());
    assert!(problem["type"].as_str().unwrap().starts_with("urn:problem-type:shoplake:"));
    assert!(!problem["title"].as_str().unwrap().is_empty());
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    assert!(problem["instance"].as_str().unwrap().starts_with("urn:uuid:"));
}

#[tokio::test]
async fn given_a_running_function_when_asked_for_its_health_then_200_with_its_version() {
    let request = lambda_http::http::Request::get("https://shoplake.test/v1/health")
        .body(Body::Empty)
        .unwrap()
        .with_raw_http_path("/v1/health");
    let response = fixture().app.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(parsed(&response), json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn given_one_signed_event_when_posted_then_202_and_its_envelope_is_in_the_stream() {
    let fixture = fixture();
    let response = fixture.app.handle(signed(event("e1"))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(
        parsed(&response),
        json!({"accepted": 1, "receipts": [{"index": 0, "id": "msg_1.0"}]})
    );
    let lines = fixture.stream.lines(STREAM);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        serde_json::from_str::<Value>(&lines[0]).unwrap(),
        json!({
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
        })
    );
}

#[tokio::test]
async fn given_odd_but_valid_json_when_posted_then_the_events_bytes_are_kept() {
    let fixture = fixture();
    let odd = r#"{"x": 1.50e+0, "event_id":"\u0061", "occurred_at":"2026-11-21T09:59:58Z"}"#;
    let pretty = "{\r\n\t\"event_id\": \"b\",\n\t\"occurred_at\": \"2026-11-21T09:59:58Z\"\n}";
    let response = fixture.app.handle(signed(format!("[{odd} , {pretty}]"))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let lines = fixture.stream.lines(STREAM);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with(&format!(r#""data":{odd}}}"#)), "{}", lines[0]);
    assert!(serde_json::from_str::<Value>(&lines[1]).is_ok(), "{}", lines[1]);
}

#[tokio::test]
async fn given_many_events_when_posted_then_they_share_records_in_order() {
    let fixture = fixture();
    let response = fixture.app.handle(signed(events(events::MAX_EVENTS))).await;
    assert_eq!(parsed(&response)["accepted"], 500);
    assert!(fixture.stream.records(STREAM).len() < 10);
    for (index, line) in fixture.stream.lines(STREAM).iter().enumerate() {
        assert!(line.contains(&format!(r#""id":"msg_1.{index}""#)), "{line}");
        assert!(line.contains(&format!(r#""event_id":"e{index}""#)), "{line}");
    }
}

#[tokio::test]
async fn given_a_request_signed_with_the_previous_secret_when_posted_then_202() {
    let fixture = fixture();
    let body = event("e1");
    let previous = signature(PREVIOUS, body.as_bytes());
    let request = with_header(signed(&body), "webhook-signature", &previous);
    assert_eq!(fixture.app.handle(request).await.status(), StatusCode::ACCEPTED);

    let both = format!("{} {previous}", signature(b"retired", body.as_bytes()));
    let request = with_header(signed(&body), "webhook-signature", &both);
    assert_eq!(fixture.app.handle(request).await.status(), StatusCode::ACCEPTED);
}

/// The event in which API Gateway hands a request with these headers to the function.
fn proxy_event(headers: &[(&str, String)], body: &str, is_base64: bool) -> Value {
    let single: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let multiple: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
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
        "requestContext": {"stage": "v1", "httpMethod": "POST", "path": "/v1/v1/events/visits", "identity": {}},
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
    fixture.app.handle(lambda_http::request::from_str(&event.to_string()).unwrap()).await
}

#[tokio::test]
async fn header_names_in_any_case_give_the_same_answer() {
    let body = event("e1");
    let cases: [fn(&str) -> String; 3] =
        [str::to_owned, |name| name.to_ascii_lowercase(), |name| name.to_ascii_uppercase()];
    for case in cases {
        let fixture = fixture();
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
    let fixture = fixture();
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
    let fixture = fixture();
    let body = body_of_quotes(MAX_BODY_BYTES);
    let mut headers = title_case_headers(body.as_bytes());
    let used: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers.push(("Cookie", "\"".repeat(MAX_HEADER_BYTES - used - "Cookie".len())));
    let event = proxy_event(&headers, &body, false);
    // What API Gateway's context has beyond this event's is below 10 KB.
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

#[tokio::test]
async fn an_answer_lists_the_first_reasons_and_counts_all() {
    let fixture = fixture();
    let wrong =
        format!(r#"{{"event_id":"{}","occurred_at":"{0}","quantity":"{0}"}}"#, "\"'".repeat(40));
    let wrong = wrong.replace("\"'", "\\\"'");
    let body = format!("[{}]", vec![wrong; events::MAX_EVENTS].join(","));
    let (response, problem) =
        refused(&fixture, signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert_eq!(problem["error_count"], 3 * events::MAX_EVENTS);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("got 500 that do not"), "{detail}");
    assert!(detail.contains("the first 100 of 1500 reasons"), "{detail}");
    let answer: &[u8] = response.body().as_ref();
    assert!(answer.len() < 100_000, "{} bytes", answer.len());
}

#[tokio::test]
async fn given_a_bad_signature_or_an_unknown_shop_when_posted_then_the_answers_are_the_same() {
    let fixture = fixture();
    let forged = with_header(
        signed(event("e1")),
        "webhook-signature",
        &signature(b"forged", event("e1").as_bytes()),
    );
    let (response, mut forged) = refused(&fixture, forged, StatusCode::UNAUTHORIZED).await;
    assert_eq!(response.headers()["www-authenticate"], "StandardWebhooks");

    let unknown = with_header(signed(event("e1")), "x-shop-id", "nobody");
    let (unknown_response, mut unknown) =
        refused(&fixture, unknown, StatusCode::UNAUTHORIZED).await;
    assert_eq!(response.headers(), unknown_response.headers());
    forged["instance"] = Value::Null;
    unknown["instance"] = Value::Null;
    assert_eq!(forged, unknown);
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn a_signature_with_the_dummy_key_authenticates_no_shop() {
    let fixture = fixture();
    let body = event("e1");
    let request = with_header(signed(&body), "x-shop-id", "nobody");
    let request = with_header(request, "webhook-signature", &signature(b"dummy", body.as_bytes()));
    refused(&fixture, request, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn given_an_old_request_when_replayed_then_401() {
    let fixture = fixture();
    fixture.clock.advance(TimeDelta::seconds(301));
    let (_, problem) = refused(&fixture, signed(event("e1")), StatusCode::UNAUTHORIZED).await;
    assert!(problem["detail"].as_str().unwrap().contains("within 300 seconds"));
}

#[tokio::test]
async fn given_a_body_changed_on_the_way_when_posted_then_401() {
    let fixture = fixture();
    let mut request = signed(event("e1"));
    *request.body_mut() = Body::Text(event("e2"));
    refused(&fixture, request, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn given_an_unknown_path_or_dataset_when_posted_then_404_names_what_there_is() {
    let fixture = fixture();
    for path in [
        "/",
        "/v1/event",
        "/v1/events/",
        "/v1/events/visits/",
        "/v1/events/sales",
        "/v1/events/..%2f",
    ] {
        let request = signed(event("e1")).with_raw_http_path(path);
        let (_, problem) = refused(&fixture, request, StatusCode::NOT_FOUND).await;
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
async fn given_another_method_when_used_then_405_says_which_is_allowed() {
    let fixture = fixture();
    let mut request = signed(event("e1"));
    *request.method_mut() = lambda_http::http::Method::PUT;
    let (response, problem) = refused(&fixture, request, StatusCode::METHOD_NOT_ALLOWED).await;
    assert_eq!(problem["detail"], r#"expected POST at this path, got "PUT""#);
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn given_something_else_than_plain_json_when_posted_then_415() {
    let fixture = fixture();
    let request = with_header(signed(event("e1")), "content-type", "text/plain");
    let (_, problem) = refused(&fixture, request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(r#"got content-type: "text/plain" and no content-encoding"#),
        "{detail}"
    );
    let request = with_header(signed(event("e1")), "content-encoding", "gzip");
    refused(&fixture, request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let mut request = signed(event("e1"));
    request.headers_mut().remove("content-type");
    refused(&fixture, request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
}

#[tokio::test]
async fn given_too_much_at_once_when_posted_then_413() {
    let fixture = fixture();
    let request = signed(vec![b' '; MAX_BODY_BYTES + 1]);
    refused(&fixture, request, StatusCode::PAYLOAD_TOO_LARGE).await;
    let request = signed(events(events::MAX_EVENTS + 1));
    refused(&fixture, request, StatusCode::PAYLOAD_TOO_LARGE).await;

    let padding = "x".repeat(MAX_RECORD_BYTES);
    let large = event("large").replace('}', &format!(r#","note":"{padding}"}}"#));
    let request = signed(format!("[{},{large}]", event("e1")));
    let (_, problem) = refused(&fixture, request, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(problem["errors"][0]["index"], 1);
    assert_eq!(problem["errors"][0]["code"], "too_large");
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn given_a_body_that_is_no_json_when_posted_then_400() {
    let fixture = fixture();
    for body in ["", "[]", "null", "{", "[{}", "{}{}", "hello"] {
        refused(&fixture, signed(body), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn given_some_invalid_events_when_posted_then_422_lists_each_and_nothing_is_taken() {
    let fixture = fixture();
    let body = format!(
        r#"[{},{{"event_id":7}},{}]"#,
        event("e1"),
        event("e2").replace('}', r#","quantity":10}"#)
    );
    let (_, problem) = refused(&fixture, signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    let errors: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["index"].as_u64().unwrap(), error["field"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [(1, "event_id"), (1, "occurred_at"), (2, "quantity")]);
    for member in ["expected", "actual", "code"] {
        assert!(problem["errors"][2][member].is_string(), "{member}");
    }
    assert!(fixture.stream.lines(STREAM).is_empty());
    assert_eq!(fixture.metrics.total(RECEIVED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(REJECTED_EVENTS), 3.0);
}

#[tokio::test]
async fn given_an_event_of_another_shop_when_posted_then_422_says_so() {
    let fixture = fixture();
    let body = event("e1").replace('}', r#","shop_id":"other"}"#);
    let (_, problem) = refused(&fixture, signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem["errors"][0]["field"], "shop_id");
    assert_eq!(problem["errors"][0]["code"], "shop_mismatch");
    assert!(fixture.stream.lines(STREAM).is_empty());

    let body = event("e1").replace('}', r#","shop_id":"acme"}"#);
    assert_eq!(fixture.app.handle(signed(body)).await.status(), StatusCode::ACCEPTED);
}

fn second(record: &Record) -> bool {
    String::from_utf8_lossy(&record.data).contains(r#""event_id":"e499""#)
}

fn ids(problem: &Value, member: &str) -> Vec<String> {
    problem[member]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| {
            let id = receipt["id"].as_str().unwrap();
            assert_eq!(id, format!("msg_1.{}", receipt["index"]));
            id.to_owned()
        })
        .collect()
}

#[tokio::test]
async fn given_a_stream_that_takes_only_some_when_posted_then_503_says_exactly_which() {
    let fixture = fixture();
    let failure = PutFailure::Unavailable("InternalFailure".to_owned());
    fixture.stream.reject(Times::Always, failure, second);
    let request = signed(events(500));
    let (response, problem) = refused(&fixture, request, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(response.headers()["retry-after"], "30");

    let in_stream: Vec<String> = fixture
        .stream
        .lines(STREAM)
        .iter()
        .map(|line| {
            let envelope: Value = serde_json::from_str(line).unwrap();
            envelope["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let (accepted, unaccepted) = (ids(&problem, "accepted"), ids(&problem, "unaccepted"));
    assert_eq!(accepted, in_stream);
    assert_eq!(accepted.len() + unaccepted.len(), 500);
    assert!(!accepted.is_empty() && unaccepted.contains(&"msg_1.499".to_owned()));
    assert_eq!(fixture.metrics.total(ACCEPTED_EVENTS), accepted.len() as f64);
    assert_eq!(fixture.metrics.total(UNACCEPTED_EVENTS), unaccepted.len() as f64);
    assert_eq!(fixture.metrics.total(REJECTED_EVENTS), 0.0);
}

#[tokio::test]
async fn given_a_stream_that_throttles_when_posted_then_429_and_sending_again_gives_the_same_ids() {
    let fixture = fixture();
    let failure = PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned());
    // One put is one attempt and four retries.
    fixture.stream.reject(Times::First(5), failure, |_| true);
    let request = || signed(event("e1"));
    let (response, problem) = refused(&fixture, request(), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(ids(&problem, "unaccepted"), ["msg_1.0"]);

    let response = fixture.app.handle(request()).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(parsed(&response)["receipts"][0]["id"], "msg_1.0");
}

#[tokio::test]
async fn given_a_stream_that_fails_once_when_posted_then_the_caller_does_not_notice() {
    let fixture = fixture();
    let failure = PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned());
    fixture.stream.reject(Times::First(1), failure, second);
    let response = fixture.app.handle(signed(events(500))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(fixture.stream.lines(STREAM).len(), 500);
}

#[tokio::test]
async fn given_secrets_that_cannot_be_read_when_posted_then_503_and_not_401() {
    let fixture = fixture();
    fixture.secrets.set("acme".parse().unwrap(), ["whsec_%%%"]);
    refused(&fixture, signed(event("e1")), StatusCode::SERVICE_UNAVAILABLE).await;
    fixture.secrets.set_available(false);
    let (response, _) =
        refused(&fixture, signed(event("e1")), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(response.headers()["retry-after"], "30");
}

#[tokio::test]
async fn given_requests_when_answered_then_they_are_counted() {
    let fixture = fixture();
    fixture.app.handle(signed(events(3))).await;
    refused(&fixture, signed_as("acme", "msg_2", "{"), StatusCode::BAD_REQUEST).await;
    assert_eq!(fixture.metrics.total(RECEIVED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(ACCEPTED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(REJECTED_REQUESTS), 1.0);
    assert_eq!(fixture.metrics.total(RECEIVED_BODY), (events(3).len() + 1) as f64);
    assert!(fixture.metrics.lines().iter().all(|line| line["dataset"] == "visits"));
}

/// Secrets as they are deployed: remembered, behind the list of shops.
fn with_cached_secrets(fixture: &mut Fixture) {
    let shops = fixture.app.shops.clone();
    let cached = CachedSecrets::with_clock(fixture.secrets.clone(), shops, fixture.clock.clone());
    fixture.app.secrets = Arc::new(cached);
}

#[tokio::test]
async fn a_flood_of_invented_shops_costs_no_look_up_and_harms_no_shop() {
    let mut fixture = fixture();
    with_cached_secrets(&mut fixture);
    let body = event("e1");
    let mut answers = Vec::new();
    for number in 0..10_000 {
        let request = signed_as(&format!("invented-{number}"), "msg_1", &body);
        let response = fixture.app.handle(request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        if number % 1_000 == 0 {
            answers.push(parsed(&response)["detail"].clone());
        }
    }
    assert!(fixture.secrets.requests() <= 5, "{} look-ups", fixture.secrets.requests());
    for shop in ["acme", "other"] {
        let response = fixture.app.handle(signed_as(shop, "msg_1", &body)).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }
    // A wrong signature of a shop that exists is answered alike.
    let forged =
        with_header(signed(&body), "webhook-signature", &signature(b"forged", body.as_bytes()));
    let (_, forged) = refused(&fixture, forged, StatusCode::UNAUTHORIZED).await;
    assert!(answers.iter().all(|answer| *answer == forged["detail"]), "{answers:?}");
}

#[tokio::test]
async fn a_webhook_id_with_other_events_is_refused_once_accepted() {
    let fixture = fixture();
    let first = || signed(event("e1"));
    assert_eq!(fixture.app.handle(first()).await.status(), StatusCode::ACCEPTED);
    assert_eq!(fixture.app.handle(first()).await.status(), StatusCode::ACCEPTED);

    let (_, problem) = refused(&fixture, signed(event("e2")), StatusCode::CONFLICT).await;
    assert_eq!(problem["type"], "urn:problem-type:shoplake:webhook-id-reused");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(r#"the webhook-id "msg_1""#), "{detail}");
    assert!(
        detail.contains("new webhook-id") && detail.contains("2026-11-21T10:00:00Z"),
        "{detail}"
    );
    assert_eq!(fixture.stream.lines(STREAM).len(), 2);

    for (shop, id) in [("acme", "msg_2"), ("other", "msg_1")] {
        let response = fixture.app.handle(signed_as(shop, id, event("e2"))).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn a_refused_request_may_be_repaired_under_its_id() {
    let fixture = fixture();
    refused(&fixture, signed(r#"{"event_id":7}"#), StatusCode::UNPROCESSABLE_ENTITY).await;
    let failure = PutFailure::Unavailable("InternalFailure".to_owned());
    fixture.stream.reject(Times::First(5), failure, |_| true);
    refused(&fixture, signed(event("e1")), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(fixture.app.handle(signed(event("e2"))).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_id_whose_events_were_accepted_in_part_is_not_free() {
    let fixture = fixture();
    let failure = PutFailure::Unavailable("InternalFailure".to_owned());
    fixture.stream.reject(Times::First(5), failure, second);
    refused(&fixture, signed(events(500)), StatusCode::SERVICE_UNAVAILABLE).await;
    refused(&fixture, signed(events(499)), StatusCode::CONFLICT).await;
    assert_eq!(fixture.app.handle(signed(events(500))).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_unauthenticated_request_does_not_learn_which_ids_are_used() {
    let fixture = fixture();
    assert_eq!(fixture.app.handle(signed(event("e1"))).await.status(), StatusCode::ACCEPTED);
    let forged = signature(b"forged", event("e2").as_bytes());
    let request = with_header(signed(event("e2")), "webhook-signature", &forged);
    refused(&fixture, request, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn a_body_with_a_byte_order_mark_is_accepted() {
    let fixture = fixture();
    let body = format!("\u{feff}{}", event("e1"));
    assert_eq!(fixture.app.handle(signed(body)).await.status(), StatusCode::ACCEPTED);
    let line = &fixture.stream.lines(STREAM)[0];
    assert!(line.ends_with(&format!(r#""data":{}}}"#, event("e1"))), "{line}");
}

#[tokio::test]
async fn a_nul_character_is_refused_and_its_field_named() {
    let fixture = fixture();
    let body = format!("[{},{}]", event("e1"), event(r"a\u0000b"));
    let (_, problem) = refused(&fixture, signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    let error = &problem["errors"][0];
    assert_eq!((&error["index"], &error["field"]), (&json!(1), &json!("event_id")));
    assert_eq!(error["code"], "unsupported_character");
    assert!(error["actual"].as_str().unwrap().contains("U+0000"), "{error}");
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn an_unreadable_number_is_named_in_a_field_that_no_contract_knows() {
    let fixture = fixture();
    let body = event("e1").replace('}', r#","extra":{"deep":[1,1e400]}}"#);
    let (_, problem) = refused(&fixture, signed(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    let error = problem["errors"][0].to_string();
    assert!(error.contains("extra.deep[1]") && error.contains("out of range"), "{error}");
}

#[tokio::test]
async fn a_time_outside_of_the_window_is_refused_with_its_reason() {
    let fixture = fixture();
    for (days, code) in [(401, "too_old"), (-2, "in_the_future")] {
        let request = signed(events_of_days(days..days + 1));
        let (_, problem) = refused(&fixture, request, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(problem["errors"][0]["field"], "occurred_at");
        assert_eq!(problem["errors"][0]["code"], code);
    }
    assert!(fixture.stream.lines(STREAM).is_empty());
    let response = fixture.app.handle(signed(events_of_days(399..400))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
}

fn open_backfill(fixture: &Fixture) {
    let until = now() + TimeDelta::hours(1);
    let backfill = Some(Backfill { name: "history-2024".parse().unwrap(), until });
    let shops = [("acme", backfill), ("other", None)];
    let shops = shops.map(|(shop, backfill)| (shop.parse().unwrap(), Shop { backfill }));
    fixture.list.set(Ok(Some(Shops { shops: shops.into() })));
}

#[tokio::test]
async fn a_shop_with_an_open_backfill_may_send_old_data_of_many_days() {
    let fixture = fixture();
    open_backfill(&fixture);
    let response = fixture.app.handle(signed(events_of_days(300..800))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED, "{}", parsed(&response));
    for line in fixture.stream.lines(STREAM) {
        let envelope: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(envelope["backfill"], "history-2024");
    }

    let future = signed_as("acme", "msg_2", events_of_days(-2..-1));
    refused(&fixture, future, StatusCode::UNPROCESSABLE_ENTITY).await;
    let other = signed_as("other", "msg_1", events_of_days(500..501));
    refused(&fixture, other, StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test]
async fn a_backfill_ends_at_its_time() {
    let fixture = fixture();
    open_backfill(&fixture);
    fixture.clock.advance(TimeDelta::hours(1));
    let at = now() + TimeDelta::hours(1);
    let body = events_of_days(500..501);
    let mut mac = Hmac::<Sha256>::new_from_slice(CURRENT).unwrap();
    mac.update(format!("msg_1.{}.{body}", at.timestamp()).as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let request = with_header(signed(&body), "webhook-timestamp", &at.timestamp().to_string());
    let request = with_header(request, "webhook-signature", &signature);
    refused(&fixture, request, StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test]
async fn events_of_many_old_days_at_once_are_refused_for_their_shop_only() {
    let fixture = fixture();
    fixture.clock.advance(TimeDelta::seconds(90));
    let request = signed(events_of_days(10..110));
    let (response, problem) = refused(&fixture, request, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem["type"], "urn:problem-type:shoplake:too-many-partitions");
    assert_eq!(response.headers()["retry-after"], "3511");
    let detail = problem["detail"].as_str().unwrap();
    for part in
        ["at most 48 partitions", "the shop acme", "this request has 100", "open a backfill"]
    {
        assert!(detail.contains(part), "{detail}");
    }
    assert!(fixture.stream.lines(STREAM).is_empty());
    assert_eq!(fixture.metrics.total(REJECTED_EVENTS), 100.0);

    let allowed = [("acme", events_of_days(0..51)), ("other", events_of_days(10..58))];
    for (shop, body) in &allowed {
        let response = fixture.app.handle(signed_as(shop, "msg_2", body)).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{}", parsed(&response));
    }
    let request = signed_as("acme", "msg_3", events_of_days(51..52));
    refused(&fixture, request, StatusCode::TOO_MANY_REQUESTS).await;
    let response = fixture.app.handle(signed_as("acme", "msg_4", events_of_days(0..3))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
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
        r#"\{"event_id":"[a-z\\u0-9]{0,70}","occurred_at":"20[0-9]{2}-[01][0-9]-[0-3][0-9]T10:00:00Z"\}"#,
    ];
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..300),
        3 => prop::collection::vec(value, 0..12).prop_map(|values| format!("[{}]", values.join(",")).into_bytes()),
        3 => prop::collection::vec(Just(event("e")), 1..60)
            .prop_map(|values| format!(" [ {}\n]", values.join(" ,\n")).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn given_any_body_when_posted_then_a_well_formed_answer_and_accepted_envelopes_equal_receipts(
        body in body(),
        proven in prop::bool::weighted(0.9),
        failures in prop_oneof![Just(0_usize), 0..12_usize],
    ) {
        let fixture = fixture();
        let failure = PutFailure::Unavailable("InternalFailure".to_owned());
        fixture.stream.reject(Times::First(failures), failure, |_| true);
        let mut request = signed(&body);
        if !proven {
            request = with_header(request, "webhook-signature", "v1,AAAA");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let response = runtime.block_on(fixture.app.handle(request));
        let answer = parsed(&response);

        let receipts = match response.status() {
            StatusCode::ACCEPTED => {
                prop_assert!(proven);
                ids(&answer, "receipts")
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                check_problem(&response, &answer);
                ids(&answer, "accepted")
            }
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::UNAUTHORIZED => {
                check_problem(&response, &answer);
                Vec::new()
            }
            status => return Err(TestCaseError::fail(format!("unexpected status {status}: {answer}"))),
        };
        let mut envelopes = Vec::new();
        for line in fixture.stream.lines(STREAM) {
            let envelope: Value = serde_json::from_str(&line).unwrap();
            envelopes.push(envelope["id"].as_str().unwrap().to_owned());
        }
        prop_assert_eq!(envelopes, receipts);
    }
}
