//! The queue of dirty partitions, which dispatch reads.
//!
//! Delivery is at least once. A partition that arrives twice is computed once, or twice with the
//! same result.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use shoplake_jobs::PartitionDirty;
use shoplake_platform::clock::{Clock, SystemClock};

use crate::events::MAX_ENTRIES;
use crate::{EventPublisher, Fault, Faults, PortError, fault};

/// SQS `SendMessageBatch`: at most 10 messages in one call.
const MAX_BATCH: usize = 10;

/// The requests that fail in a row until the queue counts as away.
const MAX_FAILED: usize = 3;

/// SQS `ChangeMessageVisibility`: a message is hidden for at most 12 hours after it was received.
const MAX_DELAY: Duration = Duration::from_secs(12 * 3_600);

/// The operation of a delivery in memory.
const RECEIVE: &str = "receive a message";

/// How long a received message is hidden in memory, as in the deployed queue. If it is not deleted
/// until then, it is delivered again.
const VISIBILITY: Duration = Duration::from_secs(360);

/// Sends dirty partitions to dispatch, and lets it put off a message that it has received.
#[async_trait]
pub trait DirtyQueue: Send + Sync {
    /// Sends message bodies unchanged.
    ///
    /// # Errors
    /// If any of them was not accepted. The others were sent, unless several requests in a row
    /// failed. Send all of them again.
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError>;

    /// Delivers a received message again after `delay`, or after 12 hours if `delay` is longer.
    /// `receipt` is the receipt handle of the delivery.
    ///
    /// # Errors
    /// If the message is not hidden. Unless it is deleted, the queue delivers it again after its
    /// visibility timeout.
    async fn defer(&self, receipt: &str, delay: Duration) -> Result<(), PortError>;

    /// Sends partitions, to be computed as soon as possible.
    ///
    /// # Errors
    /// As [`send_bodies`](Self::send_bodies).
    async fn send(&self, dirty: &[PartitionDirty]) -> Result<(), PortError> {
        let bodies: Vec<_> = dirty.iter().map(|dirty| dirty.event().to_string()).collect();
        self.send_bodies(&bodies).await
    }
}

#[async_trait]
impl<Q: DirtyQueue + ?Sized> DirtyQueue for Arc<Q> {
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError> {
        (**self).send_bodies(bodies).await
    }

    async fn defer(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        (**self).defer(receipt, delay).await
    }
}

/// The queue in Amazon SQS.
#[derive(Debug, Clone)]
pub struct SqsDirtyQueue {
    client: Client,
    url: String,
}

impl SqsDirtyQueue {
    /// The queue with this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    async fn send_batch(&self, bodies: &[String]) -> Result<(), PortError> {
        let action = || format!("send {} messages to {}", bodies.len(), self.url);
        let entries = bodies.iter().enumerate().map(|(index, body)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body)
                .build()
                .map_err(|error| PortError::sdk(action(), error))
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let request =
            self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let output = request.send().await.map_err(|error| PortError::sdk(action(), error))?;
        // The call succeeds even if some of its messages are not accepted.
        match output.failed.first() {
            None => Ok(()),
            Some(failed) => {
                let message = failed.message.as_deref().unwrap_or("no reason given");
                let count = output.failed.len();
                let cause =
                    format!("{count} were not accepted, the first: {}: {message}", failed.code);
                Err(PortError::new(action(), cause))
            }
        }
    }
}

#[async_trait]
impl DirtyQueue for SqsDirtyQueue {
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError> {
        send_batches(bodies, |batch| Box::pin(self.send_batch(batch))).await
    }

    async fn defer(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let seconds = delay.min(MAX_DELAY).as_secs();
        let request = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX));
        let action = || format!("hide a message of {} for {seconds} seconds", self.url);
        request.send().await.map(drop).map_err(|error| PortError::sdk(action(), error))
    }
}

/// A request that sends a batch.
type Sending<'b> = Pin<Box<dyn Future<Output = Result<(), PortError>> + Send + 'b>>;

/// Sends bodies in batches. A batch that fails keeps no later batch back, unless so many fail in a
/// row that the queue is away. Returns the first error.
async fn send_batches<'b>(
    bodies: &'b [String],
    send: impl Fn(&'b [String]) -> Sending<'b>,
) -> Result<(), PortError> {
    let (mut first, mut in_a_row) = (None, 0);
    for batch in bodies.chunks(MAX_BATCH) {
        match send(batch).await {
            Ok(()) => in_a_row = 0,
            Err(error) => {
                in_a_row += 1;
                tracing::warn!(%error, "a batch of messages was not sent");
                first.get_or_insert(error);
            }
        }
        if in_a_row == MAX_FAILED {
            break;
        }
    }
    first.map_or(Ok(()), Err)
}

/// A queue in memory. As an [`EventPublisher`] it is an event bus with a rule that sends every
/// event to the queue.
pub struct MemoryDirtyQueue {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Default)]
struct State {
    visible: VecDeque<Message>,
    hidden: Vec<Hidden>,
    receipts: u64,
}

#[derive(Clone)]
struct Message {
    body: String,
    sent_at: DateTime<Utc>,
    receives: u32,
}

/// A message that was received and not deleted.
struct Hidden {
    receipt: String,
    visible_at: DateTime<Utc>,
    is_deferred: bool,
    message: Message,
}

/// A delivery of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The receipt handle of this delivery.
    pub receipt: String,
    /// The body.
    pub body: String,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// How often it was delivered, this delivery included.
    pub receives: u32,
}

impl Default for MemoryDirtyQueue {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryDirtyQueue {
    /// An empty queue with the time of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_faults(clock, Faults::default())
    }

    /// An empty queue with these faults. Calls of the ports fail; messages arrive twice, late and
    /// out of order, also those that other services [deliver](Self::deliver).
    pub fn with_faults(clock: Arc<dyn Clock>, faults: Faults) -> Self {
        Self { clock, state: Mutex::default(), faults }
    }

    /// Sets the faults of the next calls of the port.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.set(schedule);
    }

    /// Returns the faults of the queue.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Adds a message that another service delivers, such as an S3 event. It never fails.
    pub fn deliver(&self, body: String) {
        let message = Message { body, sent_at: self.clock.now(), receives: 0 };
        self.state().visible.push_back(message);
    }

    /// Receives up to `most` visible messages, starting with the one at `place`: SQS guarantees no
    /// order. A message that is not [deleted](Self::delete) is delivered again. The caller delivers
    /// a body again to simulate a second delivery.
    pub fn receive(&self, place: usize, most: usize) -> Vec<ReceivedMessage> {
        let mut state = self.state();
        let now = self.clock.now();
        let (due, later): (Vec<_>, Vec<_>) =
            state.hidden.drain(..).partition(|hidden| hidden.visible_at <= now);
        state.hidden = later;
        state.visible.extend(due.into_iter().map(|hidden| hidden.message));
        let waiting = state.visible.len();
        if waiting > 0 {
            let overtaking = self.faults.overtaking(RECEIVE, waiting).unwrap_or(0);
            state.visible.rotate_left((place + overtaking) % waiting);
        }
        let messages: Vec<_> = state.visible.drain(..most.min(waiting)).collect();
        let mut received = Vec::with_capacity(messages.len());
        for mut message in messages {
            state.receipts += 1;
            let receipt = format!("receipt-{}", state.receipts);
            if let Some(late) = self.faults.late(RECEIVE) {
                let visible_at = now + late;
                state.hidden.push(Hidden { receipt, visible_at, is_deferred: false, message });
                continue;
            }
            if self.faults.twice(RECEIVE) {
                state.visible.push_back(message.clone());
            }
            message.receives += 1;
            received.push(ReceivedMessage {
                receipt: receipt.clone(),
                body: message.body.clone(),
                sent_at: message.sent_at,
                receives: message.receives,
            });
            let visible_at = now + delta(VISIBILITY);
            state.hidden.push(Hidden { receipt, visible_at, is_deferred: false, message });
        }
        received
    }

    /// Deletes a received message.
    pub fn delete(&self, receipt: &str) {
        self.state().hidden.retain(|hidden| hidden.receipt != receipt);
    }

    /// Returns whether a received message was deferred.
    pub fn is_deferred(&self, receipt: &str) -> bool {
        let state = self.state();
        state.hidden.iter().any(|hidden| hidden.receipt == receipt && hidden.is_deferred)
    }

    /// Returns whether no message is visible now.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        let now = self.clock.now();
        state.visible.is_empty() && state.hidden.iter().all(|hidden| hidden.visible_at > now)
    }

    /// Returns the time until the next hidden message is visible; `None` if there is none.
    pub fn next_delay(&self) -> Option<TimeDelta> {
        let now = self.clock.now();
        self.state().hidden.iter().map(|hidden| hidden.visible_at - now).min()
    }

    /// Takes the bodies of all messages, hidden ones included.
    pub fn take_bodies(&self) -> Vec<String> {
        let State { visible, hidden, .. } = std::mem::take(&mut *self.state());
        let hidden = hidden.into_iter().map(|hidden| hidden.message);
        visible.into_iter().chain(hidden).map(|message| message.body).collect()
    }

    /// Takes all dirty partitions. Drops other messages.
    pub fn take_dirty(&self) -> Vec<PartitionDirty> {
        #[derive(Deserialize)]
        struct Event {
            detail: PartitionDirty,
        }
        let bodies = self.take_bodies();
        let events = bodies.iter().filter_map(|body| serde_json::from_str::<Event>(body).ok());
        events.map(|event| event.detail).collect()
    }

    /// Delivers the bodies in calls of at most `most`, each of which may have a fault. The first
    /// call that fails is the last one, as in AWS.
    fn deliver_all(
        &self,
        action: &'static str,
        bodies: &[String],
        most: usize,
    ) -> Result<(), PortError> {
        // AWS is not called without a body. Here it counts as a call, so that a test can interrupt
        // a commit that makes no other partition dirty.
        if bodies.is_empty() {
            return fault::write(&self.faults, action, || {});
        }
        for batch in bodies.chunks(most) {
            fault::write(&self.faults, action, || {
                batch.iter().for_each(|body| self.deliver(body.clone()));
            })?;
        }
        Ok(())
    }

    /// A poisoned lock is safe to use: each change is one call on a collection.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DirtyQueue for MemoryDirtyQueue {
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError> {
        self.deliver_all("send messages", bodies, MAX_BATCH)
    }

    async fn defer(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let visible_at = self.clock.now() + delta(delay.min(MAX_DELAY));
        fault::write(&self.faults, "hide a message", || {
            let mut state = self.state();
            if let Some(hidden) = state.hidden.iter_mut().find(|hidden| hidden.receipt == receipt) {
                (hidden.visible_at, hidden.is_deferred) = (visible_at, true);
            }
        })
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[async_trait]
impl EventPublisher for MemoryDirtyQueue {
    async fn publish(&self, dirty: &[PartitionDirty]) -> Result<(), PortError> {
        let bodies: Vec<_> = dirty.iter().map(|dirty| dirty.event().to_string()).collect();
        self.deliver_all("publish events", &bodies, MAX_ENTRIES)
    }
}

#[cfg(test)]
mod tests {
    use shoplake_platform::clock::ManualClock;

    use super::*;
    use crate::FaultRates;

    fn dirty(day: &str) -> PartitionDirty {
        PartitionDirty::one("daily", day.parse().unwrap(), "test".to_owned())
    }

    /// Sends so many messages, and returns how many a queue accepts that refuses these batches.
    async fn sent(messages: usize, refused: &[&str]) -> (usize, Result<(), PortError>) {
        let bodies: Vec<_> = (0..messages).map(|number| number.to_string()).collect();
        let accepted = Mutex::new(0);
        let send = |batch: &[String]| {
            if refused.contains(&batch[0].as_str()) {
                return Err(PortError::new("send", format!("{} was refused", batch[0])));
            }
            *accepted.lock().unwrap() += batch.len();
            Ok(())
        };
        let result = send_batches(&bodies, |batch| Box::pin(std::future::ready(send(batch)))).await;
        (accepted.into_inner().unwrap(), result)
    }

    #[tokio::test]
    async fn a_batch_that_fails_keeps_no_other_back() {
        assert!(matches!(sent(25, &[]).await, (25, Ok(()))));
        let (accepted, result) = sent(25, &["0", "20"]).await;
        assert_eq!((accepted, result.unwrap_err().cause.as_str()), (10, "0 was refused"));
        let (accepted, _) = sent(50, &["0", "10", "20"]).await;
        assert_eq!(accepted, 0, "the queue is away");
    }

    #[tokio::test]
    async fn a_deferred_message_is_delivered_again_after_its_delay() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let queue = MemoryDirtyQueue::new(clock.clone());
        queue.send(&[dirty("2010-12-01"), dirty("2010-12-02")]).await.unwrap();
        let received = queue.receive(0, 10);
        assert_eq!(received.iter().map(|message| message.receives).collect::<Vec<_>>(), [1, 1]);
        queue.delete(&received[1].receipt);
        queue.defer(&received[0].receipt, Duration::from_secs(20)).await.unwrap();
        assert!(queue.is_deferred(&received[0].receipt) && !queue.is_deferred("another"));
        assert!(queue.is_idle() && queue.receive(0, 10).is_empty());
        assert_eq!(queue.next_delay(), Some(TimeDelta::seconds(20)));

        clock.advance(TimeDelta::seconds(20));
        let [again] = queue.receive(0, 10).try_into().unwrap();
        assert_eq!((again.receives, again.sent_at), (2, DateTime::UNIX_EPOCH));
        assert_eq!(again.body, dirty("2010-12-01").event().to_string());
    }

    #[tokio::test]
    async fn a_message_that_is_not_deleted_is_delivered_again() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let queue = MemoryDirtyQueue::new(clock.clone());
        queue.send(&[dirty("2010-12-01")]).await.unwrap();
        assert_eq!((queue.receive(0, 10).len(), queue.receive(0, 10).len()), (1, 0));
        clock.advance(delta(VISIBILITY));
        assert_eq!(queue.receive(0, 10)[0].receives, 2);
    }

    #[tokio::test]
    async fn a_call_has_at_most_10_messages() {
        let queue = MemoryDirtyQueue::default();
        let bodies: Vec<_> = (0..12).map(|number| format!("message {number}")).collect();
        queue.fail([None, Some(Fault::Refused)]);
        assert!(queue.send_bodies(&bodies).await.is_err());
        assert_eq!(queue.take_bodies(), bodies[..10]);
        queue.send_bodies(&bodies).await.unwrap();
        assert_eq!(queue.take_bodies(), bodies);
    }

    #[tokio::test]
    async fn a_call_has_at_most_10_events() {
        let queue = MemoryDirtyQueue::default();
        let partitions: Vec<_> = (1..13).map(|day| dirty(&format!("2010-12-{day:02}"))).collect();
        queue.fail([None, Some(Fault::Refused)]);
        assert!(queue.publish(&partitions).await.is_err());
        assert_eq!(queue.take_dirty(), partitions[..10]);
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_messages_in_the_queue() {
        let queue = MemoryDirtyQueue::default();
        queue.fail([Some(Fault::Refused), Some(Fault::AnswerLost)]);
        assert!(queue.send(&[dirty("2010-12-01")]).await.is_err());
        assert!(queue.take_dirty().is_empty());
        assert!(queue.send(&[dirty("2010-12-02")]).await.is_err());
        assert_eq!(queue.take_dirty(), [dirty("2010-12-02")]);
    }

    /// Sends `count` messages through a queue with these faults, and returns those that arrived,
    /// in order.
    async fn arrived(rates: FaultRates, seed: u64, count: usize) -> Vec<String> {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let faults = Faults::seeded("dirty queue", seed, rates, clock.clone());
        let queue = MemoryDirtyQueue::with_faults(clock.clone(), faults);
        for number in 0..count {
            // As a sender that repeats what fails.
            while queue.send_bodies(&[number.to_string()]).await.is_err() {
                clock.advance(TimeDelta::seconds(1));
            }
        }
        let mut arrived = Vec::new();
        loop {
            if !queue.is_idle() {
                for message in queue.receive(0, 10) {
                    queue.delete(&message.receipt);
                    arrived.push(message.body);
                }
            } else if let Some(delay) = queue.next_delay() {
                clock.advance(delay);
            } else {
                return arrived;
            }
        }
    }

    #[tokio::test]
    async fn no_seed_loses_a_message() {
        let rates = FaultRates {
            refused: 10,
            lost: 10,
            answer_lost: 10,
            twice: 20,
            late: 20,
            out_of_order: 50,
            interruption: 2,
            longest_seconds: 60,
        };
        let sent: Vec<_> = (0..40).map(|number| number.to_string()).collect();
        for seed in 0..50 {
            let messages = arrived(rates, seed, 40).await;
            assert!(messages.len() > 40, "seed {seed}: some arrive twice");
            assert_ne!(messages[..40], sent, "seed {seed}: not in order");
            assert_eq!(messages, arrived(rates, seed, 40).await, "seed {seed} has one outcome");
            let missing = sent.iter().find(|message| !messages.contains(message));
            assert_eq!(missing, None, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn each_fault_of_a_delivery_shows_in_what_arrives() {
        let once: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(arrived(FaultRates::default(), 1, 10).await, once);

        let twice = arrived(FaultRates { twice: 50, ..FaultRates::default() }, 1, 10).await;
        assert!(twice.len() > 10 && twice[..10] == once, "{twice:?}");
        for rates in [
            FaultRates { late: 50, longest_seconds: 9, ..FaultRates::default() },
            FaultRates { out_of_order: 100, ..FaultRates::default() },
        ] {
            let mut messages = arrived(rates, 1, 10).await;
            assert_ne!(messages, once, "{rates:?}");
            messages.sort();
            assert_eq!(messages, once, "{rates:?}");
        }
    }

    #[tokio::test]
    async fn an_interrupted_queue_takes_no_message() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let faults = Faults::seeded("dirty queue", 1, FaultRates::default(), clock.clone());
        let queue = MemoryDirtyQueue::with_faults(clock.clone(), faults);
        queue.faults().interrupt(Fault::Lost, clock.now() + TimeDelta::seconds(10));
        assert!(queue.send(&[dirty("2010-12-01")]).await.is_err());
        assert!(queue.publish(&[dirty("2010-12-02")]).await.is_err());
        clock.advance(TimeDelta::seconds(10));
        queue.send(&[dirty("2010-12-03")]).await.unwrap();
        assert_eq!(queue.take_dirty(), [dirty("2010-12-03")]);
    }
}
