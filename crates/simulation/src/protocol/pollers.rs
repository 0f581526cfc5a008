//! What starts functions besides people: event source mappings, Firehose and schedules.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64_simd::STANDARD;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use shoplake_aws::ReceivedMessage;
use shoplake_aws::stream::Record;
use shoplake_function_conform::Answer;
use shoplake_lake::{Condition, Metadata, Store, keys};

use super::definitions::{POS, WEB};
use super::executor::{sleep, spawn};
use super::functions::{Cloud, Function, InvokeError, STREAM_PREFIX};
use super::planted::Planted;
use super::profile::Outage;
use super::random::Random;
use super::reached::BadState;
use crate::messages;

/// The most records of a batch for conform.
const MAX_RECORDS: u64 = 30;

/// How long Lambda waits before it retries a batch or an asynchronous invocation.
const RETRY_SECONDS: (u64, u64) = (1, 60);

/// How many pollers read the dirty queue.
const QUEUE_POLLERS: usize = 2;

/// Records with their times of arrival.
type Records = [(Record, DateTime<Utc>)];

/// The pollers, and how far they are.
pub(crate) struct Pollers {
    cloud: Arc<Cloud>,
    random: Random,
    conformed: AtomicUsize,
    delivered: AtomicUsize,
}

impl Pollers {
    /// Starts all pollers.
    pub(crate) fn start(cloud: &Arc<Cloud>) -> Arc<Self> {
        let pollers = Arc::new(Self {
            cloud: cloud.clone(),
            random: Random::new("pollers", cloud.world.seed),
            conformed: AtomicUsize::default(),
            delivered: AtomicUsize::default(),
        });
        for _ in 0..QUEUE_POLLERS {
            spawn(pollers.clone().dirty_queue());
        }
        spawn(pollers.clone().records());
        spawn(pollers.clone().firehose());
        spawn(pollers.clone().sweeps());
        pollers
    }

    /// Returns whether all records have been read.
    pub(crate) fn are_idle(&self) -> bool {
        let is_read = |source: &str, position: &AtomicUsize| {
            position.load(Ordering::Relaxed) == self.cloud.stream.len(&stream(source))
        };
        is_read(WEB, &self.conformed) && is_read(POS, &self.delivered)
    }

    /// The event source mapping of the dirty queue.
    async fn dirty_queue(self: Arc<Self>) {
        let Self { cloud, random, .. } = &*self;
        loop {
            cloud.bus.message().await;
            sleep(random.seconds(0, 5)).await;
            let received = cloud.bus.receive(cloud.world.profile.batch);
            if received.is_empty() {
                continue;
            }
            let _activity = cloud.world.activity();
            let delete = |message: &ReceivedMessage| cloud.bus.delete(message);
            if cloud.world.plants(Planted::MessagesAckedFirst) {
                received.iter().for_each(delete);
            }
            let event = messages::batch(&received);
            let dispatch = async move |cloud: Arc<Cloud>| Ok(cloud.dispatch.handle(event).await);
            let failed = match cloud.invoke(Function::Dispatch, dispatch).await {
                Ok(response) => response.batch_item_failures,
                // All messages come again after their visibility timeout.
                Err(_) => {
                    cloud.world.reach(BadState::MessageReturned);
                    if cloud.world.plants(Planted::FailedMessagesDeleted) {
                        received.iter().for_each(delete);
                    }
                    continue;
                }
            };
            for (place, message) in received.iter().enumerate() {
                let place = place.to_string();
                let is_failed = failed.iter().any(|failure| failure.item_identifier == place);
                if is_failed && !cloud.bus.is_deferred(message) {
                    cloud.world.reach(BadState::MessageReturned);
                }
                if !is_failed
                    || (cloud.world.plants(Planted::FailedMessagesDeleted)
                        && !cloud.bus.is_deferred(message))
                {
                    delete(message);
                }
            }
        }
    }

    /// The event source mapping of the stream of visits.
    async fn records(self: Arc<Self>) {
        let Self { cloud, random, conformed, .. } = &*self;
        loop {
            let position = conformed.load(Ordering::Relaxed);
            let records = cloud.stream.after(&stream(WEB), position).await;
            sleep(random.seconds(0, 10)).await;
            let most = position + random.between(1, MAX_RECORDS) as usize;
            self.batch(&records, position..records.len().min(most)).await;
            conformed.store(records.len().min(most), Ordering::Relaxed);
        }
    }

    /// Has a batch conformed. A batch that fails is split until its parts succeed.
    async fn batch(&self, records: &Records, batch: Range<usize>) {
        let Self { cloud, random, .. } = self;
        let mut waiting = vec![batch];
        while let Some(part) = waiting.pop() {
            let payload = kinesis_event(&records[part.clone()], part.start);
            let conform = async move |cloud: Arc<Cloud>| cloud.conform.handle(&payload).await;
            match cloud.invoke(Function::Conform, conform).await {
                Ok(Answer::Batch { batch_item_failures }) if batch_item_failures.is_empty() => {
                    continue;
                }
                // A throttled batch is not split.
                Err(InvokeError::Throttled) => waiting.push(part),
                _ if cloud.world.plants(Planted::BatchFailureSkipped) => continue,
                _ if part.len() > 1 => {
                    cloud.world.reach(BadState::BatchSplit);
                    let middle = part.start + part.len() / 2;
                    if !cloud.world.plants(Planted::BatchHalfSkipped) {
                        waiting.push(middle..part.end);
                    }
                    waiting.push(part.start..middle);
                }
                _ => waiting.push(part),
            }
            sleep(random.seconds(RETRY_SECONDS.0, RETRY_SECONDS.1)).await;
        }
    }

    /// Firehose, which writes the records of sales to bronze.
    async fn firehose(self: Arc<Self>) {
        let Self { cloud, random, delivered, .. } = &*self;
        loop {
            let position = delivered.load(Ordering::Relaxed);
            cloud.stream.after(&stream(POS), position).await;
            sleep(random.seconds(5, 60)).await;
            let records = cloud.stream.after(&stream(POS), position).await;
            let twice = cloud.world.goes_wrong(random, cloud.world.profile.repetitions);
            if twice {
                cloud.world.reach(BadState::BronzeTwice);
            }
            for copy in 0..=u8::from(twice) {
                let name = format!("{}-{position:04}-{copy}", stream(POS));
                self.bronze(&name, &records[position..]).await;
            }
            delivered.store(records.len(), Ordering::Relaxed);
        }
    }

    /// Writes an object of bronze.
    async fn bronze(&self, name: &str, records: &Records) {
        let Self { cloud, random, .. } = self;
        if cloud.world.plants(Planted::FirehoseDrops) && random.percent(33) {
            return;
        }
        let mut object = GzEncoder::new(Vec::new(), Compression::fast());
        for (record, _) in records {
            // Writing to memory never fails.
            let _ = object.write_all(&record.data);
        }
        let object = object.finish().unwrap_or_default();
        let key = keys::bronze(POS, cloud.world.now(), name);
        loop {
            let bytes = object.clone().into();
            let put = cloud.store.put(&key, bytes, Metadata::new(), Condition::Always).await;
            if put.is_ok() {
                return;
            }
            sleep(random.seconds(RETRY_SECONDS.0, RETRY_SECONDS.1)).await;
        }
    }

    /// The schedule of the sweep.
    async fn sweeps(self: Arc<Self>) {
        let Self { cloud, .. } = &*self;
        loop {
            sleep(cloud.world.profile.sweep_every).await;
            let world = &cloud.world;
            if world.is_out(Outage::EventBridge) || world.plants(Planted::SweepsNotRun) {
                continue;
            }
            let pollers = self.clone();
            world.spawn(async move {
                if let Some(swept) = pollers.control(json!({"action": "sweep"})).await {
                    let world = &pollers.cloud.world;
                    let count = |name: &str| swept[name].as_u64().unwrap_or_default();
                    let counted = [
                        ("found", BadState::SweepFound),
                        ("sent", BadState::SweepSent),
                        ("settled", BadState::MarkerDeleted),
                    ];
                    for (name, state) in counted {
                        if count(name) > 0 {
                            world.reach(state);
                        }
                    }
                }
            });
        }
    }

    /// Invokes control asynchronously: Lambda makes three attempts.
    pub(crate) async fn control(&self, request: Value) -> Option<Value> {
        let Self { cloud, random, .. } = self;
        let mut attempts = 3;
        while attempts > 0 {
            let request = request.clone();
            let control = async move |cloud: Arc<Cloud>| {
                shoplake_function_control::handle(&cloud.operations, request).await
            };
            match cloud.invoke(Function::Control, control).await {
                Ok(response) => return Some(response),
                // Lambda keeps an event that it cannot run for hours.
                Err(InvokeError::Throttled) => {}
                Err(_) => attempts -= 1,
            }
            sleep(random.seconds(RETRY_SECONDS.0, RETRY_SECONDS.1)).await;
        }
        None
    }
}

/// Returns the name of the stream of a source.
pub(crate) fn stream(source: &str) -> String {
    format!("{STREAM_PREFIX}-{source}")
}

/// Returns the event that Lambda gets for records, of which the first one has this number.
fn kinesis_event(records: &Records, first: usize) -> String {
    let records: Vec<_> = records
        .iter()
        .zip(first..)
        .map(|((record, arrived_at), number)| {
            let sequence = format!("{number:08}");
            json!({
                "kinesis": {
                    "data": STANDARD.encode_to_string(&record.data), "sequenceNumber": sequence,
                    "approximateArrivalTimestamp": arrived_at.timestamp() as f64,
                },
                "eventID": format!("shardId-000000000000:{sequence}"),
                "eventSourceARN":
                    format!("arn:aws:kinesis:eu-west-1:000000000000:stream/{}", stream(WEB)),
            })
        })
        .collect();
    json!({"Records": records}).to_string()
}
