//! The events of a commit: partitions of other models that it made dirty.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use shoplake_jobs::PartitionDirty;

use crate::PortError;

/// EventBridge `PutEvents`: at most 10 events in one call.
pub(crate) const MAX_ENTRIES: usize = 10;

/// Publishes dirty partitions to all subscribers, dispatch among them. In memory, a
/// [`MemoryDirtyQueue`](crate::MemoryDirtyQueue) is one.
#[async_trait]
pub trait EventPublisher: Send + Sync {
    /// Publishes each partition at least once.
    ///
    /// # Errors
    /// If any of them was not accepted. Publish all of them again.
    async fn publish(&self, dirty: &[PartitionDirty]) -> Result<(), PortError>;
}

#[async_trait]
impl<P: EventPublisher + ?Sized> EventPublisher for Arc<P> {
    async fn publish(&self, dirty: &[PartitionDirty]) -> Result<(), PortError> {
        (**self).publish(dirty).await
    }
}

/// An Amazon EventBridge bus.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// The bus of this name.
    pub fn new(config: &SdkConfig, bus: String) -> Self {
        Self { client: Client::new(config), bus }
    }
}

#[async_trait]
impl EventPublisher for EventBridge {
    async fn publish(&self, dirty: &[PartitionDirty]) -> Result<(), PortError> {
        let action = || format!("publish dirty partitions to the event bus {:?}", self.bus);
        for chunk in dirty.chunks(MAX_ENTRIES) {
            let entries = chunk.iter().map(|dirty| {
                PutEventsRequestEntry::builder()
                    .event_bus_name(&self.bus)
                    .source(PartitionDirty::SOURCE)
                    .detail_type(PartitionDirty::DETAIL_TYPE)
                    .detail(serde_json::json!(dirty).to_string())
                    .build()
            });
            let request = self.client.put_events().set_entries(Some(entries.collect()));
            let output = request.send().await.map_err(|error| PortError::sdk(action(), error))?;
            // The call succeeds even if some of its events are not accepted.
            if let Some(entry) = output.entries().iter().find(|entry| entry.error_code().is_some())
            {
                let code = entry.error_code().unwrap_or_default();
                let message = entry.error_message().unwrap_or_default();
                return Err(PortError::new(action(), format!("{code}: {message}")));
            }
        }
        Ok(())
    }
}
