//! The API over HTTP.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use super::{Days, Sale, cursor};

/// More rows than this are never on one page, whatever the client asks for.
const LARGEST_PAGE: usize = 1_000;

/// Deliberate misbehaviour, so that a client can show that it copes. Zero means never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Every n-th request is answered with 503.
    pub fail_every: u64,
    /// Every n-th request is answered with 429.
    pub throttle_every: u64,
    /// What the 429 asks for, in seconds.
    pub retry_after_seconds: u64,
}

/// `GET /v1/sales?business_date=YYYY-MM-DD&limit=500&cursor=...`
pub struct Server {
    days: Days,
    token: String,
    faults: Faults,
    requests: AtomicU64,
    /// The day that was asked for last: its pages are asked for one after the other.
    open_day: Mutex<Option<(NaiveDate, Arc<[Sale]>)>>,
}

#[derive(Deserialize)]
struct PageQuery {
    business_date: NaiveDate,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    data: &'a [Sale],
    next_cursor: Option<String>,
}

impl Server {
    /// A server of `days` for the holder of `token`.
    #[must_use]
    pub fn new(days: Days, token: String, faults: Faults) -> Self {
        Self { days, token, faults, requests: AtomicU64::new(0), open_day: Mutex::new(None) }
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    fn sales(&self, day: NaiveDate) -> anyhow::Result<Arc<[Sale]>> {
        let mut open_day = self.open_day.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, sales)) = &*open_day
            && *of == day
        {
            return Ok(Arc::clone(sales));
        }
        let sales: Arc<[Sale]> = self.days.sales(day)?.into();
        *open_day = Some((day, Arc::clone(&sales)));
        Ok(sales)
    }

    fn router(self) -> Router {
        let server = Arc::new(self);
        Router::new()
            .route("/v1/sales", get(sales))
            .layer(middleware::from_fn_with_state(Arc::clone(&server), authorised))
            .layer(middleware::from_fn_with_state(Arc::clone(&server), misbehave))
            .with_state(server)
    }
}

async fn misbehave(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let number = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let falls_on = |every: u64| every > 0 && number.is_multiple_of(every);
    if falls_on(server.faults.fail_every) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the tills are being closed, try again");
    }
    if falls_on(server.faults.throttle_every) {
        let retry_after = [(header::RETRY_AFTER, server.faults.retry_after_seconds.to_string())];
        return (retry_after, refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests")).into_response();
    }
    next.run(request).await
}

async fn authorised(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let token =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if token == Some(server.token.as_str()) {
        next.run(request).await
    } else {
        refuse(StatusCode::UNAUTHORIZED, "the bearer token is missing, wrong or expired")
    }
}

async fn sales(State(server): State<Arc<Server>>, Query(query): Query<PageQuery>) -> Response {
    let day = query.business_date;
    let limit = query.limit.unwrap_or(500).min(LARGEST_PAGE);
    if limit == 0 {
        return refuse(StatusCode::BAD_REQUEST, "limit must be at least 1");
    }
    let offset = match query.cursor.as_deref() {
        None => 0,
        Some(text) => match cursor::decode(day, text) {
            Some(offset) => offset,
            None => return refuse(StatusCode::BAD_REQUEST, "the cursor is not one of this business date"),
        },
    };
    match server.sales(day) {
        Ok(sales) => {
            let end = sales.len().min(offset.saturating_add(limit));
            let page = sales.get(offset..end).unwrap_or_default();
            tracing::debug!(%day, offset, rows = page.len(), "page served");
            let next_cursor = (end < sales.len()).then(|| cursor::encode(day, end));
            Json(Page { data: page, next_cursor }).into_response()
        }
        Err(error) => {
            tracing::error!(%day, error = format!("{error:#}"), "the day cannot be read");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "the day cannot be read")
        }
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"error": detail}))).into_response()
}
