//! What goes back to the caller.

use lambda_http::{
    Body, Response,
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;
use serde_json::json;

use crate::problem::Problem;

/// One event that was taken (or not), by its place in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Receipt {
    /// The event's place in the request, from 0.
    pub(crate) index: usize,
    /// The id under which it goes on.
    pub(crate) id: String,
}

/// 200: this function runs, in this version.
pub(crate) fn healthy() -> Response<Body> {
    let body = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")});
    respond(StatusCode::OK, "application/json", body.to_string())
}

/// 202: every event is in the stream, and will be in silver or in quarantine.
pub(crate) fn accepted(receipts: &[Receipt]) -> Response<Body> {
    let body = json!({"accepted": receipts.len(), "receipts": receipts});
    respond(StatusCode::ACCEPTED, "application/json", body.to_string())
}

/// The refusal.
pub(crate) fn refused(problem: &Problem, request_id: &str) -> Response<Body> {
    let body = problem.to_json(request_id).unwrap_or_default();
    let mut response = respond(problem.status(), "application/problem+json", body);
    if let Some((name, value)) = problem.header() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // An answer belongs to one request, and no cache in between has any business with it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
