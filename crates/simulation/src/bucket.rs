//! The lake's bucket in memory. It sends a message for each new object, as S3 does by EventBridge.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use shoplake_aws::MemoryDirtyQueue;
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError, Store, StoreError, keys,
};

/// The bucket's name.
pub(crate) const NAME: &str = "lake";

/// The prefixes that the deployed rule of EventBridge selects.
const NOTIFIED: [&str; 3] = [keys::BRONZE, keys::SILVER, keys::REFERENCE];

/// Objects, with a message for each new one.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) objects: Arc<MemoryStore>,
    messages: Arc<MemoryDirtyQueue>,
}

impl Bucket {
    pub(crate) fn new(messages: Arc<MemoryDirtyQueue>) -> Self {
        Self { objects: Arc::default(), messages }
    }
}

#[async_trait]
impl Store for Bucket {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.objects.get(key).await
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.objects.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.objects.list(prefix).await
    }

    async fn list_range(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        self.objects.list_range(prefix, first, last).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        let etag = self.objects.put(key, bytes, metadata, condition).await?;
        if NOTIFIED.iter().any(|prefix| key.starts_with(prefix)) {
            let event = json!({
                "source": "aws.s3", "detail-type": "Object Created",
                "detail": {"bucket": {"name": NAME}, "object": {"key": key}},
            });
            self.messages.deliver(event.to_string());
        }
        Ok(etag)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.objects.delete(key).await
    }
}
