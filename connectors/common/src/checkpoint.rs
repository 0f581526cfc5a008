//! Checkpoints: how far a batch got. A task that was killed continues from there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shoplake_contracts::RunId;
use shoplake_lake::{Store, StoreError};

use crate::{Batch, RunError, StateObject};

/// Everything up to here was acknowledged by the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The run that delivers the batch; none in a checkpoint from before there were runs. A resumed
    /// delivery keeps it, and a redelivery begins a later one.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The page to fetch next; none before the first page and after the last.
    pub cursor: Option<String>,
    /// Pages done.
    pub page: u64,
    /// Rows sent: distinct keys.
    pub rows: u64,
    /// Sum of their quantities.
    pub quantity_sum: i128,
    /// The latest `receivedat` that a row was sent with.
    pub received_at: DateTime<Utc>,
    /// Names of the objects that hold the keys of the first rows.
    pub segments: Vec<String>,
    /// The keys of the rows after those, as hexadecimal digits.
    pub tail: String,
    /// The digest of the rows of the next page, if they are about to be sent in this run. They may
    /// have been sent in part or completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending: Option<String>,
    /// When this was written.
    pub updated_at: DateTime<Utc>,
    /// When the control total had been sent; none while the batch is under way.
    pub completed_at: Option<DateTime<Utc>>,
}

impl Checkpoint {
    /// Returns whether a page is left to fetch.
    pub(crate) fn has_more(&self) -> bool {
        self.page == 0 || self.cursor.is_some()
    }
}

/// Returns when a batch was completed; none if it was not, or if its checkpoint cannot be read.
async fn completed_at(
    store: &dyn Store,
    batch: &Batch,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let object = store.get(&batch.checkpoint_key()).await?;
    let checkpoint =
        object.and_then(|object| serde_json::from_slice::<Checkpoint>(&object.bytes).ok());
    Ok(checkpoint.and_then(|checkpoint| checkpoint.completed_at))
}

/// Returns the batches that were not completed at `since` or later. If all were, returns all of
/// them: a redelivery.
///
/// # Errors
/// When the store does not answer.
pub async fn due<T>(
    store: &dyn Store,
    wanted: impl IntoIterator<Item = T>,
    batch: impl Fn(&T) -> Batch,
    since: DateTime<Utc>,
) -> Result<Vec<T>, StoreError> {
    let (mut due, mut complete) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let is_complete = completed_at(store, &batch(&wanted)).await?.is_some_and(|at| at >= since);
        if is_complete { &mut complete } else { &mut due }.push(wanted);
    }
    if due.is_empty() {
        return Ok(complete);
    }
    if !complete.is_empty() {
        tracing::info!(
            complete = complete.len(),
            due = due.len(),
            "continuing with the batches that are left"
        );
    }
    Ok(due)
}

/// Reads and writes one batch's checkpoint, and detects another run that writes it.
pub(crate) struct CheckpointStore<'a> {
    object: StateObject<'a>,
}

impl<'a> CheckpointStore<'a> {
    /// Opens the checkpoint at `key`. Returns none before a batch's first page.
    pub(crate) async fn open(
        store: &'a dyn Store,
        key: String,
    ) -> Result<(Self, Option<Checkpoint>), StoreError> {
        let (object, bytes) = StateObject::open(store, key).await?;
        let checkpoint = bytes.and_then(|bytes| {
            serde_json::from_slice::<Checkpoint>(&bytes)
                .inspect_err(|error| {
                    // Starting over is correct, only slower: every row gets the same id again.
                    let key = object.key();
                    tracing::warn!(
                        key, %error, "the checkpoint cannot be read; the batch starts over"
                    );
                })
                .ok()
        });
        Ok((Self { object }, checkpoint))
    }

    /// Replaces the checkpoint, unless it is no longer the one that was read or written last.
    pub(crate) async fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        let bytes = serde_json::to_vec(checkpoint).map_err(RunError::Json)?;
        self.object.write(bytes.into()).await
    }
}
