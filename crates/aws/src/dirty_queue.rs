//! The queue of dirty partitions, which dispatch reads.
//!
//! Delivery is at least once. A partition that arrives twice is computed once, or twice with the
//! same result.

use std::collections::VecDeque;
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
use crate::{EventPublisher, Fault, Faults, PortError};

/// SQS `SendMessageBatch`: at most 10 messages in one call.
const MAX_BATCH: usize = 10;

/// SQS `SendMessage`: a message is delayed by at most 15 minutes.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// Sends dirty partitions to dispatch.
#[async_trait]
pub trait DirtyQueue: Send + Sync {
    /// Sends message bodies unchanged.
    ///
    /// # Errors
    /// If any of them was not accepted. The others were sent; send all of them again.
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError>;

    /// Sends a partition that becomes visible after `delay`, or after 15 minutes if `delay` is
    /// longer: dispatch then checks the partition again.
    async fn send_after(&self, dirty: &PartitionDirty, delay: Duration) -> Result<(), PortError>;

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

    async fn send_after(&self, dirty: &PartitionDirty, delay: Duration) -> Result<(), PortError> {
        (**self).send_after(dirty, delay).await
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
        for batch in bodies.chunks(MAX_BATCH) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    async fn send_after(&self, dirty: &PartitionDirty, delay: Duration) -> Result<(), PortError> {
        let seconds = delay.min(MAX_DELAY).as_secs();
        let request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(dirty.event().to_string())
            .delay_seconds(i32::try_from(seconds).unwrap_or(i32::MAX));
        let action = || format!("send {} {} to {}", dirty.model, dirty.partition, self.url);
        request.send().await.map(drop).map_err(|error| PortError::sdk(action(), error))
    }
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
    delayed: Vec<(DateTime<Utc>, Message)>,
}

struct Message {
    body: String,
    delay: Duration,
}

impl Default for MemoryDirtyQueue {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryDirtyQueue {
    /// An empty queue whose delays end by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), faults: Faults::default() }
    }

    /// Sets the faults of the next calls of the port.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.set(schedule);
    }

    /// Adds a message that another service delivers, such as an S3 event. It never fails.
    pub fn deliver(&self, body: String) {
        self.state().visible.push_back(Message { body, delay: Duration::ZERO });
    }

    /// Takes the bodies of up to `most` visible messages, starting with the one at `place`: SQS
    /// guarantees no order. The caller delivers a body again to simulate a second delivery.
    pub fn receive(&self, place: usize, most: usize) -> Vec<String> {
        let mut state = self.state();
        let now = self.clock.now();
        let (due, later): (Vec<_>, Vec<_>) =
            state.delayed.drain(..).partition(|(visible_at, _)| *visible_at <= now);
        state.delayed = later;
        state.visible.extend(due.into_iter().map(|(_, message)| message));
        if !state.visible.is_empty() {
            let middle = place % state.visible.len();
            state.visible.rotate_left(middle);
        }
        let count = most.min(state.visible.len());
        state.visible.drain(..count).map(|message| message.body).collect()
    }

    /// Returns whether no message is visible now.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        let now = self.clock.now();
        state.visible.is_empty() && state.delayed.iter().all(|(visible_at, _)| *visible_at > now)
    }

    /// Returns the time until the next delayed message is visible; `None` if there is none.
    pub fn next_delay(&self) -> Option<TimeDelta> {
        let now = self.clock.now();
        self.state().delayed.iter().map(|(visible_at, _)| *visible_at - now).min()
    }

    /// Takes the bodies of all messages, delayed ones included.
    pub fn take_bodies(&self) -> Vec<String> {
        self.take().into_iter().map(|message| message.body).collect()
    }

    /// Takes all dirty partitions, each with its delay. Drops other messages.
    pub fn take_dirty(&self) -> Vec<(PartitionDirty, Duration)> {
        #[derive(Deserialize)]
        struct Event {
            detail: PartitionDirty,
        }
        let dirty = |Message { body, delay }| {
            let event: Event = serde_json::from_str(&body).ok()?;
            Some((event.detail, delay))
        };
        self.take().into_iter().filter_map(dirty).collect()
    }

    /// Delivers the bodies in calls of at most `most`, each of which may have a fault. The first
    /// call that fails is the last one, as in AWS.
    fn deliver_all(&self, action: &str, bodies: &[String], most: usize) -> Result<(), PortError> {
        // AWS is not called without a body. Here it counts as a call, so that a test can interrupt
        // a commit that makes no other partition dirty.
        if bodies.is_empty() {
            return self.faults.call(action, || {});
        }
        for batch in bodies.chunks(most) {
            self.faults.call(action, || {
                batch.iter().for_each(|body| self.deliver(body.clone()));
            })?;
        }
        Ok(())
    }

    fn take(&self) -> Vec<Message> {
        let State { visible, delayed } = std::mem::take(&mut *self.state());
        visible.into_iter().chain(delayed.into_iter().map(|(_, message)| message)).collect()
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

    async fn send_after(&self, dirty: &PartitionDirty, delay: Duration) -> Result<(), PortError> {
        let delay = delay.min(MAX_DELAY);
        let time = TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
        let message = Message { body: dirty.event().to_string(), delay };
        self.faults.call("send a delayed message", || {
            self.state().delayed.push((self.clock.now() + time, message));
        })
    }
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

    fn dirty(day: &str) -> PartitionDirty {
        PartitionDirty::one("daily", day.parse().unwrap(), "test".to_owned())
    }

    #[tokio::test]
    async fn a_delayed_message_is_visible_after_its_delay() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let queue = MemoryDirtyQueue::new(clock.clone());
        queue.send_after(&dirty("2010-12-01"), Duration::from_secs(20)).await.unwrap();
        assert!(queue.is_idle() && queue.receive(0, 10).is_empty());
        assert_eq!(queue.next_delay(), Some(TimeDelta::seconds(20)));
        clock.advance(TimeDelta::seconds(20));
        assert_eq!(queue.receive(0, 10), [dirty("2010-12-01").event().to_string()]);
    }

    #[tokio::test]
    async fn a_delay_is_at_most_15_minutes() {
        let queue = MemoryDirtyQueue::default();
        queue.send_after(&dirty("2010-12-01"), Duration::from_secs(3_600)).await.unwrap();
        assert_eq!(queue.take_dirty(), [(dirty("2010-12-01"), MAX_DELAY)]);
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
        let published: Vec<_> = queue.take_dirty().into_iter().map(|(dirty, _)| dirty).collect();
        assert_eq!(published, partitions[..10]);
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_messages_in_the_queue() {
        let queue = MemoryDirtyQueue::default();
        queue.fail([Some(Fault::Refused), Some(Fault::AnswerLost)]);
        assert!(queue.send(&[dirty("2010-12-01")]).await.is_err());
        assert!(queue.take_dirty().is_empty());
        assert!(queue.send(&[dirty("2010-12-02")]).await.is_err());
        assert_eq!(queue.take_dirty(), [(dirty("2010-12-02"), Duration::ZERO)]);
    }
}
