//! HTTP responses.

use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Response};
use serde_json::json;
use shoplake_ingest::Receipt;

use crate::problem::Problem;

/// Returns 200: the function runs, in this version.
pub(crate) fn healthy() -> Response<Body> {
    let body = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")});
    respond(StatusCode::OK, "application/json", body.to_string())
}

/// Returns 202: every event is in the stream, and will be in silver or in quarantine.
pub(crate) fn accepted(receipts: &[Receipt]) -> Response<Body> {
    let body = json!({"accepted": receipts.len(), "receipts": receipts});
    respond(StatusCode::ACCEPTED, "application/json", body.to_string())
}

/// Returns the problem's status, header and document.
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
    // A response belongs to one request: no cache may keep it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
