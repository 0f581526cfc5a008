//! Objects of a connector's state, which one process at a time replaces.

use bytes::Bytes;
use shoplake_lake::{Condition, ETag, Metadata, PutError, Store, StoreError};

use crate::RunError;

/// Reads and writes one object of the state, and detects another process that writes it.
pub struct StateObject<'a> {
    store: &'a dyn Store,
    key: String,
    etag: Option<ETag>,
}

impl<'a> StateObject<'a> {
    /// Opens the object at `key`. Returns its content; none if there is no object.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn open(
        store: &'a dyn Store,
        key: String,
    ) -> Result<(Self, Option<Bytes>), StoreError> {
        let object = store.get(&key).await?;
        let (etag, bytes) = object.map(|object| (object.head.etag, object.bytes)).unzip();
        Ok((Self { store, key, etag }, bytes))
    }

    /// Returns the key of the object.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Replaces the object, unless it is no longer the one that was read or written last.
    ///
    /// # Errors
    /// When the store does not answer, or another process has written the object.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), RunError> {
        let condition = self.etag.clone().map_or(Condition::Absent, Condition::Matches);
        let etag = match self.store.put(&self.key, bytes.clone(), Metadata::new(), condition).await
        {
            Ok(etag) => etag,
            Err(PutError::Conflict { key }) => {
                self.own_write(&bytes).await?.ok_or(RunError::AnotherRun { key })?
            }
            Err(PutError::Store(error)) => return Err(error.into()),
        };
        self.etag = Some(etag);
        Ok(())
    }

    /// Returns the ETag of the object if it has `bytes`: a write whose answer was lost conflicts
    /// with itself when the client repeats it.
    async fn own_write(&self, bytes: &Bytes) -> Result<Option<ETag>, StoreError> {
        let object = self.store.get(&self.key).await?;
        Ok(object.filter(|object| object.bytes == bytes).map(|object| object.head.etag))
    }
}
