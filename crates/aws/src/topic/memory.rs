//! A topic in memory.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Message, PublishError, Topic};
use crate::{Fault, Faults};

/// The operation of a call and of its delivery.
const PUBLISH: &str = "publish a message";

/// A topic that keeps its messages.
#[derive(Debug, Default)]
pub struct MemoryTopic {
    messages: Mutex<Vec<Message>>,
    faults: Faults,
}

impl MemoryTopic {
    /// A topic with these faults. Calls fail; messages arrive twice.
    pub fn with_faults(faults: Faults) -> Self {
        Self { messages: Mutex::default(), faults }
    }

    /// Returns the faults of the topic.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Returns the messages that arrived, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the faults of the next calls.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.set(schedule);
    }

    fn deliver(&self, message: &Message) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
    }
}

#[async_trait]
impl Topic for MemoryTopic {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let fault = self.faults.write(PUBLISH);
        if fault.is_none_or(Fault::takes_effect) {
            // A topic delivers a message at least once.
            if self.faults.twice(PUBLISH) {
                self.deliver(message);
            }
            self.deliver(message);
        }
        match fault {
            None => Ok(()),
            Some(Fault::Refused) => Err(PublishError::Refused("requested fault".to_owned())),
            Some(Fault::Lost | Fault::AnswerLost) => {
                Err(PublishError::Unknown("requested fault".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shoplake_platform::clock::ManualClock;

    use super::*;
    use crate::FaultRates;

    fn message() -> Message {
        Message { subject: "s".to_owned(), body: "b".to_owned(), attributes: Vec::new() }
    }

    #[tokio::test]
    async fn a_topic_may_deliver_a_message_twice() {
        let rates = FaultRates { twice: 100, ..FaultRates::default() };
        let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
        let topic = MemoryTopic::with_faults(Faults::seeded("topic", 1, rates, clock));
        topic.publish(&message()).await.unwrap();
        assert_eq!(topic.messages(), [message(), message()]);
        assert_eq!(topic.faults().counts()[&(PUBLISH, Some("twice"))], 1);
    }
}
