//! The lake's bucket: objects in memory, whose requests take time, fail and are repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use futures::FutureExt;
use shoplake_lake::state::PartitionState;
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError, Store, StoreError, keys,
};
use shoplake_platform::faults::Fault;

use super::bus::Bus;
use crate::protocol::functions::Function;
use crate::protocol::invariants::{Invariants, Written};
use crate::protocol::invocation;
use crate::protocol::planted::Planted;
use crate::protocol::reached::BadState;
use crate::protocol::world::{ServiceFaults, World};

/// The attempts of a request, as the client of the SDK makes them.
const ATTEMPTS: u32 = 3;

/// The prefixes that the deployed rule of EventBridge selects.
const NOTIFIED: [&str; 3] = [keys::BRONZE, keys::SILVER, keys::REFERENCE];

/// The objects of the lake.
#[derive(Clone)]
pub(crate) struct SimulatedStore {
    world: Arc<World>,
    objects: Arc<MemoryStore>,
    faults: Arc<ServiceFaults>,
    bus: Arc<Bus>,
    invariants: Arc<Invariants>,
    writes: Arc<AtomicU64>,
}

impl SimulatedStore {
    pub(crate) fn new(
        world: &Arc<World>,
        objects: Arc<MemoryStore>,
        bus: Arc<Bus>,
        invariants: Arc<Invariants>,
    ) -> Self {
        let faults = Arc::new(ServiceFaults::new(world, "s3", world.profile.store));
        Self { world: world.clone(), objects, faults, bus, invariants, writes: Arc::default() }
    }

    /// Makes a request that reads. It is repeated if it fails.
    async fn read<T: Send>(
        &self,
        operation: &'static str,
        key: &str,
        read: impl Fn() -> Option<Result<T, StoreError>> + Send + Sync,
    ) -> Result<T, StoreError> {
        for _ in 0..ATTEMPTS {
            self.world.call().await;
            let fault = self.faults.read(operation);
            self.world.trace(format_args!("{operation} {key} {fault:?}"));
            if fault.is_none() {
                return read().unwrap_or_else(|| Err(failed(operation, key)));
            }
        }
        self.world.reach(BadState::StoreFailed);
        Err(failed(operation, key))
    }

    /// Makes a request that writes. It is repeated if it fails, also if it had an effect.
    async fn write<T: Send, E: From<StoreError> + Send>(
        &self,
        operation: &'static str,
        key: &str,
        write: impl Fn(u32) -> Result<T, E> + Send + Sync,
    ) -> Result<T, E> {
        for attempt in 1..=ATTEMPTS {
            self.world.call().await;
            let fault = self.faults.write(operation);
            if fault.is_none_or(Fault::takes_effect) {
                let written = write(attempt);
                if fault.is_none() {
                    // The answer takes time as well: a function may be killed before it has it.
                    self.world.call().await;
                    return written;
                }
                self.world.reach(BadState::StoreAnswerLost);
            }
        }
        self.world.reach(BadState::StoreFailed);
        Err(failed(operation, key).into())
    }

    /// Writes an object now.
    fn put_now(
        &self,
        key: &str,
        bytes: &Bytes,
        metadata: &Metadata,
        condition: &Condition,
        attempt: u32,
    ) -> Result<ETag, PutError> {
        if self.is_dropped(key) {
            self.world.trace(format_args!("put {key} is dropped"));
            return Ok(ETag::new("\"dropped\""));
        }
        // S3 has times in whole seconds.
        let now = DateTime::from_timestamp(self.world.now().timestamp(), 0).unwrap_or_default();
        self.objects.set_now(now);
        let has_replaced = self.has_object(key);
        let condition = self.condition(key, condition);
        let put = self.objects.put(key, bytes.clone(), metadata.clone(), condition);
        let put = put.now_or_never().unwrap_or_else(|| Err(failed("put", key).into()));
        self.trace_put(key, bytes, put.is_ok());
        match &put {
            Ok(etag) => {
                let written = Written { key, etag, bytes, metadata };
                self.invariants.written(&written, has_replaced);
                if NOTIFIED.iter().any(|prefix| key.starts_with(prefix)) {
                    self.bus.object_created(key);
                }
            }
            Err(_) if attempt > 1 => self.world.reach(BadState::OwnWriteConflicted),
            Err(_) => self.world.reach(BadState::WriteRaceLost),
        }
        put
    }

    /// The claims of alerts have random names of writers, so only their size is in the trace.
    fn trace_put(&self, key: &str, bytes: &Bytes, is_ok: bool) {
        let digest = if key.starts_with(keys::ALERTS) {
            bytes.len() as u64
        } else {
            bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
        };
        self.world.trace(format_args!("put {key} {digest:x} {is_ok}"));
    }

    fn delete_now(&self, key: &str) -> Result<(), StoreError> {
        if key.starts_with(keys::RUNS) && self.world.plants(Planted::SlotsNotFreed) {
            return Ok(());
        }
        self.world.trace(format_args!("delete {key}"));
        self.objects.delete(key).now_or_never().unwrap_or_else(|| Err(failed("delete", key)))
    }

    /// Returns whether there is an object, without a request.
    fn has_object(&self, key: &str) -> bool {
        matches!(self.objects.head(key).now_or_never(), Some(Ok(Some(_))))
    }

    /// Returns the object of a state, as a planted fault shows it.
    fn state(&self, object: Object) -> Object {
        let planted = [
            Planted::LeasesNeverExpire,
            Planted::AlertsForgotten,
            Planted::FailureAlertsForgotten,
            Planted::UnrecordedForgotten,
        ];
        if !planted.into_iter().any(|planted| self.world.plants(planted)) {
            return object;
        }
        let Ok(mut state) = serde_json::from_slice::<PartitionState>(&object.bytes) else {
            return object;
        };
        if self.world.plants(Planted::AlertsForgotten) {
            state.unsent_alerts.clear();
        }
        if self.world.plants(Planted::FailureAlertsForgotten) {
            state.failures.values_mut().for_each(|failure| failure.alert_due = None);
        }
        if self.world.plants(Planted::UnrecordedForgotten) {
            state.unrecorded = None;
        }
        if let Some(lease) =
            state.lease.as_mut().filter(|_| self.world.plants(Planted::LeasesNeverExpire))
        {
            lease.until += TimeDelta::days(365);
        }
        let bytes = serde_json::to_vec(&state).map_or(object.bytes, Bytes::from);
        Object { head: object.head, bytes }
    }

    /// Returns the receipts of all objects of bronze, as a planted fault assumes them.
    fn receipts(&self) -> Vec<Entry> {
        let bronze = self.objects.list(keys::BRONZE).now_or_never();
        let bronze = bronze.and_then(Result::ok).unwrap_or_default().into_iter();
        let receipt = |entry: Entry| Some(Entry { key: keys::conformed(&entry.key)?, ..entry });
        bronze.filter_map(receipt).collect()
    }

    /// Returns the objects of a listing, of which a planted fault hides some.
    fn shown(&self, prefix: &str, mut entries: Vec<Entry>) -> Vec<Entry> {
        if prefix == keys::RUNS && entries.len() >= usize::from(self.world.profile.max_runs) {
            self.world.reach(BadState::SlotsTaken);
        }
        if prefix == keys::RUNS && self.world.plants(Planted::SlotsNotExclusive) {
            entries.clear();
        }
        if self.world.plants(Planted::ListingsStale) {
            let since = self.world.now() - TimeDelta::seconds(60);
            let is_new = |entry: &Entry| entry.last_modified > since;
            entries.retain(|entry| !entry.key.starts_with(keys::SILVER) || !is_new(entry));
        }
        entries
    }

    /// Returns the condition of a write, which a planted fault ignores.
    fn condition(&self, key: &str, condition: &Condition) -> Condition {
        let plants = |planted| self.world.plants(planted);
        let is_first = *condition == Condition::Absent;
        let is_control =
            || invocation::current(|invocation| invocation.function) == Some(Function::Control);
        let ignored = if key.starts_with(keys::GOLD) {
            let planted = if is_first {
                Planted::GoldIgnoresIfNoneMatch
            } else {
                Planted::GoldIgnoresIfMatch
            };
            plants(planted)
        } else if key.starts_with(keys::PARTITION_STATES) {
            plants(Planted::StateIgnoresIfMatch)
                || (plants(Planted::ControlIgnoresIfMatch) && is_control())
        } else if key.starts_with(keys::RUNS) {
            plants(Planted::SlotsNotExclusive)
        } else if key.starts_with(keys::OLD_DAYS) {
            plants(Planted::TurnsForgotten)
        } else {
            key.starts_with(keys::ALERTS) && plants(Planted::AlertsIgnoreIfMatch)
        };
        if ignored { Condition::Always } else { condition.clone() }
    }

    /// Returns whether a planted fault drops the write.
    fn is_dropped(&self, key: &str) -> bool {
        let plants = |planted| self.world.plants(planted);
        (key.starts_with(keys::OWED) && plants(Planted::MarkersNotWritten))
            || (key.starts_with(keys::ALERTS) && plants(Planted::AlertsNotStored))
            || (key.starts_with(keys::SILVER)
                && plants(Planted::SilverWriteLost)
                && self.writes.fetch_add(1, Ordering::Relaxed) % 10 == 9)
    }
}

#[async_trait]
impl Store for SimulatedStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let object = self.read("get", key, || self.objects.get(key).now_or_never()).await?;
        if key.starts_with(keys::OLD_DAYS) && self.world.plants(Planted::TurnsForgotten) {
            return Ok(None);
        }
        let is_state = key.starts_with(keys::PARTITION_STATES);
        Ok(object.map(|object| if is_state { self.state(object) } else { object }))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let head = self.read("head", key, || self.objects.head(key).now_or_never()).await;
        if head.is_err() && self.world.plants(Planted::HeadFailureHidden) {
            return Ok(None);
        }
        head
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let listed = self.read("list", prefix, || self.objects.list(prefix).now_or_never()).await;
        Ok(self.shown(prefix, listed?))
    }

    async fn list_range(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        if prefix.starts_with(keys::CONFORMED) && self.world.plants(Planted::ReceiptsAssumed) {
            return Ok(self.receipts());
        }
        let list = || self.objects.list_range(prefix, first, last).now_or_never();
        let listed = self.read("list", prefix, list).await;
        if listed.is_err() && self.world.plants(Planted::ListingFailureHidden) {
            return Ok(Vec::new());
        }
        Ok(self.shown(prefix, listed?))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        let put = |attempt| self.put_now(key, &bytes, &metadata, &condition, attempt);
        let put = self.write("put", key, put).await;
        let is_hidden =
            key.starts_with(keys::SILVER) && self.world.plants(Planted::SilverFailureHidden);
        if put.is_err() && is_hidden { Ok(ETag::new("\"hidden\"")) } else { put }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.write("delete", key, |_| self.delete_now(key)).await
    }
}

fn failed(action: &'static str, key: &str) -> StoreError {
    let cause = "a fault of the simulation".to_owned();
    StoreError { action, key: key.to_owned(), cause }
}
