//! SNS: the messages that people got.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use shoplake_aws::topic::{Message, PublishError, Topic};
use shoplake_platform::faults::Fault;

use crate::protocol::planted::Planted;
use crate::protocol::reached::BadState;
use crate::protocol::world::{ServiceFaults, World};

/// The topic, with the messages that it accepted.
pub(crate) struct SimulatedTopic {
    world: Arc<World>,
    faults: ServiceFaults,
    messages: Mutex<Vec<Message>>,
}

impl SimulatedTopic {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            faults: ServiceFaults::new(world, "topic", world.profile.topic),
            messages: Mutex::default(),
        })
    }

    /// Returns the messages that the topic accepted, in order.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn attempt(&self, message: &Message) -> Result<(), PublishError> {
        self.world.call().await;
        let fault = self.faults.write("publish a message");
        self.world.trace(format_args!("publish {} {} {fault:?}", message.subject, message.body));
        if fault.is_none_or(Fault::takes_effect) {
            self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
            self.world.call().await;
        }
        let text = "a fault of the simulation".to_owned();
        match fault {
            None => Ok(()),
            Some(Fault::Refused) => {
                self.world.reach(BadState::AlertRefused);
                Err(PublishError::Refused(text))
            }
            Some(Fault::Lost | Fault::AnswerLost) => {
                self.world.reach(BadState::AlertUnknown);
                Err(PublishError::Unknown(text))
            }
        }
    }
}

#[async_trait]
impl Topic for SimulatedTopic {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let published = self.attempt(message).await;
        let is_unknown = matches!(published, Err(PublishError::Unknown(_)));
        if is_unknown && self.world.plants(Planted::UnknownPublishedAgain) {
            return self.attempt(message).await;
        }
        published
    }
}
