//! A topic in memory.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Message, PublishError, Topic};
use crate::{Fault, Faults};

/// A topic that keeps its messages.
#[derive(Debug, Default)]
pub struct MemoryTopic {
    messages: Mutex<Vec<Message>>,
    faults: Faults,
}

impl MemoryTopic {
    /// Returns the messages that arrived, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the faults of the next calls.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.set(schedule);
    }
}

#[async_trait]
impl Topic for MemoryTopic {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let fault = self.faults.next();
        if fault.is_none_or(Fault::takes_effect) {
            self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
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
