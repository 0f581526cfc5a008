//! Queues of messages that could not be processed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;

use crate::{Fault, Faults, PortError, fault};

/// SQS `ReceiveMessage`: at most 10 messages in one call.
const MAX_RECEIVED: usize = 10;

/// How long a receive waits, in seconds. A wait makes SQS query all of its servers, so that an
/// empty answer means an empty queue.
const WAIT_SECONDS: i32 = 1;

/// A message that was received. It becomes visible again after a while unless it is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterMessage {
    /// Identifies the message. Every delivery has the same id.
    pub id: String,
    /// The body.
    pub body: String,
    /// The receipt of this delivery, which deletes the message.
    pub receipt: String,
}

/// A dead-letter queue.
#[async_trait]
pub trait DeadLetterQueue: Send + Sync {
    /// Receives up to ten messages and hides them from other receivers for a while. None if the
    /// queue is empty.
    async fn receive(&self) -> Result<Vec<DeadLetterMessage>, PortError>;

    /// Deletes a message.
    async fn delete(&self, message: &DeadLetterMessage) -> Result<(), PortError>;
}

#[async_trait]
impl<Q: DeadLetterQueue + ?Sized> DeadLetterQueue for Arc<Q> {
    async fn receive(&self) -> Result<Vec<DeadLetterMessage>, PortError> {
        (**self).receive().await
    }

    async fn delete(&self, message: &DeadLetterMessage) -> Result<(), PortError> {
        (**self).delete(message).await
    }
}

/// A queue in Amazon SQS.
#[derive(Debug, Clone)]
pub struct SqsDeadLetterQueue {
    client: Client,
    url: String,
}

impl SqsDeadLetterQueue {
    /// The queue with this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }
}

#[async_trait]
impl DeadLetterQueue for SqsDeadLetterQueue {
    async fn receive(&self) -> Result<Vec<DeadLetterMessage>, PortError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MAX_RECEIVED as i32)
            .wait_time_seconds(WAIT_SECONDS);
        let action = || format!("receive from {}", self.url);
        let output = request.send().await.map_err(|error| PortError::sdk(action(), error))?;
        let messages = output.messages.unwrap_or_default().into_iter();
        let messages = messages.map(|message| DeadLetterMessage {
            id: message.message_id.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        });
        Ok(messages.collect())
    }

    async fn delete(&self, message: &DeadLetterMessage) -> Result<(), PortError> {
        let request =
            self.client.delete_message().queue_url(&self.url).receipt_handle(&message.receipt);
        let action = || format!("delete {} from {}", message.id, self.url);
        request.send().await.map(drop).map_err(|error| PortError::sdk(action(), error))
    }
}

/// A queue in memory. Received messages stay hidden until [`reappear`](Self::reappear).
#[derive(Debug, Default)]
pub struct MemoryDeadLetterQueue {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    visible: VecDeque<DeadLetterMessage>,
    hidden: Vec<DeadLetterMessage>,
}

impl MemoryDeadLetterQueue {
    /// A queue of messages with these bodies.
    pub fn with_bodies(bodies: impl IntoIterator<Item = String>) -> Self {
        let messages = bodies.into_iter().enumerate().map(|(index, body)| DeadLetterMessage {
            id: index.to_string(),
            body,
            receipt: index.to_string(),
        });
        let state = State { visible: messages.collect(), hidden: Vec::new() };
        Self { state: Mutex::new(state), faults: Faults::default() }
    }

    /// Sets the faults of the next calls.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.set(schedule);
    }

    /// Makes received messages visible again.
    pub fn reappear(&self) {
        let State { visible, hidden } = &mut *self.state();
        visible.extend(hidden.drain(..));
    }

    /// Returns the bodies of all messages, hidden ones included.
    pub fn bodies(&self) -> Vec<String> {
        let state = self.state();
        state.visible.iter().chain(&state.hidden).map(|message| message.body.clone()).collect()
    }

    /// A poisoned lock is safe to use: each change is one call on a collection.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetterQueue for MemoryDeadLetterQueue {
    async fn receive(&self) -> Result<Vec<DeadLetterMessage>, PortError> {
        let mut messages = Vec::new();
        fault::write(&self.faults, "receive messages", || {
            let State { visible, hidden } = &mut *self.state();
            let count = visible.len().min(MAX_RECEIVED);
            messages.extend(visible.drain(..count));
            hidden.extend(messages.iter().cloned());
        })?;
        Ok(messages)
    }

    async fn delete(&self, message: &DeadLetterMessage) -> Result<(), PortError> {
        fault::write(&self.faults, "delete a message", || {
            self.state().hidden.retain(|hidden| hidden.receipt != message.receipt);
        })
    }
}
