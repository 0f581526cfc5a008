//! The senders against an API that checks what a webhook must check.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::NaiveDate;
use serde_json::{json, value::RawValue};
use shoplake_contracts::{Contracts, RowMetadata};
use shoplake_sample_source::{
    Recorder,
    crm::Interactions,
    post::{EventSource, Plan, Secret, Sender, Summary, Target},
    web::Traffic,
    world::World,
};
use shoplake_testing::{contracts, standard_webhooks::SECRET};
use tokio::net::TcpListener;

struct Api {
    contracts: Contracts,
    requests: u64,
    /// Per event, how often it was accepted.
    accepted: BTreeMap<String, u64>,
    /// The request of each accepted copy.
    carried_by: HashSet<(String, String)>,
}

impl Api {
    fn new() -> Self {
        let contracts = contracts();
        Self { contracts, requests: 0, accepted: BTreeMap::new(), carried_by: HashSet::new() }
    }
}

async fn take(
    State(api): State<Arc<Mutex<Api>>>,
    Path(dataset): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut api = api.lock().unwrap();
    api.requests += 1;
    if api.requests.is_multiple_of(10) {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let header = |name: &str| headers[name].to_str().unwrap();
    let secret: Secret = SECRET.parse().unwrap();
    let expected = secret
        .sign(header("webhook-id"), header("webhook-timestamp").parse().unwrap(), &body)
        .unwrap();
    assert_eq!(header("webhook-signature"), expected);
    assert_eq!(header("x-shop-id"), "acme");
    let events: Vec<&RawValue> = serde_json::from_slice(&body).unwrap();
    let (shop, contract) = ("acme".parse().unwrap(), api.contracts.get(&dataset).unwrap());
    let metadata = RowMetadata::new(&shop, "2026-11-21T12:00:00Z".parse().unwrap());
    if !events.iter().all(|event| contract.validate(metadata, event.get().as_bytes()).is_ok()) {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    for event in &events {
        let event = event.get().to_owned();
        assert!(api.carried_by.insert((header("webhook-id").to_owned(), event.clone())));
        *api.accepted.entry(event).or_default() += 1;
    }
    (StatusCode::ACCEPTED, Json(json!({"accepted": events.len(), "receipts": []}))).into_response()
}

const EVENTS: u64 = 5_000;

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

fn web() -> Plan<Traffic> {
    Plan { source: Traffic { world: World::new(11), day: day(), events: EVENTS }, batch: 50 }
}

fn crm() -> Plan<Interactions> {
    Plan { source: Interactions { world: World::new(11), day: day(), events: EVENTS }, batch: 50 }
}

fn lines(path: &std::path::Path) -> Vec<String> {
    let mut lines: Vec<_> =
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    std::fs::remove_file(path).unwrap();
    lines
}

async fn check<S: EventSource>(plan: Plan<S>) {
    let api = Arc::new(Mutex::new(Api::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}/local/", listener.local_addr().unwrap());
    let router =
        Router::new().route("/local/v1/events/{dataset}", post(take)).with_state(Arc::clone(&api));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = Target { api_url, shop: "acme".to_owned(), secret: SECRET.parse().unwrap() };
    let file = |name: &str| {
        std::env::temp_dir().join(format!(
            "sample-source-{}-{}-{name}",
            std::process::id(),
            S::DATASET
        ))
    };
    let (sent_file, dry_run_file) = (file("sent.ndjson"), file("dry_run.ndjson"));

    let mut recorder = Recorder::create(&sent_file).unwrap();
    let sent = Sender::new(target, 4).unwrap().send(&plan, &mut recorder).await.unwrap();
    recorder.finish().unwrap();
    let mut recorder = Recorder::create(&dry_run_file).unwrap();
    let planned = plan.dry_run(&mut recorder).unwrap();
    recorder.finish().unwrap();

    let fresh = plan.source.events().count() as u64;
    assert!(sent.retries > 0);
    assert_eq!(Summary { retries: 0, ..sent.clone() }, planned);
    assert_eq!(sent.sent, sent.accepted + sent.rejected);
    assert_eq!(sent.sent, fresh + sent.duplicates_sent + sent.invalid_sent);
    assert!(
        sent.duplicates_sent > 0
            && sent.invalid_sent > 0
            && sent.late_sent > 0
            && sent.unexpected_responses == 0
    );
    let api = api.lock().unwrap();
    assert_eq!(api.accepted.len() as u64, fresh);
    assert_eq!(api.accepted.values().sum::<u64>(), sent.accepted);
    assert_eq!(lines(&sent_file), lines(&dry_run_file));
}

#[tokio::test]
async fn web_events_arrive_as_the_dry_run_recorded_them() {
    check(web()).await;
    assert_eq!(web().source.events().count() as u64, EVENTS);
}

#[tokio::test]
async fn interactions_arrive_as_the_dry_run_recorded_them() {
    check(crm()).await;
}

#[tokio::test]
async fn refused_valid_events_are_unexpected_responses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(|| async { StatusCode::UNAUTHORIZED });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = Target { api_url, shop: "acme".to_owned(), secret: SECRET.parse().unwrap() };

    let summary =
        Sender::new(target, 4).unwrap().send(&web(), &mut Recorder::default()).await.unwrap();

    assert_eq!(summary.accepted, 0);
    assert_eq!(summary.unexpected_responses, summary.requests);
}
