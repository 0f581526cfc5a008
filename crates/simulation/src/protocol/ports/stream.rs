//! Kinesis: streams that accept some records of a request and not others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use shoplake_aws::stream::{MemoryStream, PutError, PutFailure, Record, Stream, Times};
use tokio::sync::Notify;

use crate::protocol::planted::Planted;
use crate::protocol::random::Random;
use crate::protocol::reached::BadState;
use crate::protocol::world::World;

/// The streams of all sources.
pub(crate) struct SimulatedStream {
    world: Arc<World>,
    records: MemoryStream,
    random: Random,
    /// When the records of each stream arrived.
    arrivals: Mutex<BTreeMap<String, Vec<DateTime<Utc>>>>,
    arrived: Notify,
}

impl SimulatedStream {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        let records = MemoryStream::default();
        let throttled = PutFailure::Throttled("a fault of the simulation".to_owned());
        let (seed, rate) = (world.seed, world.profile.unaccepted);
        let (random, shared) = (Random::new("records", seed), world.clone());
        records.reject(Times::Always, throttled, move |_| shared.goes_wrong(&random, rate));
        Arc::new(Self {
            world: world.clone(),
            records,
            random: Random::new("puts", seed),
            arrivals: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    /// Waits until a stream has more than so many records, and returns all of them with their times
    /// of arrival.
    pub(crate) async fn after(
        &self,
        stream: &str,
        position: usize,
    ) -> Vec<(Record, DateTime<Utc>)> {
        while self.len(stream) <= position {
            self.arrived.notified().await;
        }
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = arrivals.get(stream).cloned().unwrap_or_default();
        self.records.records(stream).into_iter().zip(arrivals).collect()
    }

    /// Returns the number of records of a stream.
    pub(crate) fn len(&self, stream: &str) -> usize {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.get(stream).map_or(0, Vec::len)
    }

    /// Notes when the new records of a stream arrived.
    fn arrive(&self, stream: &str) {
        let length = self.records.records(stream).len();
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.entry(stream.to_owned()).or_default().resize(length, self.world.now());
        drop(arrivals);
        self.arrived.notify_waiters();
    }
}

#[async_trait]
impl Stream for SimulatedStream {
    async fn put(&self, stream: &str, records: Vec<Record>) -> Result<(), PutError> {
        self.world.call().await;
        let count = records.len();
        let put = self.records.put(stream, records).await;
        self.arrive(stream);
        let unaccepted = put.as_ref().err().map_or(0, |error| error.unaccepted.len());
        self.world.trace(format_args!("put {count} records to {stream}, {unaccepted} unaccepted"));
        if (1..count).contains(&unaccepted) {
            self.world.reach(BadState::PutPartial);
            if self.world.plants(Planted::PutPartlyHidden) {
                return Ok(());
            }
        }
        if unaccepted == count && self.world.plants(Planted::PutFailureHidden) {
            return Ok(());
        }
        self.world.call().await;
        if self.world.goes_wrong(&self.random, self.world.profile.put_answer_lost) {
            self.world.reach(BadState::PutAnswerLost);
            return Err(PutError {
                stream: stream.to_owned(),
                unaccepted: (0..count).collect(),
                reason: PutFailure::Unavailable("a fault of the simulation".to_owned()),
            });
        }
        put
    }
}
