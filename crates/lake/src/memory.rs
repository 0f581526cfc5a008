//! A lake in memory, with the promises of S3: strong consistency and atomic conditional writes. As
//! with SSE-KMS, each write has another ETag, whatever its bytes are.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use shoplake_platform::faults::{Fault, Faults};

use crate::store::{
    Condition, ETag, Entry, Folders, Head, Metadata, Object, PutError, Store, StoreError,
};

/// Objects in memory. Its clock stands still until it is set, so that a test decides what is old.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    now: DateTime<Utc>,
    writes: u64,
}

impl MemoryStore {
    /// Returns an empty store whose operations have these faults.
    pub fn with_faults(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Returns the faults of the store.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sets the time of later writes.
    pub fn set_now(&self, now: DateTime<Utc>) {
        self.state().now = now;
    }

    /// Sets which of the next operations fail, one value each. All operations after the schedule
    /// succeed.
    pub fn fail(&self, schedule: impl IntoIterator<Item = bool>) {
        self.faults.set(schedule.into_iter().map(|fails| fails.then_some(Fault::Lost)));
    }

    /// Returns all keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one call on a collection, so a panicking test leaves none half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, action: &'static str, key: &str) -> Result<MutexGuard<'_, State>, StoreError> {
        match self.faults.read(action) {
            None => Ok(self.state()),
            Some(fault) => Err(failed(action, key, fault)),
        }
    }

    /// Begins a write: returns the state to change, and the error to return after the change if the
    /// answer is lost.
    fn write(
        &self,
        action: &'static str,
        key: &str,
    ) -> Result<(MutexGuard<'_, State>, Result<(), StoreError>), StoreError> {
        match self.faults.write(action) {
            None => Ok((self.state(), Ok(()))),
            Some(fault) if fault.takes_effect() => {
                Ok((self.state(), Err(failed(action, key, fault))))
            }
            Some(fault) => Err(failed(action, key, fault)),
        }
    }
}

fn failed(action: &'static str, key: &str, fault: Fault) -> StoreError {
    StoreError { action, key: key.to_owned(), cause: format!("requested fault {fault:?}") }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        Ok(self.read("read", key)?.objects.get(key).cloned())
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        Ok(self.read("look at", key)?.objects.get(key).map(|object| object.head.clone()))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let state = self.read("list", prefix)?;
        Ok(state
            .objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| entry(key, object))
            .collect())
    }

    async fn list_range(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        let folders = Folders::new(prefix, first, last);
        let state = self.read("list", prefix)?;
        let range = (Bound::Excluded(folders.start_after()), Bound::Unbounded);
        let end = folders.end();
        Ok(state
            .objects
            .range(range)
            .take_while(|(key, _)| **key < end)
            .filter(|(key, _)| folders.contain(key))
            .map(|(key, object)| entry(key, object))
            .collect())
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        let (mut state, answer) = self.write("write", key)?;
        let current = state.objects.get(key).map(|object| &object.head.etag);
        let holds = match &condition {
            Condition::Always => true,
            Condition::Absent => current.is_none(),
            Condition::Matches(expected) => current == Some(expected),
        };
        if !holds {
            answer?;
            return Err(PutError::Conflict { key: key.to_owned() });
        }
        state.writes += 1;
        let digest = Sha256::digest(state.writes.to_be_bytes());
        let etag = ETag::new(format!("\"{}\"", hex::encode(&digest[..16])));
        let head = Head {
            etag: etag.clone(),
            size: bytes.len() as u64,
            last_modified: state.now,
            metadata,
        };
        state.objects.insert(key.to_owned(), Object { head, bytes });
        answer?;
        Ok(etag)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let (mut state, answer) = self.write("delete", key)?;
        state.objects.remove(key);
        answer
    }
}

fn entry(key: &str, object: &Object) -> Entry {
    Entry {
        key: key.to_owned(),
        etag: object.head.etag.clone(),
        size: object.head.size,
        last_modified: object.head.last_modified,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn put(
        store: &MemoryStore,
        text: &'static str,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        store.put("gold/a", Bytes::from_static(text.as_bytes()), Metadata::new(), condition).await
    }

    #[tokio::test]
    async fn of_two_writers_from_the_same_version_one_conflicts() {
        let store = MemoryStore::default();
        let first = put(&store, "1", Condition::Absent).await.unwrap();
        assert!(matches!(
            put(&store, "x", Condition::Absent).await,
            Err(PutError::Conflict { .. })
        ));

        put(&store, "2", Condition::Matches(first.clone())).await.unwrap();
        assert!(matches!(
            put(&store, "3", Condition::Matches(first)).await,
            Err(PutError::Conflict { .. })
        ));
        assert_eq!(store.get("gold/a").await.unwrap().unwrap().bytes, "2");
    }

    #[tokio::test]
    async fn the_same_bytes_get_another_etag() {
        let store = MemoryStore::default();
        let first = put(&store, "1", Condition::Always).await.unwrap();
        assert_ne!(put(&store, "1", Condition::Always).await.unwrap(), first);
    }

    #[tokio::test]
    async fn lists_only_the_prefix() {
        let store = MemoryStore::default();
        for key in ["a/1", "a/2", "a0", "b/1"] {
            store.put(key, Bytes::new(), Metadata::new(), Condition::Always).await.unwrap();
        }
        let keys: Vec<_> =
            store.list("a/").await.unwrap().into_iter().map(|entry| entry.key).collect();
        assert_eq!(keys, ["a/1", "a/2"]);
    }

    #[tokio::test]
    async fn fails_as_scheduled_and_changes_nothing() {
        let store = MemoryStore::default();
        store.fail([true]);
        assert!(matches!(put(&store, "1", Condition::Always).await, Err(PutError::Store(_))));
        assert!(store.get("gold/a").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_write_with_a_lost_answer_conflicts_when_it_is_repeated() {
        let store = MemoryStore::default();
        store.faults().set([Some(Fault::AnswerLost)]);
        let lost = put(&store, "1", Condition::Absent).await;
        assert!(matches!(lost, Err(PutError::Store(_))), "{lost:?}");
        let repeated = put(&store, "1", Condition::Absent).await;
        assert!(matches!(repeated, Err(PutError::Conflict { .. })), "{repeated:?}");
        assert_eq!(store.get("gold/a").await.unwrap().unwrap().bytes, "1");

        store.faults().set([Some(Fault::AnswerLost)]);
        assert!(store.delete("gold/a").await.is_err());
        assert!(store.get("gold/a").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_next_object_follows_a_key() {
        let store = MemoryStore::default();
        for key in ["a/1/x", "a/1/y", "a/2/x", "b/1"] {
            store.put(key, Bytes::new(), Metadata::new(), Condition::Always).await.unwrap();
        }
        let next = async |after: &str| store.next("a/", after).await.unwrap().map(|next| next.key);
        assert_eq!(next("").await.as_deref(), Some("a/1/x"));
        assert_eq!(next("a/1/x").await.as_deref(), Some("a/1/y"));
        assert_eq!(next("a/10").await.as_deref(), Some("a/2/x"), "`0` follows `/`");
        assert_eq!(next("a/2/x").await, None);
    }

    proptest! {
        /// One ranged listing equals the listings of its days, whatever other keys there are.
        #[test]
        fn a_range_lists_what_its_folders_list(
            keys in prop::collection::btree_set(
                "(silver/sales/dt=2026-0[1-3]-0[1-9](-x|0|)|silver/sales/dt=2026|silver/salesx/dt=2026-02-01|silver/sales/bucket=0001)(/hour=0[0-2]|)/[ab]",
                0..40,
            ),
            first in 1_u32..29,
            days in 0_u64..60,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let first = chrono::NaiveDate::from_ymd_opt(2026, 1, first).unwrap();
            let last = first + chrono::Days::new(days);
            let (ranged, one_by_one) = runtime.block_on(async {
                let store = MemoryStore::default();
                for key in &keys {
                    store.put(key, Bytes::new(), Metadata::new(), Condition::Always).await.unwrap();
                }
                let prefix = "silver/sales/dt=";
                let mut one_by_one = Vec::new();
                for day in first.iter_days().take_while(|day| *day <= last) {
                    one_by_one.extend(store.list(&format!("{prefix}{day}/")).await.unwrap());
                }
                let (first, last) = (first.to_string(), last.to_string());
                let ranged = store.list_range(prefix, &first, &last).await.unwrap();
                (ranged, one_by_one)
            });
            prop_assert_eq!(ranged, one_by_one);
        }
    }
}
