//! The path of a request, from its body to its receipts.

use std::sync::Arc;

use shoplake_aws::shops::CachedShopList;
use shoplake_aws::stream::{Packed, PutFailure, Stream, pack};
use shoplake_contracts::{Contract, Contracts, Delivery, RowMetadata};
use shoplake_platform::metrics::{
    ACCEPTED_EVENTS, Metrics, RECEIVED_BODY, RECEIVED_EVENTS, REJECTED_EVENTS, REJECTED_REQUESTS,
    UNACCEPTED_EVENTS,
};

use crate::accepted_ids::{AcceptedIds, BodyDigest, RequestId};
use crate::envelopes::{self, WrappedEvent};
use crate::events;
use crate::partition_limit::{DEFAULT_LIMIT, PartitionLimit};
use crate::rejection::{Receipt, Rejection, StreamFailure};
use crate::request::AuthenticatedRequest;
use crate::validation;

/// Accepts the events of authenticated senders.
pub struct Ingest {
    contracts: Contracts,
    shops: Arc<CachedShopList>,
    stream: Arc<dyn Stream>,
    metrics: Metrics,
    stream_prefix: String,
    accepted_ids: AcceptedIds,
    partition_limit: PartitionLimit,
}

/// A dataset whose events can be sent; from [`Ingest::dataset`].
#[derive(Clone, Copy, Debug)]
pub struct Dataset<'a>(&'a Contract);

impl<'a> Dataset<'a> {
    /// Returns the dataset's name.
    pub fn name(&self) -> &'a str {
        &self.0.dataset
    }
}

/// What happened to the events of one request: received = accepted + unaccepted + rejected.
#[derive(Debug, Default)]
struct Counts {
    received: usize,
    accepted: usize,
    unaccepted: usize,
}

impl Ingest {
    /// Returns the path to the streams `<stream_prefix>-<source>`, with the
    /// [default limit](DEFAULT_LIMIT) of old and future partitions.
    pub fn new(
        contracts: Contracts,
        shops: Arc<CachedShopList>,
        stream: Arc<dyn Stream>,
        metrics: Metrics,
        stream_prefix: impl Into<String>,
    ) -> Self {
        Self {
            contracts,
            shops,
            stream,
            metrics,
            stream_prefix: stream_prefix.into(),
            accepted_ids: AcceptedIds::default(),
            partition_limit: PartitionLimit::new(DEFAULT_LIMIT),
        }
    }

    /// Allows each shop this many old and future partitions an hour.
    #[must_use]
    pub fn with_partition_limit(self, limit: usize) -> Self {
        Self { partition_limit: PartitionLimit::new(limit), ..self }
    }

    /// Returns the dataset of this name, if its events can be sent.
    pub fn dataset(&self, name: &str) -> Option<Dataset<'_>> {
        self.contracts.get(name).filter(|contract| takes_events(contract)).map(Dataset)
    }

    /// Returns the names of the datasets whose events can be sent.
    pub fn datasets(&self) -> Vec<&str> {
        let contracts = self.contracts.iter().filter(|contract| takes_events(contract));
        contracts.map(|contract| contract.dataset.as_str()).collect()
    }

    /// Puts the events of a request on the stream of the dataset's source, and counts them.
    ///
    /// # Errors
    ///
    /// Why not all events were accepted.
    pub async fn accept(
        &self,
        dataset: Dataset<'_>,
        request: &AuthenticatedRequest<'_>,
    ) -> Result<Vec<Receipt>, Rejection> {
        let mut counts = Counts::default();
        let result = self.process(dataset.0, request, &mut counts).await;
        self.count(dataset, request.body.len(), &counts);
        result
    }

    /// Counts a request that was rejected before its events were read, such as one whose sender was
    /// not authenticated.
    pub fn count_rejected_request(&self, dataset: Dataset<'_>, body_bytes: usize) {
        self.count(dataset, body_bytes, &Counts::default());
    }

    /// Takes the steps, cheapest first, and puts no event before all of them are valid.
    async fn process(
        &self,
        contract: &Contract,
        request: &AuthenticatedRequest<'_>,
        counts: &mut Counts,
    ) -> Result<Vec<Receipt>, Rejection> {
        let AuthenticatedRequest { shop, id, body, received_at } = *request;
        let digest = BodyDigest::new(body);
        let request_id =
            RequestId { shop: shop.clone(), dataset: contract.dataset.clone(), id: id.to_owned() };
        self.accepted_ids.check(&request_id, digest, received_at).map_err(Rejection::ReusedId)?;

        let events = events::split(body)?;
        counts.received = events.len();
        let shops = self.shops.shops().await;
        let backfill = shops.as_deref().and_then(|shops| shops.open_backfill(shop, received_at));
        let metadata = RowMetadata::new(shop, received_at).in_backfill(backfill);
        let partitions = validation::partitions(contract, metadata, &events)?;

        let source = contract.sources.first().map_or("", String::as_str);
        let wrapped =
            envelopes::wrap(contract, source, request, backfill, &events).inspect_err(|error| {
                tracing::error!(%error, "the envelopes of the events could not be written");
            })?;
        validation::check_sizes(&wrapped)?;
        if backfill.is_none() {
            self.partition_limit
                .check(shop, &contract.dataset, partitions, received_at)
                .map_err(Rejection::TooManyPartitions)?;
        }
        let result = self.put(source, wrapped, counts).await;
        if counts.accepted > 0 {
            self.accepted_ids.remember(request_id, digest, received_at);
        }
        result
    }

    /// Puts the envelopes on the source's stream.
    async fn put(
        &self,
        source: &str,
        wrapped: Vec<WrappedEvent>,
        counts: &mut Counts,
    ) -> Result<Vec<Receipt>, Rejection> {
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
        let failure = match error.reason {
            PutFailure::Throttled(_) => StreamFailure::Throttled,
            PutFailure::Unavailable(_) | PutFailure::Refused(_) | PutFailure::TooLarge { .. } => {
                StreamFailure::Unavailable
            }
        };
        Err(Rejection::Unaccepted { failure, accepted, unaccepted })
    }

    fn count(&self, dataset: Dataset<'_>, body_bytes: usize, counts: &Counts) {
        let mut values = vec![(RECEIVED_BODY, body_bytes)];
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
        self.metrics.emit(Some(dataset.name()), &values);
    }
}

/// Returns whether the dataset's events are sent one by one. The child of another dataset arrives
/// with its parent.
fn takes_events(contract: &Contract) -> bool {
    contract.delivery == Delivery::Stream && contract.parent.is_none()
}
