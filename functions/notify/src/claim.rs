//! Who may tell people of a row: whoever has written its claim.
//!
//! SNS cannot be asked whether it has a message, and does not know one from its copy. So before a message is published its
//! claim is written, under a condition that only one writer can meet; and what became of the message is noted afterwards.
//! A process that ends in between leaves a claim that nobody else takes over: people may miss that row, but they are
//! never told of it twice.
//!
//! ```text
//! (none) ──────────────> expired
//! (none) ─┬> sending ─┬> sent ──> ending ──> ended
//! refused ┘           └> refused  sent <── (refused)
//! ```

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoplake_lake::{Condition, ETag, Metadata, PutError, Store, StoreError, keys};
use shoplake_models::NotifyRequest;
use uuid::Uuid;

use crate::rows::Row;

/// What is known of the message about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The row was too old to tell of when it was first seen.
    Expired,
    /// Somebody is publishing that it began, or ended while doing so.
    Sending,
    /// The topic did not take that message: anybody may try again.
    Refused,
    /// People know that it began.
    Sent,
    /// Somebody is publishing that it is over, or ended while doing so.
    Ending,
    /// People know that it is over.
    Ended,
}

/// The content of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) state: State,
    /// Names the writer of this state, who thus recognises a write of its own whose answer was lost.
    writer: String,
    /// When it was written.
    pub(crate) at: DateTime<Utc>,
}

/// A claim as it is in the lake.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) claim: Claim,
    etag: ETag,
}

/// The claims of a row.
pub(crate) struct Slot<'a> {
    store: &'a dyn Store,
    pub(crate) key: String,
}

impl<'a> Slot<'a> {
    /// Where the row has its claim: its name is a function of the row's key alone, so that a late input which corrects when it
    /// began is no second message.
    pub(crate) fn new(store: &'a dyn Store, request: &NotifyRequest, row: &Row) -> Self {
        let identity: Vec<_> = request.identity.iter().map(|column| row.columns.get(column)).collect();
        // As JSON, so that no two rows can be spelt alike.
        let digest = Sha256::digest(serde_json::json!(identity).to_string());
        Self { store, key: keys::notice(&request.model, &request.partition, &hex::encode(&digest[..16])) }
    }

    /// The claim, if there is one that can be read.
    pub(crate) async fn get(&self) -> Result<Option<Held>, StoreError> {
        let Some(object) = self.store.get(&self.key).await? else { return Ok(None) };
        let claim = serde_json::from_slice(&object.bytes).map_err(|error| StoreError {
            action: "read",
            key: self.key.clone(),
            cause: format!("it is no claim ({error}); if people may be told of this row again, delete it"),
        })?;
        Ok(Some(Held { claim, etag: object.head.etag }))
    }

    /// Brings the claim from `from` to `state`; none if somebody else was faster.
    pub(crate) async fn put(
        &self,
        state: State,
        from: Option<&Held>,
        at: DateTime<Utc>,
    ) -> Result<Option<Held>, StoreError> {
        let claim = Claim { state, writer: Uuid::new_v4().to_string(), at };
        let bytes: Bytes = serde_json::json!(claim).to_string().into();
        let condition = from.map_or(Condition::Absent, |held| Condition::Matches(held.etag.clone()));
        match self.store.put(&self.key, bytes, Metadata::new(), condition).await {
            Ok(etag) => Ok(Some(Held { claim, etag })),
            Err(PutError::Store(error)) => Err(error),
            // A write whose answer was lost is sent again by the client, and then conflicts with itself.
            Err(PutError::Conflict { .. }) => {
                Ok(self.get().await?.filter(|held| held.claim.writer == claim.writer))
            }
        }
    }
}
