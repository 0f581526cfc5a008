//! A day from the POS API to the stream, against the sample POS and the contracts.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{collections::HashMap, time::Duration};

use axum::{Router, extract::Query, http::StatusCode, routing::get};
use chrono::{DateTime, NaiveDate, Utc};
use shoplake_aws::stream::{MemoryStream, PutFailure, Times};
use shoplake_connector::{
    ApiConfig, Delivered, Destination, Ports, RetryPolicy, SecretSource, Task, TaskError,
};
use shoplake_connector_pos::{Sales, TradingDays};
use shoplake_contracts::{RowMetadata, envelope::Envelope};
use shoplake_lake::MemoryStore;
use shoplake_platform::clock::ManualClock;
use shoplake_sample_source::{
    api::{Faults, Server},
    pos::{Days, Generator, Sale},
    world::World,
};
use tokio::net::TcpListener;

const TOKEN: &str = "a token";
const STREAM: &str = "shoplake-test-pos";
const DAY: Generator = Generator { world: World::new(1), rows_per_day: 2_345 };

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2010, 12, 1).unwrap()
}

/// A day later, when the connector runs.
fn now() -> DateTime<Utc> {
    "2010-12-02T05:00:00Z".parse().unwrap()
}

async fn start(faults: Faults) -> Sales {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Server::new(Days::Generated(DAY), TOKEN.to_owned(), faults).serve(listener));
    Sales {
        destination: Destination {
            shop: "acme".parse().unwrap(),
            stream_name: STREAM.to_owned(),
            lake_bucket: String::new(),
            backfill: None,
        },
        api: ApiConfig {
            base_url,
            token: SecretSource::Value(TOKEN.into()),
            page_size: 100.try_into().unwrap(),
        },
        days: TradingDays::only(day()),
    }
}

async fn run(
    task: &Sales,
    token: &str,
    stream: &MemoryStream,
    store: &MemoryStore,
) -> Result<Delivered, TaskError> {
    run_at(now(), task, token, stream, store).await
}

async fn run_at(
    now: DateTime<Utc>,
    task: &Sales,
    token: &str,
    stream: &MemoryStream,
    store: &MemoryStore,
) -> Result<Delivered, TaskError> {
    let clock = ManualClock::new(now);
    let retry_policy = RetryPolicy {
        min_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(2),
        ..RetryPolicy::default()
    };
    task.run(&Ports { secret: token.into(), retry_policy, stream, store, clock: &clock }).await
}

fn is_invalid(sale: &Sale) -> bool {
    sale.unit_price == "0.00" || sale.product_id.is_none() || !sale.sold_at.ends_with('Z')
}

#[tokio::test]
async fn a_day_arrives_whole_and_unchanged_despite_faults() {
    let task = start(Faults { fail_every: 3, throttle_every: 4, retry_after_seconds: 0 }).await;
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());

    let completed = run(&task, TOKEN, &stream, &store).await.unwrap();

    let sales = DAY.sales(day());
    let mut lines = stream.lines(STREAM);
    let control_total = lines.pop().unwrap();
    assert_eq!(lines.len(), sales.len());
    for (line, sale) in lines.iter().zip(&sales) {
        let envelope: Envelope<'_> = serde_json::from_str(line).unwrap();
        assert_eq!(envelope.id, format!("pos/2010-12-01/{}/{}", sale.transaction_id, sale.line_no));
        assert_eq!(envelope.subject.as_deref(), Some("2010-12-01"));
        assert_eq!(envelope.source, "/shops/acme/pos");
        assert_eq!(envelope.data.get(), serde_json::to_string(sale).unwrap());
    }
    let valid = sales.iter().filter(|sale| !is_invalid(sale));
    let units: i64 = valid.filter_map(|sale| sale.quantity.as_i64()).sum();
    assert_eq!((completed.rows, completed.quantity_sum), (sales.len() as u64, i128::from(units)));
    assert!(
        control_total.contains(&format!("\"row_count\":{},\"quantity_sum\":{units},", sales.len()))
    );
    assert_eq!(store.keys(), ["state/connectors/pos/acme/2010-12-01.json"]);
}

#[tokio::test]
async fn contracts_accept_all_rows_of_a_day_but_the_invalid_ones() {
    let contracts = shoplake_testing::contracts();
    let task = start(Faults::default()).await;
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());

    run(&task, TOKEN, &stream, &store).await.unwrap();

    let mut refused = 0;
    for line in stream.lines(STREAM) {
        let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
        let contract = contracts.get(&envelope.dataset).unwrap();
        let received_at = envelope.receivedat.parse().unwrap();
        let metadata = RowMetadata::new(&task.destination.shop, received_at);
        if contract.validate(metadata, envelope.data.get().as_bytes()).is_err() {
            assert_ne!(envelope.dataset, "control_totals");
            refused += 1;
        }
    }
    let invalid = DAY.sales(day()).iter().filter(|sale| is_invalid(sale)).count();
    assert!(invalid > 0);
    assert_eq!(refused, invalid);
}

#[tokio::test]
async fn an_expired_token_has_to_be_replaced() {
    let task = start(Faults::default()).await;

    let error =
        run(&task, "expired", &MemoryStream::default(), &MemoryStore::default()).await.unwrap_err();

    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("store a new one"), "{error}");
}

#[tokio::test]
async fn a_pos_that_is_down_exits_with_1() {
    let task = start(Faults { fail_every: 1, ..Faults::default() }).await;

    let error =
        run(&task, TOKEN, &MemoryStream::default(), &MemoryStore::default()).await.unwrap_err();

    assert_eq!(error.exit_code(), 1);
}

/// The days whose control totals were sent, in order.
fn delivered_days(stream: &MemoryStream) -> Vec<String> {
    let lines = stream.lines(STREAM);
    let envelopes = lines.iter().map(|line| serde_json::from_str::<Envelope<'_>>(line).unwrap());
    let totals = envelopes.filter(|envelope| envelope.dataset == "control_totals");
    totals.map(|envelope| envelope.subject.unwrap().into_owned()).collect()
}

#[tokio::test]
async fn the_last_days_are_fetched_again_on_each_day() {
    let at = |time: &str| time.parse::<DateTime<Utc>>().unwrap();
    let mut task = start(Faults::default()).await;
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());
    let zone = chrono_tz::America::Los_Angeles;

    // It is still the evening of December 1st in Los Angeles.
    let first = at("2010-12-02T04:30:00Z");
    task.days = TradingDays::until_yesterday(first, zone, 2);
    run_at(first, &task, TOKEN, &stream, &store).await.unwrap();
    assert_eq!(delivered_days(&stream), ["2010-11-30", "2010-11-29", "2010-11-28"]);

    let next = at("2010-12-03T04:30:00Z");
    task.days = TradingDays::until_yesterday(next, zone, 2);
    let refused = PutFailure::Refused("AccessDeniedException".to_owned());
    stream.reject(Times::First(1), refused, |record| {
        record.data.windows(14).any(|text| text == b"pos/2010-11-30")
    });
    run_at(next, &task, TOKEN, &stream, &store).await.unwrap_err();
    assert_eq!(delivered_days(&stream)[3..], ["2010-12-01"]);

    // Run again on the same day, it continues with the days that are left.
    run_at(next, &task, TOKEN, &stream, &store).await.unwrap();
    assert_eq!(delivered_days(&stream)[4..], ["2010-11-30", "2010-11-29"]);
    run_at(next, &task, TOKEN, &stream, &store).await.unwrap();
    assert_eq!(delivered_days(&stream)[6..], ["2010-12-01", "2010-11-30", "2010-11-29"]);
}

#[tokio::test]
async fn a_day_beyond_the_window_counts_only_in_a_backfill() {
    for (backfill, has_units) in [(None, false), (Some("history-2010"), true)] {
        let mut task = start(Faults::default()).await;
        task.destination.backfill = backfill.map(|name| name.parse().unwrap());
        let (stream, store) = (MemoryStream::default(), MemoryStore::default());

        let late = "2012-12-02T05:00:00Z".parse().unwrap();
        let completed = run_at(late, &task, TOKEN, &stream, &store).await.unwrap();

        assert_eq!(completed.rows, 2_345);
        assert_eq!(completed.quantity_sum > 0, has_units, "{backfill:?}");
        for line in stream.lines(STREAM) {
            let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
            assert_eq!(envelope.backfill.as_deref(), backfill);
        }
    }
}

/// An API whose answer for one day is `faulty`, and that has no sales of the others.
async fn start_with_a_faulty_day(
    faulty_day: &'static str,
    faulty: (StatusCode, &'static str),
) -> Sales {
    let answer = move |Query(query): Query<HashMap<String, String>>| async move {
        let page = (StatusCode::OK, r#"{"data":[],"next_cursor":null}"#);
        if query["business_date"] == faulty_day { faulty } else { page }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/sales", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut task = start(Faults::default()).await;
    task.api.base_url = base_url;
    task
}

#[tokio::test]
async fn a_day_with_faulty_answers_does_not_keep_the_others_back() {
    let mut task = start_with_a_faulty_day("2010-12-01", (StatusCode::OK, "<html>")).await;
    task.days = TradingDays::until_yesterday(now(), chrono_tz::UTC, 2);
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());

    let error = run(&task, TOKEN, &stream, &store).await.unwrap_err();

    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("business_date=2010-12-01"), "{error}");
    assert_eq!(delivered_days(&stream), ["2010-11-30", "2010-11-29"]);
}

#[tokio::test]
async fn a_missing_business_date_exits_with_2() {
    let task = start_with_a_faulty_day("2010-12-01", (StatusCode::NOT_FOUND, "")).await;
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());

    let error = run(&task, TOKEN, &stream, &store).await.unwrap_err();

    assert!(
        matches!(&error, TaskError::Absent { batches } if *batches == ["2010-12-01"]),
        "{error}"
    );
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("check the base URL"), "{error}");
    assert!(stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn only_the_newest_of_several_days_must_exist() {
    for (missing, is_complete) in [("2010-12-01", false), ("2010-11-30", true)] {
        let mut task = start_with_a_faulty_day(missing, (StatusCode::NOT_FOUND, "")).await;
        task.days = TradingDays::until_yesterday(now(), chrono_tz::UTC, 2);
        let (stream, store) = (MemoryStream::default(), MemoryStore::default());

        let delivered = run(&task, TOKEN, &stream, &store).await;

        assert_eq!(delivered.is_ok(), is_complete, "{delivered:?}");
        assert_eq!(delivered_days(&stream).len(), 2);
    }
}
