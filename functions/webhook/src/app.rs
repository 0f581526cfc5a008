//! From a request to an answer.

use std::sync::Arc;

use lambda_http::{
    Body, Request, RequestExt, Response,
    http::{HeaderMap, header},
};
use serde_json::value::RawValue;
use shoplake_aws::{
    secrets::{Secrets, SecretsError},
    shops::CachedShopList,
    stream::{MAX_RECORD_BYTES, Packed, Stream, pack},
};
use shoplake_contracts::{Code, Contract, Contracts, Delivery, Partition, Reason, Rejected, Stamp};
use shoplake_platform::{
    clock::Clock,
    metrics::{
        ACCEPTED_EVENTS, Metrics, RECEIVED_BODY, RECEIVED_EVENTS, REJECTED_EVENTS,
        REJECTED_REQUESTS, UNACCEPTED_EVENTS,
    },
};
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::{
    accepted_ids::{AcceptedIds, Digest, RequestId},
    envelopes::{self, Wrapped},
    events::{self, MAX_BODY_BYTES},
    partition_limit::PartitionLimit,
    problem::{EventError, Problem},
    response::{self, Receipt},
    route::Route,
    signature::{Key, SignatureError, SignedRequest},
};

/// The webhook and what it depends on.
pub(crate) struct App {
    /// The datasets.
    pub(crate) contracts: Contracts,
    /// The secrets of shops.
    pub(crate) secrets: Arc<dyn Secrets>,
    /// The shops for which a backfill is open.
    pub(crate) shops: Arc<CachedShopList>,
    /// Where accepted events go.
    pub(crate) stream: Arc<dyn Stream>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// A source's stream is called `<prefix>-<source>`.
    pub(crate) stream_prefix: String,
    /// The ids of requests that were accepted.
    pub(crate) accepted_ids: AcceptedIds,
    /// The limit of old and future partitions.
    pub(crate) partition_limit: PartitionLimit,
}

/// What became of the events of one request: received = accepted + unaccepted + rejected.
#[derive(Debug, Default)]
struct Counts {
    body_bytes: usize,
    received: usize,
    accepted: usize,
    unaccepted: usize,
}

impl App {
    /// Answers a request, also one that is wrong in any way.
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
            Route::MethodNotAllowed { allowed } => {
                Err(Problem::method_not_allowed(request.method(), allowed))
            }
            Route::NotFound => Err(Problem::no_such_path(request.raw_http_path())),
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
        // Only a dataset that exists is logged and counted: each name is a metric of its own.
        let contract = self
            .contracts
            .get(dataset)
            .filter(|contract| takes_events(contract))
            .ok_or_else(|| Problem::no_such_dataset(dataset, &self.datasets()))?;
        Span::current().record("dataset", dataset);

        let mut counts = Counts::default();
        let outcome = self.take(contract, request, &mut counts).await;
        self.count(dataset, &counts);
        outcome
    }

    /// Takes the steps, cheapest first: reads no event before the request is authenticated, and
    /// puts none before all of them are known to be valid.
    async fn take(
        &self,
        contract: &Contract,
        request: &Request,
        counts: &mut Counts,
    ) -> Result<Vec<Receipt>, Problem> {
        let body: &[u8] = request.body().as_ref();
        counts.body_bytes = body.len();
        if !is_plain_json(request.headers()) {
            return Err(Problem::not_json(request.headers()));
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(Problem::body_too_large(body.len()));
        }

        let now = self.clock.now();
        let signed = SignedRequest::read(request.headers(), now)?;
        let SignedRequest { shop, id, .. } = &signed;
        Span::current().record("shop", field::display(shop)).record("webhook_id", id);
        self.authenticate(&signed, body).await?;
        let digest = Digest::of(body);
        let request_id = RequestId {
            shop: shop.clone(),
            dataset: contract.dataset.clone(),
            id: (*id).to_owned(),
        };
        self.accepted_ids
            .check(&request_id, digest, now)
            .map_err(|reused| Problem::webhook_id_reused(id, &reused))?;

        let events = events::split(body)?;
        counts.received = events.len();
        let shops = self.shops.shops().await;
        let backfill = shops.as_deref().and_then(|shops| shops.open_backfill(shop, now));
        let stamp = Stamp::new(shop, now).in_backfill(backfill);
        let partitions = validate(contract, stamp, &events)?;

        let source = contract.sources.first().map_or("", String::as_str);
        let wrapped = envelopes::wrap(contract, source, shop, id, now, backfill, &events).map_err(
            |error| {
                tracing::error!(%error, "events could not be wrapped");
                Problem::internal()
            },
        )?;
        check_sizes(&wrapped)?;
        if backfill.is_none() {
            self.partition_limit
                .check(shop, &contract.dataset, partitions, now)
                .map_err(|refused| Problem::too_many_partitions(shop, &refused))?;
        }
        let outcome = self.put(source, wrapped, counts).await;
        if counts.accepted > 0 {
            self.accepted_ids.remember(request_id, digest, now);
        }
        outcome
    }

    /// Fails unless the shop that the request names has signed it.
    async fn authenticate(&self, request: &SignedRequest<'_>, body: &[u8]) -> Result<(), Problem> {
        let (known, keys) = match self.secrets.webhook_secrets(&request.shop).await {
            Ok(secrets) => (true, secrets.iter().filter_map(Key::read).collect()),
            Err(SecretsError::UnknownShop { .. }) => (false, Vec::from_iter(Key::dummy_key())),
            Err(error @ SecretsError::Unavailable { .. }) => {
                tracing::error!(%error, "secrets unavailable");
                return Err(Problem::secrets_unavailable());
            }
        };
        if keys.is_empty() {
            // A fault of the deployment, so the answer is not the shop's 401.
            tracing::error!(
                "none of the shop's secrets has the form whsec_<base64>; rotate the secret"
            );
            return Err(Problem::secrets_unavailable());
        }
        let signed = request.is_signed_with(&keys, body);
        if known && signed { Ok(()) } else { Err(SignatureError::InvalidSignature.into()) }
    }

    /// Puts the envelopes to the source's stream.
    async fn put(
        &self,
        source: &str,
        wrapped: Vec<Wrapped>,
        counts: &mut Counts,
    ) -> Result<Vec<Receipt>, Problem> {
        let (records, lines): (Vec<_>, Vec<_>) = pack(wrapped.iter().map(|event| &event.line))
            .into_iter()
            .map(|Packed { record, line_indexes }| (record, line_indexes))
            .unzip();
        let receipts: Vec<Receipt> = wrapped
            .into_iter()
            .enumerate()
            .map(|(index, event)| Receipt { index, id: event.id })
            .collect();

        let stream = format!("{}-{source}", self.stream_prefix);
        let Err(error) = self.stream.put(&stream, records).await else {
            counts.accepted = receipts.len();
            return Ok(receipts);
        };
        tracing::error!(%error, "events not accepted by the stream");
        let (unaccepted, accepted): (Vec<_>, Vec<_>) = receipts.into_iter().partition(|receipt| {
            error.unaccepted.iter().any(|&record| {
                lines.get(record).is_some_and(|lines| lines.contains(&receipt.index))
            })
        });
        counts.accepted = accepted.len();
        counts.unaccepted = unaccepted.len();
        Err(Problem::unaccepted(&error, accepted, unaccepted))
    }

    fn datasets(&self) -> Vec<&str> {
        self.contracts
            .iter()
            .filter(|contract| takes_events(contract))
            .map(|contract| contract.dataset.as_str())
            .collect()
    }

    fn count(&self, dataset: &str, counts: &Counts) {
        let mut values = vec![(RECEIVED_BODY, counts.body_bytes)];
        if counts.received == 0 {
            values.push((REJECTED_REQUESTS, 1));
        } else {
            values.extend([
                (RECEIVED_EVENTS, counts.received),
                (ACCEPTED_EVENTS, counts.accepted),
                (UNACCEPTED_EVENTS, counts.unaccepted),
                (REJECTED_EVENTS, counts.received - counts.accepted - counts.unaccepted),
            ]);
        }
        let values: Vec<_> =
            values.into_iter().map(|(metric, value)| (metric, value as f64)).collect();
        self.metrics.emit(Some(dataset), &values);
    }
}

/// Returns whether the dataset's events arrive by webhook. The child of another dataset comes with
/// its parent.
fn takes_events(contract: &Contract) -> bool {
    contract.delivery == Delivery::Stream && contract.parent.is_none()
}

/// Returns whether the body is JSON as it is: a compressed one would have to be unpacked before its
/// sender is authenticated.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let encoded =
        headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    media_type.trim().eq_ignore_ascii_case("application/json") && !encoded
}

/// Returns the partitions of the events. All or nothing: one event that does not keep the contract
/// (or names another shop) refuses all of them.
fn validate(
    contract: &Contract,
    stamp: Stamp<'_>,
    events: &[&RawValue],
) -> Result<Vec<Partition>, Problem> {
    let mut row = contract.row();
    let mut partitions = Vec::with_capacity(events.len());
    let mut errors = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let data = event.get().as_bytes();
        match contract.decode(stamp, data, &mut row) {
            Ok(()) => partitions.extend(contract.partition.of(contract.partition_value(&row))),
            Err(Rejected) => {
                let reasons = contract.explain(stamp, data).into_iter();
                errors.extend(reasons.map(|reason| EventError { index, reason }));
            }
        }
    }
    if errors.is_empty() {
        Ok(partitions)
    } else {
        Err(Problem::invalid_events(events.len(), errors))
    }
}

/// Refuses an event whose envelope no record can hold: it would fail however often it is sent.
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
