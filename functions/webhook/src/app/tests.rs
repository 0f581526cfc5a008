use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;
use shoplake_platform::{
    clock::ManualClock,
    metrics::MemorySink,
    secrets::MemorySecrets,
    stream::{MemoryStream, PutFailure, Record, Times},
};

use super::*;

const CURRENT: &[u8] = b"the current secret of acme";
const PREVIOUS: &[u8] = b"the previous secret of acme";
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
    let stream = Arc::new(MemoryStream::default());
    let metrics = Arc::new(MemorySink::default());
    Fixture {
        app: App {
            contracts: Contracts::from_sources([("visits", VISITS), ("sales", &batch)]).unwrap(),
            secrets: secrets.clone(),
            stream: stream.clone(),
            clock: clock.clone(),
            metrics: Metrics::new("webhook", metrics.clone()),
            stream_prefix: "test".to_owned(),
        },
        clock,
        secrets,
        stream,
        metrics,
    }
}

fn signature(key: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("msg_1.{}.", now().timestamp()).as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A request as an honest sender makes it.
fn signed(body: impl AsRef<[u8]>) -> Request {
    let body = body.as_ref();
    lambda_http::http::Request::post("https://shoplake.test/v1/events/visits")
        .header("content-type", "application/json; charset=utf-8")
        .header("x-shop-id", "acme")
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", now().timestamp())
        .header("webhook-signature", signature(CURRENT, body))
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

fn events(count: usize) -> String {
    let events: Vec<String> = (0..count).map(|number| event(&format!("e{number}"))).collect();
    format!("[{}]", events.join(","))
}

fn parsed(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body().as_ref()).unwrap()
}

/// Sends the request, and checks what every problem has in common.
async fn refused(fixture: &Fixture, request: Request, status: StatusCode) -> (Response<Body>, Value) {
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
    assert_eq!(parsed(&response), json!({"accepted": 1, "receipts": [{"index": 0, "id": "msg_1.0"}]}));
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

#[tokio::test]
async fn given_a_base64_encoded_proxy_event_when_received_then_the_decoded_bytes_were_signed() {
    let fixture = fixture();
    let body = event("e1");
    let proxy_event = json!({
        "resource": "/v1/events/{dataset}",
        "path": "/v1/events/visits",
        "httpMethod": "POST",
        "headers": {
            "Content-Type": "application/json",
            "X-Shop-Id": "acme",
            "Webhook-Id": "msg_1",
            "Webhook-Timestamp": now().timestamp().to_string(),
            "Webhook-Signature": signature(CURRENT, body.as_bytes()),
        },
        "multiValueHeaders": {},
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": {"dataset": "visits"},
        "stageVariables": null,
        "requestContext": {"stage": "v1", "httpMethod": "POST", "path": "/v1/v1/events/visits", "identity": {}},
        "body": STANDARD.encode(&body),
        "isBase64Encoded": true,
    });
    let request = lambda_http::request::from_str(&proxy_event.to_string()).unwrap();
    assert_eq!(fixture.app.handle(request).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn given_a_bad_signature_or_an_unknown_shop_when_posted_then_the_answers_are_the_same() {
    let fixture = fixture();
    let forged =
        with_header(signed(event("e1")), "webhook-signature", &signature(b"forged", event("e1").as_bytes()));
    let (response, mut forged) = refused(&fixture, forged, StatusCode::UNAUTHORIZED).await;
    assert_eq!(response.headers()["www-authenticate"], "StandardWebhooks");

    let unknown = with_header(signed(event("e1")), "x-shop-id", "nobody");
    let (unknown_response, mut unknown) = refused(&fixture, unknown, StatusCode::UNAUTHORIZED).await;
    assert_eq!(response.headers(), unknown_response.headers());
    forged["instance"] = Value::Null;
    unknown["instance"] = Value::Null;
    assert_eq!(forged, unknown);
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn given_the_key_of_nobody_when_used_for_an_unknown_shop_then_it_proves_nothing() {
    let fixture = fixture();
    let body = event("e1");
    let request = with_header(signed(&body), "x-shop-id", "nobody");
    let request = with_header(request, "webhook-signature", &signature(b"nobody", body.as_bytes()));
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
    for path in
        ["/", "/v1/event", "/v1/events/", "/v1/events/visits/", "/v1/events/sales", "/v1/events/..%2f"]
    {
        let request = signed(event("e1")).with_raw_http_path(path);
        let (_, problem) = refused(&fixture, request, StatusCode::NOT_FOUND).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("(visits)") || detail.contains("/v1/events/{dataset}"), "{detail}");
    }
    assert!(fixture.metrics.lines().is_empty());
}

#[tokio::test]
async fn given_another_method_when_used_then_405_says_which_is_allowed() {
    let fixture = fixture();
    let mut request = signed(event("e1"));
    *request.method_mut() = lambda_http::http::Method::PUT;
    let (response, _) = refused(&fixture, request, StatusCode::METHOD_NOT_ALLOWED).await;
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn given_something_else_than_plain_json_when_posted_then_415() {
    let fixture = fixture();
    let request = with_header(signed(event("e1")), "content-type", "text/plain");
    refused(&fixture, request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
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
    let body =
        format!(r#"[{},{{"event_id":7}},{}]"#, event("e1"), event("e2").replace('}', r#","quantity":10}"#));
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
    let (response, _) = refused(&fixture, signed(event("e1")), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(response.headers()["retry-after"], "30");
}

#[tokio::test]
async fn given_requests_when_answered_then_they_are_counted() {
    let fixture = fixture();
    fixture.app.handle(signed(events(3))).await;
    refused(&fixture, signed("{"), StatusCode::BAD_REQUEST).await;
    assert_eq!(fixture.metrics.total(RECEIVED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(ACCEPTED_EVENTS), 3.0);
    assert_eq!(fixture.metrics.total(REJECTED_REQUESTS), 1.0);
    assert_eq!(fixture.metrics.total(RECEIVED_BODY), (events(3).len() + 1) as f64);
    assert!(fixture.metrics.lines().iter().all(|line| line["dataset"] == "visits"));
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
