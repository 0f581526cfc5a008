//! From a request to an answer.

use std::sync::Arc;

use lambda_http::{
    Body, Request, RequestExt, Response,
    http::{HeaderMap, header},
};
use serde_json::value::RawValue;
use shoplake_contracts::{Code, Contract, Contracts, Delivery, Reason, Stamp};
use shoplake_platform::{
    clock::Clock,
    metrics::{
        ACCEPTED_EVENTS, Metrics, RECEIVED_BODY, RECEIVED_EVENTS, REJECTED_EVENTS, REJECTED_REQUESTS,
        UNACCEPTED_EVENTS,
    },
    secrets::{Secrets, SecretsError},
    stream::{MAX_RECORD_BYTES, Packed, Stream, pack},
};
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::{
    envelopes::{self, Wrapped},
    events::{self, MAX_BODY_BYTES},
    problem::{EventError, Problem},
    response::{self, Receipt},
    route::Route,
    signature::{Claim, Key, SignatureError},
};

/// The webhook and what it depends on.
pub(crate) struct App {
    /// The datasets.
    pub(crate) contracts: Contracts,
    /// The secrets of shops.
    pub(crate) secrets: Arc<dyn Secrets>,
    /// Where accepted events go.
    pub(crate) stream: Arc<dyn Stream>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// A source's stream is called `<prefix>-<source>`.
    pub(crate) stream_prefix: String,
}

/// What became of the events of one request: received = accepted + unaccepted + rejected.
#[derive(Debug, Default)]
struct Tally {
    body_bytes: usize,
    received: usize,
    accepted: usize,
    unaccepted: usize,
}

impl App {
    /// Answers a request; whatever is wrong with it, there is an answer.
    pub(crate) async fn handle(&self, request: Request) -> Response<Body> {
        // Lambda's own ids are UUIDs as well.
        let request_id = request
            .lambda_context_ref()
            .map(|context| context.request_id.clone())
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| Uuid::now_v7().to_string());
        // Nothing of the payload or of a secret goes into the log.
        let span = tracing::info_span!(
            "request",
            request_id,
            dataset = field::Empty,
            shop = field::Empty,
            webhook_id = field::Empty,
        );
        self.answer(&request, &request_id).instrument(span).await
    }

    async fn answer(&self, request: &Request, request_id: &str) -> Response<Body> {
        let outcome = match Route::of(request.method(), request.raw_http_path()) {
            Route::Health => return response::healthy(),
            Route::Events { dataset } => self.receive(dataset, request).await,
            Route::MethodNotAllowed { allowed } => Err(Problem::method_not_allowed(allowed)),
            Route::NotFound => Err(Problem::no_such_path()),
        };
        match outcome {
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
        // Only a dataset that exists is logged and counted: a path can say anything, and every name is a new metric.
        let contract = self
            .contracts
            .get(dataset)
            .filter(|contract| takes_events(contract))
            .ok_or_else(|| Problem::no_such_dataset(&self.datasets()))?;
        Span::current().record("dataset", dataset);

        let mut tally = Tally::default();
        let outcome = self.take(contract, request, &mut tally).await;
        self.count(dataset, &tally);
        outcome
    }

    /// The steps, cheapest first: nothing is read before the request is known to come from a shop, and nothing is put
    /// before all of it is known to be valid.
    async fn take(
        &self,
        contract: &Contract,
        request: &Request,
        tally: &mut Tally,
    ) -> Result<Vec<Receipt>, Problem> {
        let body: &[u8] = request.body().as_ref();
        tally.body_bytes = body.len();
        if !is_plain_json(request.headers()) {
            return Err(Problem::not_json());
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(Problem::body_too_large(body.len()));
        }

        let claim = Claim::read(request.headers(), self.clock.now())?;
        Span::current().record("shop", field::display(&claim.shop)).record("webhook_id", claim.id);
        self.authenticate(&claim, body).await?;

        let events = events::split(body)?;
        tally.received = events.len();
        let received_at = self.clock.now();
        validate(contract, Stamp::new(&claim.shop, received_at), &events)?;

        let source = contract.sources.first().map_or("", String::as_str);
        let wrapped = envelopes::wrap(contract, source, &claim.shop, claim.id, received_at, &events)
            .map_err(|error| {
                tracing::error!(%error, "events could not be wrapped");
                Problem::internal()
            })?;
        check_sizes(&wrapped)?;
        self.put(source, wrapped, tally).await
    }

    /// Whether the shop that the request names has signed it.
    async fn authenticate(&self, claim: &Claim<'_>, body: &[u8]) -> Result<(), Problem> {
        let (known, keys) = match self.secrets.webhook_secrets(&claim.shop).await {
            Ok(secrets) => (true, secrets.iter().filter_map(Key::read).collect()),
            Err(SecretsError::UnknownShop { .. }) => (false, Vec::from_iter(Key::of_nobody())),
            Err(error @ SecretsError::Unavailable { .. }) => {
                tracing::error!(%error, "secrets unavailable");
                return Err(Problem::secrets_unavailable());
            }
        };
        if keys.is_empty() {
            // The shop is not to blame: what we have stored is no secret.
            tracing::error!("none of the shop's secrets is of the form whsec_<base64>; rotate it");
            return Err(Problem::secrets_unavailable());
        }
        let proven = claim.is_proven_by(&keys, body);
        if known && proven { Ok(()) } else { Err(SignatureError::Unproven.into()) }
    }

    /// Puts the envelopes to the source's stream.
    async fn put(
        &self,
        source: &str,
        wrapped: Vec<Wrapped>,
        tally: &mut Tally,
    ) -> Result<Vec<Receipt>, Problem> {
        let (records, lines): (Vec<_>, Vec<_>) = pack(wrapped.iter().map(|event| &event.line))
            .into_iter()
            .map(|Packed { record, line_indexes }| (record, line_indexes))
            .unzip();
        let receipts: Vec<Receipt> =
            wrapped.into_iter().enumerate().map(|(index, event)| Receipt { index, id: event.id }).collect();

        let stream = format!("{}-{source}", self.stream_prefix);
        let Err(error) = self.stream.put(&stream, records).await else {
            tally.accepted = receipts.len();
            return Ok(receipts);
        };
        tracing::error!(%error, "events not accepted by the stream");
        let (unaccepted, accepted): (Vec<_>, Vec<_>) = receipts.into_iter().partition(|receipt| {
            error
                .unaccepted
                .iter()
                .any(|&record| lines.get(record).is_some_and(|lines| lines.contains(&receipt.index)))
        });
        tally.accepted = accepted.len();
        tally.unaccepted = unaccepted.len();
        Err(Problem::unaccepted(&error, accepted, unaccepted))
    }

    fn datasets(&self) -> Vec<&str> {
        self.contracts
            .iter()
            .filter(|contract| takes_events(contract))
            .map(|contract| contract.dataset.as_str())
            .collect()
    }

    fn count(&self, dataset: &str, tally: &Tally) {
        let mut values = vec![(RECEIVED_BODY, tally.body_bytes)];
        if tally.received == 0 {
            values.push((REJECTED_REQUESTS, 1));
        } else {
            values.extend([
                (RECEIVED_EVENTS, tally.received),
                (ACCEPTED_EVENTS, tally.accepted),
                (UNACCEPTED_EVENTS, tally.unaccepted),
                (REJECTED_EVENTS, tally.received - tally.accepted - tally.unaccepted),
            ]);
        }
        let values: Vec<_> = values.into_iter().map(|(metric, value)| (metric, value as f64)).collect();
        self.metrics.emit(Some(dataset), &values);
    }
}

/// Whether the webhook is the way in. The child of another dataset comes with its parent.
fn takes_events(contract: &Contract) -> bool {
    contract.delivery == Delivery::Stream && contract.parent.is_none()
}

/// A compressed body would have to be unpacked before anybody knows who sent it.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    media_type.trim().eq_ignore_ascii_case("application/json") && !encoded
}

/// All or nothing: one event that does not keep the contract (or names another shop) refuses them all.
fn validate(contract: &Contract, stamp: Stamp<'_>, events: &[&RawValue]) -> Result<(), Problem> {
    let errors: Vec<EventError> = events
        .iter()
        .enumerate()
        .filter_map(|(index, event)| {
            let reasons = contract.validate(stamp, event.get().as_bytes()).err()?;
            Some(reasons.into_iter().map(move |reason| EventError { index, reason }))
        })
        .flatten()
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_events(events.len(), errors)) }
}

/// An envelope that no record can hold would fail for ever; better its sender knows now.
fn check_sizes(wrapped: &[Wrapped]) -> Result<(), Problem> {
    let errors: Vec<EventError> = wrapped
        .iter()
        .enumerate()
        .filter(|(_, event)| event.line.len() > MAX_RECORD_BYTES)
        .map(|(index, event)| EventError {
            index,
            reason: Reason {
                field: String::new(),
                expected: format!("an event of at most {MAX_RECORD_BYTES} bytes in its envelope"),
                actual: format!("{} bytes", event.line.len()),
                code: Code::TooLarge,
            },
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::events_too_large(errors)) }
}

#[cfg(test)]
mod tests;
