//! The connector against an API over HTTP that behaves as APIs do.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, NaiveDate};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use shoplake_connector::{
    ApiError, Batch, Checkpoint, Facts, PagedApi, Patience, Run, RunError, Source, SourceError,
};
use shoplake_lake::MemoryStore;
use shoplake_platform::{clock::ManualClock, stream::MemoryStream};
use tokio::net::TcpListener;

const STREAM: &str = "shoplake-test-pos";
const TOKEN: &str = "valid";

/// Answers that the API gives before its pages, one per request; and its pages.
#[derive(Default)]
struct Script {
    detours: Vec<(usize, Answer)>,
    pages: Vec<String>,
    requests: usize,
    /// Cursors from before this number have expired.
    cursor_generation: u32,
}

#[derive(Clone)]
enum Answer {
    Status(StatusCode),
    Throttle(&'static str),
    Body(&'static str),
}

#[derive(Deserialize)]
struct PageQuery {
    business_date: String,
    cursor: Option<String>,
}

type Shared = Arc<Mutex<Script>>;

async fn answer(
    State(script): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Response {
    let mut script = script.lock().unwrap();
    script.requests += 1;
    assert_eq!(query.business_date, "2010-12-01");
    if headers["authorization"] != format!("Bearer {TOKEN}") {
        return (StatusCode::UNAUTHORIZED, "token expired").into_response();
    }
    let number = script.requests;
    if let Some((_, answer)) = script.detours.iter().find(|(request, _)| *request == number) {
        return match answer {
            Answer::Status(status) => status.into_response(),
            Answer::Throttle(wait) => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", *wait)]).into_response()
            }
            Answer::Body(body) => (*body).into_response(),
        };
    }
    let page = match query.cursor.as_deref().map(|cursor| cursor.split_once(':').unwrap()) {
        None => 0,
        Some((generation, _)) if generation != script.cursor_generation.to_string() => {
            return StatusCode::GONE.into_response();
        }
        Some((_, page)) => page.parse::<usize>().unwrap(),
    };
    let next = match page + 1 < script.pages.len() {
        true => format!("\"{}:{}\"", script.cursor_generation, page + 1),
        false => "null".to_owned(),
    };
    format!(r#"{{"data":[{}],"next_cursor":{next}}}"#, script.pages[page]).into_response()
}

struct World {
    script: Shared,
    base_url: String,
    store: MemoryStore,
    stream: MemoryStream,
}

impl World {
    async fn new(pages: &[&str], detours: &[(usize, Answer)]) -> Self {
        let pages = pages.iter().map(|page| (*page).to_owned()).collect();
        let script =
            Shared::new(Mutex::new(Script { pages, detours: detours.to_vec(), ..Script::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/api/", listener.local_addr().unwrap());
        let router = Router::new().route("/api/v1/rows", get(answer)).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, base_url, store: MemoryStore::default(), stream: MemoryStream::default() }
    }

    fn api(&self, token: &str) -> PagedApi {
        let patience = Patience {
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(2),
            retries: 3,
            ..Patience::default()
        };
        let query = [("business_date", "2010-12-01")];
        PagedApi::new(&self.base_url, "/v1/rows", &query, SecretString::from(token), patience).unwrap()
    }

    async fn run_with(&self, token: &str) -> Result<Checkpoint, RunError> {
        let batch = Batch {
            shop: "acme".parse().unwrap(),
            connector: "pos",
            dataset: "pos_sales",
            name: "2010-12-01".to_owned(),
            business_date: NaiveDate::from_ymd_opt(2010, 12, 1).unwrap(),
        };
        let (api, clock) = (self.api(token), ManualClock::new(DateTime::UNIX_EPOCH));
        let run = Run {
            batch: &batch,
            source: &api,
            describe: |row| Facts {
                key: Some(format!("t/{}", row.get())),
                quantity: row.get().parse().ok(),
                occurred_at: None,
            },
            stream: &self.stream,
            stream_name: STREAM,
            store: &self.store,
            clock: &clock,
        };
        run.run().await
    }

    async fn run(&self) -> Result<Checkpoint, RunError> {
        self.run_with(TOKEN).await
    }

    /// The data of the rows that were sent, in order, without the control total.
    fn sent(&self) -> Vec<String> {
        let data = |line: &String| {
            let envelope: Value = serde_json::from_str(line).unwrap();
            (envelope["dataset"] == "pos_sales").then(|| envelope["data"].to_string())
        };
        self.stream.lines(STREAM).iter().filter_map(data).collect()
    }

    fn requests(&self) -> usize {
        self.script.lock().unwrap().requests
    }
}

fn api_error(error: RunError) -> ApiError {
    match error {
        RunError::Source(SourceError::Api(error)) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn given_pages_then_all_of_them_arrive_in_order() {
    let world = World::new(&["1,2", "3", "", "4"], &[]).await;

    let completed = world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2", "3", "4"]);
    assert_eq!((completed.page, completed.rows, completed.quantity_sum), (4, 4, 10));
}

#[tokio::test]
async fn given_throttling_and_outages_then_the_page_is_asked_for_again() {
    let detours = [
        (1, Answer::Status(StatusCode::SERVICE_UNAVAILABLE)),
        (2, Answer::Throttle("0")),
        (4, Answer::Throttle("Sun, 06 Nov 1994 08:49:37 GMT")),
        (5, Answer::Status(StatusCode::BAD_GATEWAY)),
    ];
    let world = World::new(&["1", "2"], &detours).await;

    world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2"]);
    assert_eq!(world.requests(), 6);
}

#[tokio::test]
async fn given_an_outage_that_lasts_then_the_run_fails_and_the_next_one_goes_on() {
    let outage: Vec<_> = (2..=5).map(|request| (request, Answer::Status(StatusCode::BAD_GATEWAY))).collect();
    let world = World::new(&["1", "2"], &outage).await;

    let error = world.run().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(matches!(api_error(error), ApiError::Unavailable { .. }));
    assert_eq!(world.requests(), 5, "one page, and one more asked for four times");
    world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2"]);
    assert_eq!(world.requests(), 6);
}

#[tokio::test]
async fn given_a_broken_page_in_the_middle_that_stays_broken_then_it_is_never_the_end_of_the_batch() {
    for body in [r#"{"data":[2],"next_cur"#, r#"{"data":[2]}"#, r#"{"next_cursor":null}"#, "<html>", ""] {
        let broken: Vec<_> = (2..=5).map(|request| (request, Answer::Body(body))).collect();
        let world = World::new(&["1", "2", "3"], &broken).await;

        let error = world.run().await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("expected {\"data\": [...]"), "{error}");
        assert_eq!(world.sent(), ["1"], "{body}");
        let completed = world.run().await.unwrap();

        assert_eq!(world.sent(), ["1", "2", "3"]);
        assert_eq!((completed.rows, completed.quantity_sum), (3, 6));
    }
}

#[tokio::test]
async fn given_an_expired_token_then_the_error_says_so_at_once_and_a_new_one_goes_on() {
    let world = World::new(&["1", "2"], &[]).await;

    let error = world.run_with("expired").await.unwrap_err();
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(text.contains("401 Unauthorized") && text.contains("store a new one"), "{text}");
    assert!(text.contains("token expired") && !text.contains("\"expired\""), "{text}");
    assert_eq!(world.requests(), 1);
    world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2"]);
}

#[tokio::test]
async fn given_a_page_handed_out_twice_then_it_counts_once() {
    let world = World::new(&["1,2", "1,2", "2,3"], &[]).await;

    let completed = world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2", "3"]);
    assert_eq!((completed.rows, completed.quantity_sum), (3, 6));
}

#[tokio::test]
async fn given_a_cursor_that_leads_back_then_the_run_ends_instead_of_turning_forever() {
    let world =
        World::new(&["1", "2", "3"], &[(3, Answer::Body(r#"{"data":[3],"next_cursor":"0:1"}"#))]).await;

    let error = world.run().await.unwrap_err();

    assert!(matches!(error, RunError::Circle { page: 3, .. }) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn given_a_cursor_that_expired_between_two_runs_then_the_batch_starts_over() {
    let outage: Vec<_> = (3..=6).map(|request| (request, Answer::Status(StatusCode::BAD_GATEWAY))).collect();
    let world = World::new(&["1", "2", "3"], &outage).await;
    world.run().await.unwrap_err();
    world.script.lock().unwrap().cursor_generation = 1;

    let completed = world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2", "1", "2", "3"]);
    assert_eq!((completed.page, completed.rows), (3, 3));
}

#[tokio::test]
async fn given_a_cursor_refused_within_a_run_then_the_run_fails() {
    let world = World::new(&["1", "2"], &[(2, Answer::Status(StatusCode::BAD_REQUEST))]).await;

    let error = world.run().await.unwrap_err();

    assert!(matches!(error, RunError::Source(SourceError::CursorRefused(_))), "{error}");
}

#[tokio::test]
async fn given_a_source_that_asks_to_wait_longer_than_a_run_lasts_then_it_is_left_to_a_later_run() {
    let world = World::new(&["1"], &[(1, Answer::Throttle("86400"))]).await;

    let error = world.run().await.unwrap_err();

    assert!(error.is_transient(), "{error}");
    assert!(matches!(api_error(error), ApiError::Throttled { retry_after: Some(_), .. }));
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn given_nobody_at_the_address_then_the_error_says_what_was_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(&["1"], &[]).await;
    let world = World { base_url: format!("http://{}", listener.local_addr().unwrap()), ..world };
    drop(listener);

    let error = world.api(TOKEN).page(None).await.unwrap_err();

    assert!(error.is_transient());
    assert!(error.to_string().contains("business_date=2010-12-01"), "{error}");
}

#[tokio::test]
async fn given_a_page_beyond_all_measure_then_it_is_not_read_to_its_end() {
    let world = World::new(&["1"], &[]).await;
    world.script.lock().unwrap().pages = vec![format!("\"{}\"", "x".repeat(33 << 20))];

    let error = world.api(TOKEN).page(None).await.unwrap_err();

    assert!(matches!(error, SourceError::Api(ApiError::TooLarge { .. })), "{error}");
}
