//! The queue of dirty partitions.

use anyhow::Context;
use async_trait::async_trait;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use shoplake_models::PartitionDirty;

/// How many messages one call takes (`SendMessageBatch`).
pub(crate) const MAX_BATCH: usize = 10;

/// Takes dirty partitions. One that arrives twice is computed once, or twice with the same answer.
#[async_trait]
pub(crate) trait Queue: Send + Sync {
    /// Sends at most [`MAX_BATCH`] of them; an error if any of them was not taken.
    async fn send(&self, dirty: &[PartitionDirty]) -> anyhow::Result<()>;
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
    async fn send(&self, dirty: &[PartitionDirty]) -> anyhow::Result<()> {
        let entries = dirty
            .iter()
            .enumerate()
            .map(|(index, dirty)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(dirty.event().to_string())
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let sent =
            self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let output = sent.with_context(|| format!("could not send to {}", self.url))?;
        // The call succeeds even if some of its messages do not.
        if let Some(failed) = output.failed.first() {
            anyhow::bail!(
                "{} of {} messages were not taken by {}, the first for {}: {}",
                output.failed.len(),
                dirty.len(),
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
    pub(crate) struct MemoryQueue(pub(crate) Mutex<Vec<Vec<PartitionDirty>>>);

    #[async_trait]
    impl Queue for MemoryQueue {
        async fn send(&self, dirty: &[PartitionDirty]) -> anyhow::Result<()> {
            anyhow::ensure!((1..=MAX_BATCH).contains(&dirty.len()), "a batch has 1 to {MAX_BATCH} messages");
            self.0.lock().unwrap().push(dirty.to_vec());
            Ok(())
        }
    }
}
