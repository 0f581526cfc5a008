//! The fates of hostile items, against the contracts that decide on them.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, NaiveDate, Utc};
use reqwest::{Client, StatusCode as Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use shoplake_contracts::{Contract, RowMetadata};
use shoplake_sample_source::{
    hostile::{Answer, Api, Delivery, Fate, Row, requests, sales, send, serve, stock},
    post::{Secret, Target},
};
use shoplake_testing::{contracts, standard_webhooks::SECRET};
use tokio::net::TcpListener;

/// Rows larger than this are quarantined without their contract: no record can hold them.
const OVERSIZED_BYTES: usize = 1_000_000;

fn now() -> DateTime<Utc> {
    "2026-11-29T10:30:00Z".parse().unwrap()
}

/// Returns the codes and fields of a contract's reasons against some JSON.
fn reasons(contract: &Contract, json: &str) -> Vec<(&'static str, String)> {
    let shop = "hostile".parse().unwrap();
    let reasons = contract.validate(RowMetadata::new(&shop, now()), json.as_bytes()).err();
    reasons.into_iter().flatten().map(|reason| (reason.code.as_str(), reason.field)).collect()
}

fn check(contract: &Contract, rows: &[Row]) {
    let shop = "hostile".parse().unwrap();
    for Row { name, fate, json, .. } in rows.iter().filter(|row| row.json.len() < OVERSIZED_BYTES) {
        let reasons = reasons(contract, json);
        match fate {
            Fate::Tables { key } => {
                assert!(reasons.is_empty(), "{name}: {reasons:?}");
                let record =
                    contract.read(RowMetadata::new(&shop, now()), json.as_bytes()).unwrap();
                assert_eq!(record.key()[..2], key[..2], "{name}");
            }
            Fate::Quarantined { code, field } => {
                assert!(!reasons.is_empty(), "{name} is valid");
                assert!(code.is_none_or(|code| reasons[0].0 == code), "{name}: {reasons:?}");
                assert!(field.is_none_or(|field| reasons[0].1 == field), "{name}: {reasons:?}");
            }
        }
    }
}

#[test]
fn sales_are_valid_exactly_where_their_fate_is_silver() {
    let contracts = contracts();
    let day = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();

    for delivery in [Delivery::First, Delivery::Corrected] {
        check(contracts.get("pos_sales").unwrap(), &sales(1, day, now(), delivery));
    }
}

#[test]
fn levels_are_valid_exactly_where_their_fate_is_silver() {
    let contracts = contracts();

    for hour in ["2026-11-28T23:00:00Z", "2026-11-29T00:00:00Z"] {
        check(contracts.get("inventory_levels").unwrap(), &stock(1, hour.parse().unwrap()));
    }
}

#[test]
fn events_are_valid_exactly_where_their_request_is_accepted() {
    let contracts = contracts();
    let mut compared = 0;

    for request in requests(1, now()) {
        let Some(contract) = contracts.get(request.dataset) else { continue };
        let is_refused = request.expected.statuses == [422];
        // Copies are compared within a request, which a contract does not see.
        let is_copy = request.expected.code == Some("time_mismatch");
        if is_copy || (!is_refused && request.expected.statuses != [202]) {
            continue;
        }
        let body = String::from_utf8(request.body).unwrap();
        let events: Vec<&RawValue> = match serde_json::from_str(&body) {
            Ok(events) => events,
            Err(_) => vec![serde_json::from_str(&body).unwrap()],
        };
        let reasons: Vec<_> =
            events.iter().flat_map(|event| reasons(contract, event.get())).collect();
        assert_eq!(!reasons.is_empty(), is_refused, "{}: {reasons:?}", request.name);
        if let Some(code) = request.expected.code {
            assert!(
                reasons.iter().any(|(found, _)| *found == code),
                "{}: {reasons:?}",
                request.name
            );
        }
        compared += 1;
    }
    assert!(compared > 40);
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 28).unwrap()
}

/// Serves the day's sales with some kind of answer; returns the URL.
async fn api(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/sales?business_date={}", listener.local_addr().unwrap(), day());
    let rows = |text: &str| Some(sales(1, text.parse().ok()?, now(), Delivery::First));
    let (path, parameter, token) = ("/v1/sales", "business_date", "t".to_owned());
    tokio::spawn(serve(Api { path, parameter, rows: Box::new(rows), token, answer }, listener));
    url
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

#[tokio::test]
async fn a_client_that_retries_gets_every_row_of_every_page() {
    let (url, http) = (api(Answer::Pages).await, Client::new());
    let (mut rows, mut cursor, mut failures) = (Vec::new(), None, Vec::new());
    loop {
        let from = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let response = http.get(format!("{url}{from}")).bearer_auth("t").send().await.unwrap();
        let status = response.status();
        match response.bytes().await {
            Ok(body) if status == Status::OK => {
                let page: Page = serde_json::from_slice(&body).unwrap();
                rows.extend(page.data.into_iter().map(|row| row.get().to_owned()));
                cursor = page.next_cursor;
            }
            body => {
                failures.push((status.as_u16(), body.is_err()));
                continue;
            }
        }
        if cursor.is_none() {
            break;
        }
    }

    let wanted: Vec<_> =
        sales(1, day(), now(), Delivery::First).into_iter().map(|row| row.json).collect();
    assert_eq!(rows, wanted);
    assert_eq!(
        failures,
        [(503, false), (429, false), (200, true), (502, false)],
        "200: cut within a row"
    );
}

#[tokio::test]
async fn answers_that_are_not_pages_cannot_be_read_as_pages() {
    for answer in [Answer::Html, Answer::NullData, Answer::NumberCursor, Answer::Bom] {
        let response = Client::new().get(api(answer).await).bearer_auth("t").send().await.unwrap();
        let body = response.bytes().await.unwrap();
        assert!(serde_json::from_slice::<Page>(&body).is_err(), "{answer:?}");
    }
    for answer in [Answer::Circle, Answer::Endless] {
        let response = Client::new().get(api(answer).await).bearer_auth("t").send().await.unwrap();
        let page: Page = response.json().await.unwrap();
        assert_eq!(page.next_cursor.as_deref(), Some("1"), "{answer:?}");
    }
}

/// Checks the signature and accepts the body.
async fn accept(headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(shop), Some(signature)) = (
        header("webhook-id"),
        header("webhook-timestamp").and_then(|text| text.parse::<i64>().ok()),
        header("x-shop-id"),
        header("webhook-signature"),
    ) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let secret: Secret = SECRET.parse().unwrap();
    let is_fresh = (Utc::now().timestamp() - timestamp).abs() <= 300;
    if !is_fresh || shop != "hostile" || secret.sign(id, timestamp, &body).unwrap() != signature {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    (StatusCode::ACCEPTED, "{}").into_response()
}

#[tokio::test]
async fn an_api_that_accepts_too_much_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/v1/events/{dataset}", post(accept))
        .layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = Target { api_url, shop: "hostile".to_owned(), secret: SECRET.parse().unwrap() };

    let accounts = send(&target, requests(1, Utc::now()), 8).await.unwrap();

    let wanted = |account: &shoplake_sample_source::hostile::Account| match account.status {
        202 => account.expected.statuses.contains(&202),
        status => account.expected.statuses == [status],
    };
    assert!(accounts.iter().all(|account| account.as_expected == wanted(account)));
    let found: Vec<_> = accounts.iter().filter(|account| !account.as_expected).collect();
    assert!(found.iter().any(|account| account.name == "NUL in event_id"));
    assert!(found.iter().any(|account| account.name == "many days at once"));
    assert!(accounts.iter().filter(|account| account.status == 401).count() > 200);
}
