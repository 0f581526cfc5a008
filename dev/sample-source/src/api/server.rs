//! The API over HTTP.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::{DataSource, cursor};

/// The most rows on one page, whatever limit the client sends.
const LARGEST_PAGE: usize = 5_000;

/// Injected faults. Zero means never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Every n-th request is answered with 503.
    pub fail_every: u64,
    /// Every n-th request is answered with 429.
    pub throttle_every: u64,
    /// The value of `Retry-After` in a 429, in seconds.
    pub retry_after_seconds: u64,
}

/// `GET <path>?<period>=...&limit=500&cursor=...`
pub struct Server<S: DataSource> {
    source: S,
    token: String,
    faults: Faults,
    requests: AtomicU64,
    /// The rows of the last requested period: its pages are requested one after the other.
    open_pages: Mutex<Option<OpenPages<S>>>,
}

/// A period and its rows, if there is a record of it.
type OpenPages<S> = (<S as DataSource>::Period, Option<Rows<S>>);

type Rows<S> = Arc<[<S as DataSource>::Row]>;

#[derive(Serialize)]
struct Page<'a, R> {
    data: &'a [R],
    next_cursor: Option<String>,
}

impl<S: DataSource> Server<S> {
    /// Returns a server of `source` for the holder of `token`.
    #[must_use]
    pub fn new(source: S, token: String, faults: Faults) -> Self {
        Self { source, token, faults, requests: AtomicU64::new(0), open_pages: Mutex::new(None) }
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    fn rows(&self, period: S::Period) -> anyhow::Result<Option<Rows<S>>> {
        let mut open_pages = self.open_pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, rows)) = &*open_pages
            && *of == period
        {
            return Ok(rows.clone());
        }
        let rows: Option<Rows<S>> = self.source.rows(period)?.map(Into::into);
        *open_pages = Some((period, rows.clone()));
        Ok(rows)
    }

    fn router(self) -> Router {
        let server = Arc::new(self);
        Router::new()
            .route(S::PATH, get(page::<S>))
            .layer(middleware::from_fn_with_state(Arc::clone(&server), authorised))
            .layer(middleware::from_fn_with_state(Arc::clone(&server), inject_faults))
            .with_state(server)
    }
}

async fn inject_faults<S: DataSource>(
    State(server): State<Arc<Server<S>>>,
    request: Request,
    next: Next,
) -> Response {
    let number = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let falls_on = |every: u64| every > 0 && number.is_multiple_of(every);
    if falls_on(server.faults.fail_every) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the system is busy, try again");
    }
    if falls_on(server.faults.throttle_every) {
        let retry_after = [(header::RETRY_AFTER, server.faults.retry_after_seconds.to_string())];
        return (retry_after, refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests"))
            .into_response();
    }
    next.run(request).await
}

async fn authorised<S: DataSource>(
    State(server): State<Arc<Server<S>>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if token == Some(server.token.as_str()) {
        next.run(request).await
    } else {
        refuse(StatusCode::UNAUTHORIZED, "the bearer token is missing, wrong or expired")
    }
}

async fn page<S: DataSource>(
    State(server): State<Arc<Server<S>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let parameter = |name: &str| query.get(name).map(String::as_str);
    let Some(Ok(period)) = parameter(S::PARAMETER).map(str::parse::<S::Period>) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            &format!("{} is missing or cannot be read", S::PARAMETER),
        );
    };
    let limit = match parameter("limit").map_or(Ok(500), str::parse) {
        Ok(limit @ 1..) => LARGEST_PAGE.min(limit),
        _ => return refuse(StatusCode::BAD_REQUEST, "limit must be at least 1"),
    };
    let offset = match parameter("cursor") {
        None => 0,
        Some(text) => match cursor::decode(period, text) {
            Some(offset) => offset,
            None => {
                let detail = format!("the cursor is not one of this {}", S::PARAMETER);
                return refuse(StatusCode::BAD_REQUEST, &detail);
            }
        },
    };
    match server.rows(period) {
        Ok(Some(rows)) => {
            let end = rows.len().min(offset.saturating_add(limit));
            let page = rows.get(offset..end).unwrap_or_default();
            tracing::debug!(%period, offset, rows = page.len(), "page served");
            let next_cursor = (end < rows.len()).then(|| cursor::encode(period, end));
            Json(Page { data: page, next_cursor }).into_response()
        }
        Ok(None) => refuse(
            StatusCode::NOT_FOUND,
            &format!("there is no record of {} {period}", S::PARAMETER),
        ),
        Err(error) => {
            tracing::error!(%period, error = format!("{error:#}"), "the rows cannot be read");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "the rows cannot be read")
        }
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"error": detail}))).into_response()
}
