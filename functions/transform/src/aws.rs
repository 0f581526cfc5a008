//! The ports on AWS: EventBridge for what others may want to know, SQS for what dispatch has to do
//! again.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use shoplake_jobs::PartitionDirty;

use crate::ports::{Announcer, PortError, Queue};

/// The most entries that one `PutEvents` takes.
const MAX_ENTRIES: usize = 10;

/// Announces on an EventBridge bus.
pub struct EventBridge {
    client: aws_sdk_eventbridge::Client,
    bus: String,
}

impl EventBridge {
    /// The bus of that name.
    pub fn new(config: &SdkConfig, bus: String) -> Self {
        Self { client: aws_sdk_eventbridge::Client::new(config), bus }
    }
}

#[async_trait]
impl Announcer for EventBridge {
    async fn announce(&self, dirtied: &[PartitionDirty]) -> Result<(), PortError> {
        let failed =
            |cause: String| PortError { action: "announce dirty partitions on EventBridge", cause };
        for chunk in dirtied.chunks(MAX_ENTRIES) {
            let entries = chunk.iter().map(|dirty| {
                PutEventsRequestEntry::builder()
                    .event_bus_name(&self.bus)
                    .source(PartitionDirty::SOURCE)
                    .detail_type(PartitionDirty::DETAIL_TYPE)
                    .detail(serde_json::json!(dirty).to_string())
                    .build()
            });
            let output = self
                .client
                .put_events()
                .set_entries(Some(entries.collect()))
                .send()
                .await
                .map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
            // Part of a call may fail. Announcing the rest again with the whole is harmless: a
            // partition is dirty or not.
            if let Some(entry) = output.entries().iter().find(|entry| entry.error_code().is_some())
            {
                let code = entry.error_code().unwrap_or_default();
                return Err(failed(format!(
                    "{code}: {}",
                    entry.error_message().unwrap_or_default()
                )));
            }
        }
        Ok(())
    }
}

/// Marks on an SQS queue.
pub struct DirtyQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl DirtyQueue {
    /// The queue of that address.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: aws_sdk_sqs::Client::new(config), url }
    }
}

#[async_trait]
impl Queue for DirtyQueue {
    async fn mark(&self, dirty: &PartitionDirty) -> Result<(), PortError> {
        let message =
            self.client.send_message().queue_url(&self.url).message_body(dirty.event().to_string());
        message.send().await.map(|_| ()).map_err(|error| PortError {
            action: "mark a partition dirty on SQS",
            cause: DisplayErrorContext(error).to_string(),
        })
    }
}
