//! A topic in memory, with faults on request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Message, PublishError, Topic};

/// What goes wrong with a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The message is refused.
    Refused,
    /// The message is lost on its way, and nobody says so.
    Lost,
    /// The message arrives, and its answer is lost.
    AnswerLost,
}

/// Keeps what is published.
#[derive(Debug, Default)]
pub struct MemoryTopic {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Message>,
    faults: VecDeque<Option<Fault>>,
}

impl MemoryTopic {
    /// The messages so far, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.state().messages.clone()
    }

    /// Decides, publication by publication from now on, what goes wrong; after the schedule's end
    /// they all succeed.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.state().faults = schedule.into_iter().collect();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Topic for MemoryTopic {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let mut state = self.state();
        let fault = state.faults.pop_front().flatten();
        if matches!(fault, None | Some(Fault::AnswerLost)) {
            state.messages.push(message.clone());
        }
        match fault {
            None => Ok(()),
            Some(Fault::Refused) => Err(PublishError::Refused("a fault was asked for".to_owned())),
            Some(Fault::Lost | Fault::AnswerLost) => {
                Err(PublishError::Unknown("a fault was asked for".to_owned()))
            }
        }
    }
}
