//! Shops that post visits until they are accepted, a connector that delivers sales, and strangers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64_simd::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::{Body, Request, RequestExt, http};
use serde_json::{Value, json};
use sha2::Sha256;
use shoplake_aws::Stream;
use shoplake_aws::secrets::MemorySecrets;
use shoplake_aws::stream::Record;

use super::definitions::{POS, definitions};
use super::executor::sleep;
use super::functions::{Cloud, Function, InvokeError};
use super::pollers::stream;
use super::profile::BUSY;
use super::random::Random;
use super::reached::BadState;
use super::workload::{FORGED_AMOUNT, SHOPS, Sale, SalesBatch, Visit, VisitsRequest, Workload};
use crate::event::Event;

/// The path of visits.
const PATH: &str = "/v1/events/visits";

/// The secret with which a stranger signs.
pub(crate) const FORGED: &str = "whsec_c3RyYW5nZXI=";

/// The key of that secret.
const STRANGER: &[u8] = b"stranger";

/// What was accepted: the answer was 2xx, or the stream took it from the connector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepted {
    pub(crate) visits: Vec<Visit>,
    pub(crate) sales: Vec<Sale>,
}

/// The senders of a run.
pub(crate) struct Senders {
    cloud: Arc<Cloud>,
    random: Random,
    accepted: Mutex<Accepted>,
}

/// Returns the key with which a shop signs.
fn key(shop: &str) -> Vec<u8> {
    format!("the key of {shop}").into_bytes()
}

/// Returns the secrets of all shops.
pub(crate) fn secrets() -> MemorySecrets {
    let secrets = MemorySecrets::default();
    for shop in SHOPS {
        let secret = format!("whsec_{}", STANDARD.encode_to_string(key(shop)));
        secrets.set(shop.parse().expect("a shop id"), [secret.as_str()]);
    }
    secrets
}

impl Senders {
    /// Starts to send.
    pub(crate) fn start(cloud: &Arc<Cloud>, workload: &Workload) -> Arc<Self> {
        let senders = Arc::new(Self {
            cloud: cloud.clone(),
            random: Random::new("senders", cloud.world.seed),
            accepted: Mutex::default(),
        });
        for request in workload.requests.iter().cloned() {
            cloud.world.spawn(senders.clone().visits(request));
        }
        for batch in workload.batches.iter().cloned() {
            cloud.world.spawn(senders.clone().sales(batch));
        }
        cloud.world.spawn(senders.clone().stranger());
        cloud.world.spawn(senders.clone().invalid());
        senders
    }

    /// Returns what was accepted so far.
    pub(crate) fn accepted(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts visits until they are accepted.
    async fn visits(self: Arc<Self>, request: VisitsRequest) {
        let world = &self.cloud.world;
        sleep(request.after).await;
        let body = events(&request.visits);
        while !self.is_accepted(&request, &body).await {
            sleep(self.random.seconds(1, 120)).await;
        }
        world.trace(format_args!("accepted {}", request.id));
        self.accepted().visits.extend(request.visits.iter().cloned());
        if world.goes_wrong(&self.random, world.profile.repetitions) {
            sleep(self.random.seconds(0, 600)).await;
            world.reach(BadState::RequestRepeated);
            self.is_accepted(&request, &body).await;
        }
    }

    async fn is_accepted(&self, request: &VisitsRequest, body: &[u8]) -> bool {
        match self.post(request.shop, &request.id, body, &key(request.shop)).await {
            Ok(200..=299) => true,
            Ok(status @ (400..=428 | 430..=499)) => {
                self.cloud.world.violate(format!("{}: a valid request got {status}", request.id));
                false
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Returns the status of the answer.
    async fn post(
        &self,
        shop: &str,
        id: &str,
        body: &[u8],
        key: &[u8],
    ) -> Result<u16, InvokeError> {
        let request = signed(shop, id, body, key, self.cloud.world.now());
        let webhook = async move |cloud: Arc<Cloud>| {
            Ok(cloud.webhook.handle(request).await.status().as_u16())
        };
        self.cloud.invoke(Function::Webhook, webhook).await
    }

    /// Delivers sales until the stream has taken them. A record that was taken is not sent again.
    async fn sales(self: Arc<Self>, batch: SalesBatch) {
        sleep(batch.after).await;
        let mut records: Vec<_> = batch.sales.iter().map(|sale| self.record(sale)).collect();
        while let Err(error) = self.cloud.stream.put(&stream(POS), records.clone()).await {
            let mut place = 0;
            records.retain(|_| {
                place += 1;
                error.unaccepted.contains(&(place - 1))
            });
            sleep(self.random.seconds(1, 120)).await;
        }
        self.cloud.world.trace(format_args!("delivered {} sales", batch.sales.len()));
        self.accepted().sales.extend(batch.sales);
    }

    fn record(&self, sale: &Sale) -> Record {
        let data = json!({
            "sale_id": sale.id, "day": sale.day, "updated_at": sale.updated_at,
            "quantity": sale.quantity,
        });
        let event =
            Event { received_at: self.cloud.world.now(), ..Event::new("sales", sale.shop, data) };
        let line = event.to_line(&definitions().0).expect("a sale is an envelope");
        Record { partition_key: sale.id.clone(), data: line }
    }

    /// Posts visits of a shop without its secret.
    async fn stranger(self: Arc<Self>) {
        sleep(self.random.seconds(0, BUSY.as_secs())).await;
        let visit = json!({
            "event_id": "forged", "occurred_at": self.cloud.world.start(), "kind": "view",
            "amount": FORGED_AMOUNT, "code": "1",
        });
        self.refused("forged", &visit, STRANGER).await;
    }

    /// Posts a visit that breaks its contract.
    async fn invalid(self: Arc<Self>) {
        sleep(self.random.seconds(0, BUSY.as_secs())).await;
        let visit = json!({
            "event_id": "invalid", "occurred_at": self.cloud.world.start(), "kind": "view",
            "amount": 0, "code": "1",
        });
        self.refused("invalid", &visit, &key(SHOPS[0])).await;
    }

    /// Posts a visit that must not be accepted.
    async fn refused(&self, id: &str, visit: &Value, key: &[u8]) {
        match self.post(SHOPS[0], id, visit.to_string().as_bytes(), key).await {
            Ok(status @ 200..=299) => {
                self.cloud.world.violate(format!("{id}: an invalid request got {status}"));
            }
            Ok(400..=499) => self.cloud.world.reach(BadState::RequestRefused),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Returns the body of a request.
fn events(visits: &[Visit]) -> Vec<u8> {
    let events: Vec<_> = visits.iter().map(Visit::event).collect();
    json!(events).to_string().into_bytes()
}

/// Returns a request that is signed with `key`.
fn signed(shop: &str, id: &str, body: &[u8], key: &[u8], now: DateTime<Utc>) -> Request {
    let timestamp = now.timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let signature = STANDARD.encode_to_string(mac.finalize().into_bytes());
    let request = http::Request::post(format!("https://shoplake.test{PATH}"))
        .header("content-type", "application/json")
        .header("x-shop-id", shop)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{signature}"))
        .body(Body::Binary(body.to_vec()))
        .expect("a request");
    request.with_raw_http_path(PATH)
}
