//! The webhook against ports in memory.

mod api_gateway;
mod authentication;
mod problems;
mod requests;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use serde_json::Value;
use sha2::Sha256;
use shoplake_aws::secrets::{CachedSecrets, MemorySecrets};
use shoplake_aws::shops::{CachedShopList, MemoryShopList};
use shoplake_aws::stream::MemoryStream;
use shoplake_ingest::Ingest;
use shoplake_platform::clock::ManualClock;
use shoplake_platform::metrics::{MemorySink, Metrics};
use shoplake_testing::visits::{self, event, events, events_of_days, now};

use crate::Webhook;

const CURRENT: &[u8] = b"the current secret of acme";
const PREVIOUS: &[u8] = b"the previous secret of acme";
const OTHER: &[u8] = b"the secret of the shop other";
const STREAM: &str = "test-web";

struct Fixture {
    webhook: Webhook,
    clock: Arc<ManualClock>,
    secrets: Arc<MemorySecrets>,
    shops: Arc<CachedShopList>,
    stream: Arc<MemoryStream>,
    metrics: Arc<MemorySink>,
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(now()));
        let secrets = Arc::new(MemorySecrets::default());
        let whsec = |key| format!("whsec_{}", STANDARD.encode(key));
        secrets.set("acme".parse().unwrap(), [whsec(CURRENT).as_str(), whsec(PREVIOUS).as_str()]);
        secrets.set("other".parse().unwrap(), [whsec(OTHER).as_str()]);
        let list = Arc::new(MemoryShopList::default());
        list.set_shops(["acme", "other"]);
        let shops = Arc::new(CachedShopList::new(list, clock.clone()));
        let stream = Arc::new(MemoryStream::default());
        let metrics = Arc::new(MemorySink::default());
        let sink = Metrics::new("webhook", metrics.clone());
        let contracts = visits::contracts_with_batch();
        let ingest = Ingest::new(contracts, shops.clone(), stream.clone(), sink, "test");
        let webhook = Webhook { ingest, secrets: secrets.clone(), clock: clock.clone() };
        Self { webhook, clock, secrets, shops, stream, metrics }
    }

    /// Reads secrets as the deployed function does: cached, behind the list of shops.
    fn with_cached_secrets(mut self) -> Self {
        let (secrets, shops) = (self.secrets.clone(), self.shops.clone());
        let cached = CachedSecrets::with_clock(secrets, shops, self.clock.clone());
        self.webhook.secrets = Arc::new(cached);
        self
    }

    /// Sends the request and returns the status of the response.
    async fn status(&self, request: Request) -> StatusCode {
        self.webhook.handle(request).await.status()
    }

    /// Sends the request, checks what all problem documents have in common, and returns response
    /// and document.
    async fn refused(&self, request: Request, status: StatusCode) -> (Response<Body>, Value) {
        let response = self.webhook.handle(request).await;
        let problem = parsed(&response);
        assert_eq!(response.status(), status, "{problem}");
        check_problem(&response, &problem);
        (response, problem)
    }
}

fn signature(key: &[u8], body: &[u8]) -> String {
    signature_for(key, "msg_1", body)
}

fn signature_for(key: &[u8], id: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{}.", now().timestamp()).as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A valid request of the shop acme.
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
        .header("webhook-signature", signature_for(key, id, body))
        .body(Body::Binary(body.to_vec()))
        .unwrap()
        .with_raw_http_path("/v1/events/visits")
}

fn with_header(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn parsed(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body().as_ref()).unwrap()
}

fn check_problem(response: &Response<Body>, problem: &Value) {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(problem["status"], response.status().as_u16());
    assert!(problem["type"].as_str().unwrap().starts_with("urn:problem-type:shoplake:"));
    assert!(!problem["title"].as_str().unwrap().is_empty());
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    assert!(problem["instance"].as_str().unwrap().starts_with("urn:uuid:"));
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
