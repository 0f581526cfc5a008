//! Queues of what failed: dead letters.

use anyhow::Context;
use async_trait::async_trait;

/// How long a receive waits, in seconds. Waiting at all makes SQS ask all of its servers, so that
/// "none" means none.
const WAIT_SECONDS: i32 = 1;

/// A message that was received, and comes back by itself unless it is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Names the message, each time it is received.
    pub(crate) id: String,
    /// What it says.
    pub(crate) body: String,
    /// Needed to delete it.
    pub(crate) receipt: String,
}

/// A queue to take letters from.
#[async_trait]
pub(crate) trait Letters: Send + Sync {
    /// Some letters, at most ten; none if there are none. Nobody else receives them for a while.
    async fn receive(&self) -> anyhow::Result<Vec<Letter>>;

    /// Deletes a letter for good.
    async fn delete(&self, letter: &Letter) -> anyhow::Result<()>;
}

/// Amazon SQS.
pub(crate) struct SqsLetters {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsLetters {
    /// The queue with this URL.
    pub(crate) fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }
}

#[async_trait]
impl Letters for SqsLetters {
    async fn receive(&self) -> anyhow::Result<Vec<Letter>> {
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let received = request.wait_time_seconds(WAIT_SECONDS).send().await;
        let received = received.with_context(|| format!("could not receive from {}", self.url))?;
        let letters = received.messages.unwrap_or_default().into_iter().map(|message| Letter {
            id: message.message_id.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        });
        Ok(letters.collect())
    }

    async fn delete(&self, letter: &Letter) -> anyhow::Result<()> {
        let request =
            self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.receipt);
        request
            .send()
            .await
            .with_context(|| format!("could not delete {} from {}", letter.id, self.url))?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory. A letter that was received comes back at the next call of
    //! [`MemoryLetters::reappear`].

    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct MemoryLetters {
        visible: Mutex<VecDeque<Letter>>,
        hidden: Mutex<Vec<Letter>>,
    }

    impl MemoryLetters {
        pub(crate) fn of(bodies: impl IntoIterator<Item = String>) -> Self {
            let letters = bodies.into_iter().enumerate().map(|(index, body)| Letter {
                id: index.to_string(),
                body,
                receipt: index.to_string(),
            });
            Self { visible: Mutex::new(letters.collect()), hidden: Mutex::default() }
        }

        /// Ends the time for which received letters are hidden.
        pub(crate) fn reappear(&self) {
            self.visible.lock().unwrap().extend(self.hidden.lock().unwrap().drain(..));
        }

        /// The bodies of all letters that are still there.
        pub(crate) fn bodies(&self) -> Vec<String> {
            let (visible, hidden) = (self.visible.lock().unwrap(), self.hidden.lock().unwrap());
            visible.iter().chain(hidden.iter()).map(|letter| letter.body.clone()).collect()
        }
    }

    #[async_trait]
    impl Letters for MemoryLetters {
        async fn receive(&self) -> anyhow::Result<Vec<Letter>> {
            let mut visible = self.visible.lock().unwrap();
            let count = visible.len().min(10);
            let letters: Vec<_> = visible.drain(..count).collect();
            self.hidden.lock().unwrap().extend(letters.clone());
            Ok(letters)
        }

        async fn delete(&self, letter: &Letter) -> anyhow::Result<()> {
            self.hidden.lock().unwrap().retain(|other| other.receipt != letter.receipt);
            Ok(())
        }
    }
}
