//! Claims: only the run that has written the claim of an episode publishes its message.
//!
//! SNS cannot be queried for a message, and does not remove duplicates. So a run writes a claim
//! before it publishes, with a conditional write that only one run can win, and records the result
//! afterwards. A process that ends in between leaves a claim that no other run takes over: people
//! may miss that episode, but they are never notified twice.
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
use shoplake_jobs::Partition;
use shoplake_lake::{Condition, Metadata, Object, PutError, Store, StoreError, keys};

use crate::episode::{State, Subject};
use crate::handler::NotifyError;

/// The object that holds the episodes of a subject.
pub(crate) struct Ledger<'a> {
    store: &'a dyn Store,
    pub(crate) key: String,
}

impl<'a> Ledger<'a> {
    /// The ledger of the subject. Its key depends on nothing but the subject's values.
    pub(crate) fn new(store: &'a dyn Store, model: &str, subject: &str) -> Self {
        let digest = Sha256::digest(subject);
        Self { store, key: keys::alert(model, &hex::encode(&digest[..16])) }
    }

    /// Reads the subject, and the condition for writing it again.
    pub(crate) async fn read(&self) -> Result<(Subject, Condition), NotifyError> {
        if let Some(object) = self.store.get(&self.key).await? {
            return Ok((episodes(&self.key, &object)?, Condition::Matches(object.head.etag)));
        }
        // Without the claims of before the rename, an upgrade would notify people of each open
        // episode again.
        let former = keys::former_alerts(&self.key);
        let subject = match self.store.get(&former).await? {
            Some(object) => episodes(&former, &object)?,
            None => Subject::default(),
        };
        Ok((subject, Condition::Absent))
    }

    /// Writes the subject; returns `false` if another run has changed it since it was read.
    pub(crate) async fn write(
        &self,
        subject: &Subject,
        condition: Condition,
    ) -> Result<bool, StoreError> {
        let bytes: Bytes = serde_json::json!(subject).to_string().into();
        match self.store.put(&self.key, bytes.clone(), Metadata::new(), condition).await {
            Ok(_) => Ok(true),
            Err(PutError::Store(error)) => Err(error),
            // A write whose answer was lost is sent again by the client, and then conflicts with
            // itself.
            Err(PutError::Conflict { .. }) => {
                Ok(self.store.get(&self.key).await?.is_some_and(|object| object.bytes == bytes))
            }
        }
    }

    /// Records the result of the message that `writer` has claimed.
    pub(crate) async fn settle(
        &self,
        writer: &str,
        state: State,
        at: DateTime<Utc>,
    ) -> Result<(), NotifyError> {
        loop {
            let (mut subject, condition) = self.read().await?;
            let claimed = subject.episodes.iter_mut().find(|episode| episode.writer == writer);
            // Absent only if the object was deleted, or if many newer episodes have replaced it.
            let Some(episode) = claimed else { return Ok(()) };
            (episode.state, episode.at) = (state, at);
            if self.write(&subject, condition).await? {
                return Ok(());
            }
        }
    }
}

/// Reads the episodes of a subject.
fn episodes(key: &str, object: &Object) -> Result<Subject, NotifyError> {
    serde_json::from_slice(&object.bytes)
        .map_err(|cause| NotifyError::Unreadable { key: key.to_owned(), cause })
}

/// A row that waits for the next commit of another partition, because only one of their two rows
/// can be right.
///
/// That commit may have no row of the subject any more. This object then leads to the subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) partition: Partition,
    pub(crate) subject: String,
}

impl Waiting {
    /// Records that it waits for `other`.
    pub(crate) async fn record(
        &self,
        store: &dyn Store,
        model: &str,
        other: Partition,
    ) -> Result<(), StoreError> {
        let text = serde_json::json!(self).to_string();
        let id = hex::encode(&Sha256::digest(&text)[..16]);
        let key = keys::waiting_alert(model, other, &id);
        match store.put(&key, text.into(), Metadata::new(), Condition::Always).await {
            // A write without a condition has no conflicts, and another write has the same content.
            Ok(_) | Err(PutError::Conflict { .. }) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// Returns the rows that wait, or have waited, for `partition`, each of them or why it cannot
    /// be read.
    pub(crate) async fn list(
        store: &dyn Store,
        model: &str,
        partition: Partition,
    ) -> Result<Vec<Result<Self, NotifyError>>, StoreError> {
        let folder = keys::waiting_alerts(model, partition);
        let mut found = Vec::new();
        for folder in [keys::former_alerts(&folder), folder] {
            for entry in store.list(&folder).await? {
                let waiting = match store.get(&entry.key).await {
                    Ok(None) => continue,
                    Ok(Some(object)) => serde_json::from_slice(&object.bytes)
                        .map_err(|cause| NotifyError::Unreadable { key: entry.key, cause }),
                    Err(error) => Err(error.into()),
                };
                found.push(waiting);
            }
        }
        Ok(found)
    }
}
