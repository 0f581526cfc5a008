//! How far a batch got, in the lake, so that a task that was killed goes on where it was.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shoplake_lake::{Condition, ETag, Metadata, PutError, Store, StoreError};

use crate::{Batch, RunError};

/// Everything up to here was acknowledged by the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The page to fetch next; none before the first page and after the last.
    pub cursor: Option<String>,
    /// Pages done.
    pub page: u64,
    /// Rows sent.
    pub rows: u64,
    /// Sum of their quantities.
    pub quantity_sum: i64,
    /// Recognises the rows of the last page, should the next one repeat them.
    pub last_page: Vec<String>,
    /// When this was written.
    pub updated_at: DateTime<Utc>,
    /// When the control total had been sent; none while the batch is under way.
    pub completed_at: Option<DateTime<Utc>>,
}

impl Checkpoint {
    /// Whether there is still something to fetch.
    pub(crate) fn has_more(&self) -> bool {
        self.page == 0 || self.cursor.is_some()
    }
}

/// Whether a run has taken the whole batch to its end. A checkpoint that cannot be read says nothing of the kind.
///
/// # Errors
/// When the store does not answer.
async fn is_complete(store: &dyn Store, batch: &Batch) -> Result<bool, StoreError> {
    let object = store.get(&batch.checkpoint_key()).await?;
    let checkpoint = object.and_then(|object| serde_json::from_slice::<Checkpoint>(&object.bytes).ok());
    Ok(checkpoint.is_some_and(|checkpoint| checkpoint.completed_at.is_some()))
}

/// What is to be fetched of what is wanted, each of which is one batch. As with the pages of one batch, a run that was
/// killed is gone on with, and one that had come to its end is repeated: where all are complete, it is all of them once more.
///
/// # Errors
/// When the store does not answer.
pub async fn due<T>(
    store: &dyn Store,
    wanted: impl IntoIterator<Item = T>,
    batch: impl Fn(&T) -> Batch,
) -> Result<Vec<T>, StoreError> {
    let (mut due, mut complete) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let is_complete = is_complete(store, &batch(&wanted)).await?;
        if is_complete { &mut complete } else { &mut due }.push(wanted);
    }
    if due.is_empty() {
        return Ok(complete);
    }
    if !complete.is_empty() {
        tracing::info!(complete = complete.len(), due = due.len(), "going on with what is left");
    }
    Ok(due)
}

/// Reads and writes one batch's checkpoint, and notices when somebody else writes it too.
pub(crate) struct Notebook<'a> {
    store: &'a dyn Store,
    key: String,
    etag: Option<ETag>,
}

impl<'a> Notebook<'a> {
    /// Opens the checkpoint at `key`; there is none before a batch's first page, and none that can be gone on from
    /// after its last.
    pub(crate) async fn open(
        store: &'a dyn Store,
        key: String,
    ) -> Result<(Self, Option<Checkpoint>), StoreError> {
        let Some(object) = store.get(&key).await? else {
            return Ok((Self { store, key, etag: None }, None));
        };
        let checkpoint = serde_json::from_slice::<Checkpoint>(&object.bytes)
            .inspect_err(|error| {
                // Starting over is always right, only slower: every row has the id that it had before.
                tracing::warn!(key, %error, "the checkpoint cannot be read; the batch starts over");
            })
            .ok()
            .filter(|checkpoint| checkpoint.completed_at.is_none());
        Ok((Self { store, key, etag: Some(object.head.etag) }, checkpoint))
    }

    /// Replaces the checkpoint, unless it is no longer the one that was read or written last.
    pub(crate) async fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        let bytes = Bytes::from(serde_json::to_vec(checkpoint).map_err(RunError::Json)?);
        let condition = self.etag.clone().map_or(Condition::Absent, Condition::Matches);
        let etag = match self.store.put(&self.key, bytes.clone(), Metadata::new(), condition).await {
            Ok(etag) => etag,
            Err(PutError::Conflict { key }) => {
                self.own_write(&bytes).await?.ok_or(RunError::AnotherRun { key })?
            }
            Err(PutError::Store(error)) => return Err(error.into()),
        };
        self.etag = Some(etag);
        Ok(())
    }

    /// A write whose answer got lost conflicts with itself when it is repeated.
    async fn own_write(&self, bytes: &Bytes) -> Result<Option<ETag>, StoreError> {
        let object = self.store.get(&self.key).await?;
        Ok(object.filter(|object| object.bytes == bytes).map(|object| object.head.etag))
    }
}
