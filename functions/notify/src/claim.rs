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
use shoplake_lake::{Condition, ETag, Metadata, Object, PutError, Store, StoreError, keys};

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
        Self { store, key: keys::alert(model, &digest(subject)) }
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
/// That commit may have no row of the subject any more. This object then leads to the subject. Its
/// key names the shop, and the commit that the row contradicts. The notify run of a later commit
/// deletes the object once it has handled the row. A row that contradicts that commit as well has
/// another object by then, so the deletion hides no row from the commits after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) partition: Partition,
    pub(crate) subject: String,
}

impl Waiting {
    /// Records that it, a row of `shop`, waits for `other`, whose commit is `commit`.
    pub(crate) async fn record(
        &self,
        store: &dyn Store,
        model: &str,
        shop: &str,
        other: Partition,
        commit: &ETag,
    ) -> Result<(), StoreError> {
        let text = serde_json::json!(self).to_string();
        let id = format!("{shop}-{}{}", digest(&text), Self::suffix(commit));
        let key = keys::waiting_alert(model, other, &id);
        match store.put(&key, text.into(), Metadata::new(), Condition::Always).await {
            // A write without a condition has no conflicts, and another write has the same content.
            Ok(_) | Err(PutError::Conflict { .. }) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// Returns the keys of the rows that wait for `partition`.
    pub(crate) async fn list(
        store: &dyn Store,
        model: &str,
        partition: Partition,
    ) -> Result<Vec<String>, StoreError> {
        let folder = keys::waiting_alerts(model, partition);
        let mut found = Vec::new();
        for folder in [keys::former_alerts(&folder), folder] {
            found.extend(store.list(&folder).await?.into_iter().map(|entry| entry.key));
        }
        Ok(found)
    }

    /// Returns the shop of a row by its key; `None` if it waits for a commit after `commit`.
    pub(crate) fn due(key: &str, commit: &ETag) -> Option<String> {
        let (_, id) = key.rsplit_once('/')?;
        let is_later = id.ends_with(&format!("{}.json", Self::suffix(commit)));
        // Ids from before 2026-12-02 have neither a shop nor a commit.
        (!is_later).then(|| id.split_once('-').map_or("", |(shop, _)| shop).to_owned())
    }

    fn suffix(commit: &ETag) -> String {
        format!("-{}", digest(commit.as_str()))
    }

    /// Returns the row that the object names; `None` if another run has deleted it.
    pub(crate) async fn read(store: &dyn Store, key: &str) -> Result<Option<Self>, NotifyError> {
        let Some(object) = store.get(key).await? else { return Ok(None) };
        serde_json::from_slice(&object.bytes)
            .map(Some)
            .map_err(|cause| NotifyError::Unreadable { key: key.to_owned(), cause })
    }
}

/// Returns a text for keys that differs between different texts.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
}
