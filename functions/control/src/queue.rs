//! The queue of dirty partitions.

use anyhow::Context;
use async_trait::async_trait;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

/// How many messages one call takes (`SendMessageBatch`).
pub(crate) const MAX_BATCH: usize = 10;

/// Takes dirty partitions, as events. One that arrives twice is computed once, or twice with the
/// same answer.
#[async_trait]
pub(crate) trait Queue: Send + Sync {
    /// Sends at most [`MAX_BATCH`] of them; an error if any of them was not taken.
    async fn send(&self, events: &[String]) -> anyhow::Result<()>;
}

/// Amazon SQS.
pub(crate) struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsQueue {
    /// The queue with this URL.
    pub(crate) fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, events: &[String]) -> anyhow::Result<()> {
        let entries = events
            .iter()
            .enumerate()
            .map(|(index, event)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(event)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let sent = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await;
        let output = sent.with_context(|| format!("could not send to {}", self.url))?;
        // The call succeeds even if some of its messages do not.
        if let Some(failed) = output.failed.first() {
            anyhow::bail!(
                "{} of {} messages were not taken by {}, the first for {}: {}",
                output.failed.len(),
                events.len(),
                self.url,
                failed.code,
                failed.message.as_deref().unwrap_or("no reason given")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory: what was sent, batch by batch.

    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct MemoryQueue(pub(crate) Mutex<Vec<Vec<String>>>);

    #[async_trait]
    impl Queue for MemoryQueue {
        async fn send(&self, events: &[String]) -> anyhow::Result<()> {
            anyhow::ensure!(
                (1..=MAX_BATCH).contains(&events.len()),
                "a batch has 1 to {MAX_BATCH} messages"
            );
            self.0.lock().unwrap().push(events.to_vec());
            Ok(())
        }
    }
}
