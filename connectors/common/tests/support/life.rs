//! Processes that are killed after any number of steps, and the world that outlives them.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use shoplake_aws::stream::{MemoryStream, PutError, PutFailure, Record, Stream};
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError as StorePutError, Store,
    StoreError,
};

/// The world outlives the processes.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) stream: MemoryStream,
}

/// A process's remaining life, in steps. Each step may kill it before or after it took effect.
pub(crate) struct Life(AtomicUsize);

impl Life {
    pub(crate) fn of(steps: usize) -> Self {
        Self(AtomicUsize::new(steps))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_err()
    }
}

/// A process's connections to the world.
pub(crate) struct Process<'a> {
    pub(crate) world: &'a World,
    pub(crate) life: Life,
}

impl Process<'_> {
    fn store_error(key: &str) -> StoreError {
        StoreError { action: "reach", key: key.to_owned(), cause: "killed".to_owned() }
    }

    fn stream_error(stream: &str) -> PutError {
        let reason = PutFailure::Unavailable("killed".to_owned());
        PutError { stream: stream.to_owned(), unaccepted: vec![0], reason }
    }
}

#[async_trait]
impl Stream for Process<'_> {
    async fn put(&self, stream: &str, mut records: Vec<Record>) -> Result<(), PutError> {
        if self.life.is_over() {
            return Err(Self::stream_error(stream));
        }
        if self.life.is_over() {
            // Killed in the middle: the records from there on are lost.
            records.truncate(records.len().div_ceil(2));
            self.world.stream.put(stream, records).await?;
            return Err(Self::stream_error(stream));
        }
        self.world.stream.put(stream, records).await?;
        if self.life.is_over() { Err(Self::stream_error(stream)) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Process<'_> {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        if self.life.is_over() {
            Err(Self::store_error(key))
        } else {
            self.world.store.get(key).await
        }
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.world.store.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.world.store.list(prefix).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, StorePutError> {
        if self.life.is_over() {
            return Err(Self::store_error(key).into());
        }
        let etag = self.world.store.put(key, bytes, metadata, condition).await?;
        if self.life.is_over() { Err(Self::store_error(key).into()) } else { Ok(etag) }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.world.store.delete(key).await
    }
}
