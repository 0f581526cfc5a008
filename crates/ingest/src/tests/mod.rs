//! The path of a request against ports in memory.

mod acceptance;
mod old_data;
mod repetition;
mod stream_failures;
mod validity;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use shoplake_aws::shops::{CachedShopList, MemoryShopList};
use shoplake_aws::stream::{MemoryStream, PutFailure, Record};
use shoplake_contracts::{Contracts, ShopId};
use shoplake_platform::clock::ManualClock;
use shoplake_platform::metrics::{MemorySink, Metrics};
use shoplake_testing::visits::{self, event, events, events_of_days, now};

use crate::{AuthenticatedRequest, Ingest, Receipt, Rejection};

const STREAM: &str = "test-web";

struct Fixture {
    ingest: Ingest,
    list: Arc<MemoryShopList>,
    stream: Arc<MemoryStream>,
    metrics: Arc<MemorySink>,
}

impl Fixture {
    fn new() -> Self {
        Self::of(visits::contracts_with_batch())
    }

    fn of(contracts: Contracts) -> Self {
        let list = Arc::new(MemoryShopList::default());
        list.set_shops(["acme", "other"]);
        let clock = Arc::new(ManualClock::new(now()));
        let shops = Arc::new(CachedShopList::new(list.clone(), clock));
        let stream = Arc::new(MemoryStream::default());
        let metrics = Arc::new(MemorySink::default());
        let sink = Metrics::new("webhook", metrics.clone());
        let ingest = Ingest::new(contracts, shops, stream.clone(), sink, "test");
        Self { ingest, list, stream, metrics }
    }

    /// Gives events to ingest as the shop acme, in the request `msg_1` that arrives now.
    async fn accept(&self, body: impl AsRef<[u8]>) -> Result<Vec<Receipt>, Rejection> {
        self.accept_as("acme", "msg_1", body).await
    }

    async fn accept_as(
        &self,
        shop: &str,
        id: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<Vec<Receipt>, Rejection> {
        self.accept_at(now(), shop, id, body).await
    }

    async fn accept_at(
        &self,
        received_at: DateTime<Utc>,
        shop: &str,
        id: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<Vec<Receipt>, Rejection> {
        let shop: ShopId = shop.parse().unwrap();
        let body = body.as_ref();
        let request = AuthenticatedRequest { shop: &shop, id, body, received_at };
        self.ingest.accept(self.ingest.dataset("visits").unwrap(), &request).await
    }

    /// The envelopes in the stream.
    fn envelopes(&self) -> Vec<Value> {
        let lines = self.stream.lines(STREAM);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn ids(receipts: &[Receipt]) -> Vec<&str> {
    for Receipt { index, id } in receipts {
        assert_eq!(*id, format!("msg_1.{index}"));
    }
    receipts.iter().map(|receipt| receipt.id.as_str()).collect()
}

fn unavailable() -> PutFailure {
    PutFailure::Unavailable("InternalFailure".to_owned())
}

/// Whether a record has the last of 500 events, which is not in the first record.
fn has_last_event(record: &Record) -> bool {
    String::from_utf8_lossy(&record.data).contains(r#""event_id":"e499""#)
}
