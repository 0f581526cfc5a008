//! Handles requests: from HTTP to the events of an authenticated sender, and back.

use std::sync::Arc;

use lambda_http::http::{HeaderMap, header};
use lambda_http::{Body, Request, RequestExt, Response};
use shoplake_aws::secrets::Secrets;
use shoplake_ingest::{AuthenticatedRequest, Dataset, Ingest, Receipt};
use shoplake_platform::clock::Clock;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::authentication::authenticate;
use crate::problem::Problem;
use crate::response;
use crate::route::Route;
use crate::standard_webhooks::SignedRequest;

/// The largest body.
///
/// Lambda takes an event of 6,291,556 bytes, in which the body is a JSON string: a quote, a
/// backslash or a line break takes two bytes there, so a valid JSON body at most doubles. The rest
/// is for the headers (10,240 bytes, escaped and twice in the event) and the request's context.
/// With a larger limit API Gateway would answer 5xx to some bodies below the limit, on every
/// attempt.
pub(crate) const MAX_BODY_BYTES: usize = 3_000_000;

/// The webhook and its ports.
pub struct Webhook {
    /// Where events of authenticated senders go.
    pub ingest: Ingest,
    /// The secrets of shops.
    pub secrets: Arc<dyn Secrets>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Webhook {
    /// Returns the response to a request: receipts, or a problem document.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        // Lambda's own ids are UUIDs as well.
        let request_id = request
            .lambda_context_ref()
            .map(|context| context.request_id.clone())
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| Uuid::now_v7().to_string());
        // Neither the payload nor a secret is logged.
        let span = tracing::info_span!(
            "request",
            request_id,
            dataset = field::Empty,
            shop = field::Empty,
            webhook_id = field::Empty,
        );
        self.respond(&request, &request_id).instrument(span).await
    }

    async fn respond(&self, request: &Request, request_id: &str) -> Response<Body> {
        let result = match Route::new(request.method(), request.raw_http_path()) {
            Route::Health => return response::healthy(),
            Route::Events { dataset } => self.receive(dataset, request).await,
            Route::MethodNotAllowed { allowed } => {
                Err(Problem::method_not_allowed(request.method(), allowed))
            }
            Route::NotFound => Err(Problem::no_such_path(request.raw_http_path())),
        };
        match result {
            Ok(receipts) => {
                tracing::info!(status = 202, events = receipts.len(), "accepted");
                response::accepted(&receipts)
            }
            Err(problem) => {
                let status = problem.status().as_u16();
                tracing::info!(status, problem = problem.name(), "refused");
                response::refused(&problem, request_id)
            }
        }
    }

    async fn receive(&self, dataset: &str, request: &Request) -> Result<Vec<Receipt>, Problem> {
        // Only a dataset that exists is logged and counted: each name is a metric of its own.
        let dataset = self
            .ingest
            .dataset(dataset)
            .ok_or_else(|| Problem::no_such_dataset(dataset, &self.ingest.datasets()))?;
        Span::current().record("dataset", dataset.name());
        match self.check(request).await {
            Ok(signed) => self.accept(dataset, &signed, request.body()).await,
            Err(problem) => {
                self.ingest.count_rejected_request(dataset, request.body().len());
                Err(problem)
            }
        }
    }

    /// Checks everything that can be checked without reading the body, cheapest first.
    async fn check<'r>(&self, request: &'r Request) -> Result<SignedRequest<'r>, Problem> {
        let body: &[u8] = request.body().as_ref();
        if !is_plain_json(request.headers()) {
            return Err(Problem::not_json(request.headers()));
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(Problem::body_too_large(body.len(), MAX_BODY_BYTES));
        }
        let signed = SignedRequest::read(request.headers(), self.clock.now())?;
        Span::current()
            .record("shop", field::display(&signed.shop))
            .record("webhook_id", signed.id);
        authenticate(&*self.secrets, &signed, body).await?;
        Ok(signed)
    }

    async fn accept(
        &self,
        dataset: Dataset<'_>,
        signed: &SignedRequest<'_>,
        body: &[u8],
    ) -> Result<Vec<Receipt>, Problem> {
        let SignedRequest { shop, id, received_at, .. } = signed;
        let request = AuthenticatedRequest { shop, id, body, received_at: *received_at };
        self.ingest
            .accept(dataset, &request)
            .await
            .map_err(|rejection| Problem::rejected(rejection, shop, id))
    }
}

/// Returns whether the body is uncompressed JSON. A compressed body would have to be unpacked
/// before its sender is authenticated.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let is_encoded =
        headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    media_type.trim().eq_ignore_ascii_case("application/json") && !is_encoded
}
