//! The connector against an API over HTTP that behaves as APIs do.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

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
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use shoplake_aws::stream::MemoryStream;
use shoplake_connector::{
    ApiError, Checkpoint, PagedApi, RetryPolicy, Run, RunError, Source, SourceError,
};
use shoplake_lake::MemoryStore;
use shoplake_platform::clock::ManualClock;
use tokio::net::TcpListener;

use support::{STREAM, batch, dataset, destination, now};

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
    /// A status with `Retry-After`.
    Wait(StatusCode, &'static str),
    Body(&'static str),
    /// A body of this content type.
    Typed(&'static str, &'static str),
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
            Answer::Wait(status, wait) => (*status, [("retry-after", *wait)]).into_response(),
            Answer::Body(body) => (*body).into_response(),
            Answer::Typed(content_type, body) => {
                ([("content-type", *content_type)], *body).into_response()
            }
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
        let script = Shared::new(Mutex::new(Script {
            pages,
            detours: detours.to_vec(),
            ..Script::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/api/", listener.local_addr().unwrap());
        let router =
            Router::new().route("/api/v1/rows", get(answer)).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, base_url, store: MemoryStore::default(), stream: MemoryStream::default() }
    }

    fn api(&self, token: &str) -> PagedApi {
        let retry_policy = RetryPolicy {
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(2),
            retries: 3,
            ..RetryPolicy::default()
        };
        let query = [("business_date", "2010-12-01")];
        PagedApi::new(&self.base_url, "/v1/rows", &query, SecretString::from(token), retry_policy)
            .unwrap()
    }

    async fn run_with(&self, token: &str) -> Result<Checkpoint, RunError> {
        let (api, clock) = (self.api(token), ManualClock::new(now()));
        let run = Run {
            batch: &batch(),
            dataset: &dataset(),
            source: &api,
            destination: &destination(),
            stream: &self.stream,
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
async fn pages_arrive_in_order() {
    let world = World::new(&["1,2", "3", "", "4"], &[]).await;

    let completed = world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2", "3", "4"]);
    assert_eq!((completed.page, completed.rows), (4, 4));
}

#[tokio::test]
async fn a_page_is_fetched_again_after_throttling_and_outages() {
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
async fn a_run_fails_in_a_long_outage_and_the_next_one_continues() {
    let outage: Vec<_> =
        (2..=5).map(|request| (request, Answer::Status(StatusCode::BAD_GATEWAY))).collect();
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
async fn a_truncated_answer_is_fetched_again() {
    for body in [r#"{"data":[2],"next_cur"#, r#"{"data":[2,"#, r#"{"data":["a"#, ""] {
        let broken: Vec<_> = (2..=5).map(|request| (request, Answer::Body(body))).collect();
        let world = World::new(&["1", "2", "3"], &broken).await;

        let error = world.run().await.unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains("in the middle of a page"),
            "{error}"
        );
        assert_eq!((world.sent(), world.requests()), (vec!["1".to_owned()], 5), "{body}");
        let completed = world.run().await.unwrap();

        assert_eq!(world.sent(), ["1", "2", "3"]);
        assert_eq!(completed.rows, 3);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_page_ends_the_run_and_is_shown() {
    let long = Box::leak(format!("<!DOCTYPE html>\n\u{7}{}", "é".repeat(300)).into_boxed_str());
    for (content_type, body, cause, beginning) in [
        ("application/json", r#"{"data":[2]}"#, "missing field `next_cursor`", r#"{\"data\":[2]}"#),
        (
            "application/json",
            r#"{"data":[2],"next_cursor":7}"#,
            "invalid type: integer `7`",
            "next_cursor",
        ),
        (
            "application/json",
            r#"{"data":[2],"next_cursor":""}"#,
            "next_cursor is empty",
            "next_cursor",
        ),
        ("application/json", r#"{"data":null,"next_cursor":null}"#, "invalid type: null", "null"),
        ("application/json", r#"{"next_cursor":null}"#, "missing field `data`", "next_cursor"),
        ("application/json", r#"{"error":"busy"}"#, "missing field", "busy"),
        ("application/json", "[]", "invalid length 0", "\"[]\""),
        ("text/html", "<html>Log in</html>", "expected value at line 1", "<html>Log in</html>"),
        ("text/html", long, "expected value", r"<!DOCTYPE html>\n\u{7}é"),
    ] {
        let world = World::new(&["1", "2"], &[(2, Answer::Typed(content_type, body))]).await;

        let error = world.run().await.unwrap_err();

        assert!(!error.is_transient(), "{error}");
        let text = error.to_string();
        for part in
            [cause, beginning, content_type, "/api/v1/rows?", "status 200", "check the base URL"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.chars().count() < 800 && !text.contains('\n'), "{text}");
        assert_eq!((world.sent(), world.requests()), (vec!["1".to_owned()], 2));
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_a_page_is_ignored() {
    let page = "\u{feff}{\"data\":[2],\"next_cursor\":null}";
    let world = World::new(&["1", "2"], &[(2, Answer::Body(page))]).await;

    world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2"]);
}

#[tokio::test]
async fn a_connection_that_is_cut_within_a_page_is_made_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/api/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for body in [r#"{"data":[1],"#, r#"{"data":[1],"next_cursor":null}"#] {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4_096]).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 31\r\n\r\n{body}");
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let world = World { base_url, ..World::new(&[], &[]).await };

    world.run().await.unwrap();

    assert_eq!(world.sent(), ["1"]);
}

#[tokio::test]
async fn a_source_that_fails_for_a_while_says_how_long_to_wait() {
    for status in
        [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY]
    {
        let world = World::new(&["1"], &[(1, Answer::Wait(status, "1"))]).await;
        let started = std::time::Instant::now();

        world.run().await.unwrap();

        assert!(started.elapsed() >= Duration::from_secs(1), "{status}: {:?}", started.elapsed());
    }
    for wait in ["86400", "Friday, 31-Dec-99 23:59:59 GMT"] {
        let world =
            World::new(&["1"], &[(1, Answer::Wait(StatusCode::SERVICE_UNAVAILABLE, wait))]).await;
        let is_past = wait.starts_with("Friday");

        let result = world.run().await;

        // RFC 9110: a two-digit year that seems to be more than 50 years ahead is in the past.
        assert_eq!(
            (result.is_ok(), world.requests()),
            if is_past { (true, 2) } else { (false, 1) },
            "{wait}"
        );
    }
}

#[tokio::test]
async fn an_expired_token_fails_at_once_and_a_new_one_continues() {
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
async fn a_page_that_is_handed_out_twice_counts_once() {
    let world = World::new(&["1,2", "1,2", "2,3"], &[]).await;

    let completed = world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2", "3"]);
    assert_eq!(completed.rows, 3);
}

#[tokio::test]
async fn a_cursor_that_leads_back_ends_the_run() {
    let world =
        World::new(&["1", "2", "3"], &[(3, Answer::Body(r#"{"data":[3],"next_cursor":"0:1"}"#))])
            .await;

    let error = world.run().await.unwrap_err();

    assert!(matches!(error, RunError::Circle { page: 3, .. }) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn an_expired_cursor_of_a_checkpoint_starts_the_batch_over() {
    let outage: Vec<_> =
        (3..=6).map(|request| (request, Answer::Status(StatusCode::BAD_GATEWAY))).collect();
    let world = World::new(&["1", "2", "3"], &outage).await;
    world.run().await.unwrap_err();
    world.script.lock().unwrap().cursor_generation = 1;

    let completed = world.run().await.unwrap();

    assert_eq!(world.sent(), ["1", "2", "1", "2", "3"]);
    assert_eq!((completed.page, completed.rows), (3, 3));
}

#[tokio::test]
async fn a_cursor_refused_within_a_run_fails_the_run() {
    let world = World::new(&["1", "2"], &[(2, Answer::Status(StatusCode::BAD_REQUEST))]).await;

    let error = world.run().await.unwrap_err();

    assert!(matches!(error, RunError::Source(SourceError::CursorRefused(_))), "{error}");
}

#[tokio::test]
async fn a_wait_longer_than_the_deadline_ends_the_run() {
    let world = World::new(&["1"], &[(1, Answer::Throttle("86400"))]).await;

    let error = world.run().await.unwrap_err();

    assert!(error.is_transient(), "{error}");
    assert!(matches!(api_error(error), ApiError::Throttled { retry_after: Some(_), .. }));
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(&["1"], &[]).await;
    let world = World { base_url: format!("http://{}", listener.local_addr().unwrap()), ..world };
    drop(listener);

    let error = world.api(TOKEN).page(None).await.unwrap_err();

    assert!(error.is_transient());
    assert!(error.to_string().contains("business_date=2010-12-01"), "{error}");
}

#[tokio::test]
async fn a_page_beyond_the_limit_is_not_read_to_its_end() {
    let world = World::new(&["1"], &[]).await;
    world.script.lock().unwrap().pages = vec![format!("\"{}\"", "x".repeat(33 << 20))];

    let error = world.api(TOKEN).page(None).await.unwrap_err();

    assert!(matches!(error, SourceError::Api(ApiError::TooLarge { .. })), "{error}");
}
