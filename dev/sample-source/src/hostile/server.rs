//! An API that hands out hostile rows and fails in every way from which a client can recover, or in
//! one from which it cannot.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, Response, StatusCode, header},
    routing::get,
};
use chrono::{Duration, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::net::TcpListener;

use super::Row;

/// Rows of a page: few, so that what repeats is on another page.
const PAGE: usize = 7;

/// Empty pages in the middle of the rows, each with a cursor of its own.
const EMPTY_PAGES: usize = 3;

/// What the API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Answer {
    /// Pages, after some failures that pass.
    Pages,
    /// A byte order mark before the page.
    Bom,
    /// A page of HTML with status 200.
    Html,
    /// `data` is null.
    NullData,
    /// `next_cursor` is a number.
    NumberCursor,
    /// `next_cursor` is missing.
    NoCursor,
    /// The cursor leads back to the first page.
    Circle,
    /// Empty pages without end, each with a new cursor.
    Endless,
}

/// The rows of a period; none where the period cannot be read.
pub type RowsOf = Box<dyn Fn(&str) -> Option<Vec<Row>> + Send + Sync>;

/// What is served: a path, the parameter that names the period, and its rows.
pub struct Api {
    /// Where it is asked for.
    pub path: &'static str,
    /// The parameter.
    pub parameter: &'static str,
    /// The rows of a period.
    pub rows: RowsOf,
    /// The bearer token that a client must show.
    pub token: String,
    /// What is answered.
    pub answer: Answer,
}

struct Served {
    api: Api,
    requests: AtomicU64,
}

/// Serves until the future is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(api: Api, listener: TcpListener) -> std::io::Result<()> {
    let path = api.path;
    let served = Arc::new(Served { api, requests: AtomicU64::new(0) });
    axum::serve(listener, Router::new().route(path, get(answer)).with_state(served)).await
}

async fn answer(
    State(served): State<Arc<Served>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response<Body> {
    let Served { api, requests } = &*served;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if token.and_then(|value| value.strip_prefix("Bearer ")) != Some(api.token.as_str()) {
        return text(StatusCode::UNAUTHORIZED, "application/json", "{}");
    }
    let Some(rows) = query.get(api.parameter).and_then(|period| (api.rows)(period)) else {
        return text(StatusCode::BAD_REQUEST, "application/json", "{}");
    };
    let page = |rows: &[Row], next: Option<String>| {
        let rows: Vec<_> = rows.iter().map(|row| row.json.as_str()).collect();
        format!(r#"{{"data":[{}],"next_cursor":{}}}"#, rows.join(","), json!(next))
    };
    let cursor = query.get("cursor").map_or("0", String::as_str);
    let number: usize = cursor.parse().unwrap_or_default();
    let first = rows.get(..PAGE.min(rows.len())).unwrap_or_default();
    let body = match api.answer {
        Answer::Pages => {
            if let Some(failure) = passing(requests.fetch_add(1, Ordering::Relaxed)) {
                return failure;
            }
            page(of(&rows, number), (number + 1 < pages(&rows)).then(|| (number + 1).to_string()))
        }
        Answer::Bom => format!("\u{FEFF}{}", page(&rows, None)),
        Answer::Html => {
            let html = "<!doctype html><html><title>Sign in</title>\
                        <body>Your session has expired.</body></html>";
            return text(StatusCode::OK, "text/html", html);
        }
        Answer::NullData => r#"{"data":null,"next_cursor":null}"#.to_owned(),
        Answer::NumberCursor => {
            page(first, None).replace(r#""next_cursor":null"#, r#""next_cursor":2"#)
        }
        Answer::NoCursor => page(first, None).replace(r#","next_cursor":null"#, ""),
        Answer::Circle => page(first, Some("1".to_owned())),
        Answer::Endless => page(&[], Some((number + 1).to_string())),
    };
    text(StatusCode::OK, "application/json", &body)
}

/// Returns the number of pages, empty ones included.
fn pages(rows: &[Row]) -> usize {
    rows.len().div_ceil(PAGE) + EMPTY_PAGES
}

/// Returns the rows of a page; pages in the middle are empty.
fn of(rows: &[Row], number: usize) -> &[Row] {
    let middle = rows.len().div_ceil(PAGE) / 2;
    let start = match number {
        number if number < middle => number * PAGE,
        number if number < middle + EMPTY_PAGES => return &[],
        number => (number - EMPTY_PAGES) * PAGE,
    };
    rows.get(start.min(rows.len())..rows.len().min(start.saturating_add(PAGE))).unwrap_or_default()
}

/// Returns the failure of one of the first requests. A client that obeys Retry-After recovers from
/// all of them.
fn passing(request: u64) -> Option<Response<Body>> {
    let busy = |status, retry_after: String| {
        let response = Response::builder().status(status).header(header::RETRY_AFTER, retry_after);
        response.body(Body::from(r#"{"error":"busy"}"#)).unwrap_or_default()
    };
    match request {
        0 => Some(busy(StatusCode::SERVICE_UNAVAILABLE, "1".to_owned())),
        2 => {
            let at = Utc::now() + Duration::seconds(1);
            Some(busy(
                StatusCode::TOO_MANY_REQUESTS,
                at.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            ))
        }
        // Half a page: the connection is cut in the middle of a row.
        4 => {
            let half = stream::once(async { Ok(r#"{"data":[{"transaction_id":"x","#) });
            let cut = stream::once(async {
                // Later than the half page, which would otherwise not be sent at all.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
            });
            Response::builder().body(Body::from_stream(half.chain(cut))).ok()
        }
        6 => Some(text(StatusCode::BAD_GATEWAY, "text/html", "<html>502 Bad Gateway</html>")),
        _ => None,
    }
}

fn text(status: StatusCode, content_type: &str, body: &str) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
    response.body(Body::from(body.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Fate, *};

    fn rows(count: usize) -> Vec<Row> {
        let row = |number: usize| Row {
            name: String::new(),
            fate: Fate::Quarantined { code: None, field: None },
            repeated: false,
            json: number.to_string(),
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn all_rows_are_on_one_page_each_and_some_pages_are_empty() {
        for count in [0, 1, 6, 7, 8, 100] {
            let rows = rows(count);
            let found: Vec<_> = (0..pages(&rows))
                .flat_map(|number| of(&rows, number))
                .map(|row| row.json.clone())
                .collect();

            assert_eq!(found, rows.iter().map(|row| row.json.clone()).collect::<Vec<_>>());
            assert!(
                (0..pages(&rows)).filter(|number| of(&rows, *number).is_empty()).count()
                    >= EMPTY_PAGES
            );
        }
    }
}
