//! States as objects, changed by conditional writes.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use shoplake_jobs::Partition;

use super::PartitionState;
use crate::keys;
use crate::store::{Condition, ETag, Metadata, PutError, Store, StoreError};

/// How often an update starts over because another writer was faster.
const ATTEMPTS: usize = 10;

/// A state that was read, for a conditional write in its place.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The state; the default without an object, and if the object is not a state.
    pub state: PartitionState,
    /// When it was written; none without an object.
    pub written_at: Option<DateTime<Utc>>,
    etag: Option<ETag>,
}

impl Stored {
    /// Returns whether the partition has a state.
    pub fn exists(&self) -> bool {
        self.etag.is_some()
    }
}

/// Reads the state of a partition.
///
/// # Errors
/// When the store fails.
pub async fn read(
    store: &(impl Store + ?Sized),
    model: &str,
    partition: Partition,
) -> Result<Stored, StoreError> {
    let object = store.get(&keys::partition_state(model, partition)).await?;
    Ok(object.map_or_else(
        || Stored { state: PartitionState::default(), written_at: None, etag: None },
        |object| Stored {
            // An object that is not a state counts as one of which nothing is known: what gold has
            // is then published and loaded again.
            state: serde_json::from_slice(&object.bytes).unwrap_or_default(),
            written_at: Some(object.head.last_modified),
            etag: Some(object.head.etag),
        },
    ))
}

/// Writes `state` in place of `before`, and returns whether it is stored: not if another writer has
/// changed the state since it was read. Writes the marker first if the state begins to owe.
///
/// # Errors
/// When the store fails. The state may have been written.
pub async fn write(
    store: &(impl Store + ?Sized),
    model: &str,
    partition: Partition,
    before: &Stored,
    state: &PartitionState,
) -> Result<bool, StoreError> {
    if *state == before.state {
        return Ok(true);
    }
    let owes = !state.is_settled();
    if owes && !before.state.marked {
        mark(store, model, partition).await?;
    }
    let state = PartitionState { marked: owes || before.state.marked, ..state.clone() };
    put(store, model, partition, before, &state).await
}

/// Changes the state of a partition, and returns what `change` returned for the state that was
/// stored. `change` is applied again if another writer was faster, or if the answer to a write was
/// lost, so applying it twice must have the same effect as applying it once.
///
/// # Errors
/// When the store fails, or other writers are faster at every attempt.
pub async fn update<T>(
    store: &(impl Store + ?Sized),
    model: &str,
    partition: Partition,
    mut change: impl FnMut(&mut PartitionState) -> T,
) -> Result<T, StoreError> {
    for _ in 0..ATTEMPTS {
        let before = read(store, model, partition).await?;
        let mut state = before.state.clone();
        let returned = change(&mut state);
        if write(store, model, partition, &before, &state).await? {
            return Ok(returned);
        }
    }
    Err(StoreError {
        action: "change",
        key: keys::partition_state(model, partition),
        cause: format!("another writer was faster at each of {ATTEMPTS} attempts"),
    })
}

/// Deletes the marker of a partition that owes nothing, and returns whether it did.
///
/// The state says whether its marker exists, so it is written after the deletion: if the partition
/// has begun to owe in the meantime, its writer has relied on the marker, and that write conflicts
/// with this one. The marker is then written again.
///
/// # Errors
/// When the store fails. If the process ends between deletion and write, the daily comparison of
/// the sweep finds the state without its marker.
pub async fn settle(
    store: &(impl Store + ?Sized),
    model: &str,
    partition: Partition,
    before: &Stored,
) -> Result<bool, StoreError> {
    store.delete(&keys::owed(model, partition)).await?;
    let state = PartitionState { marked: false, ..before.state.clone() };
    if put(store, model, partition, before, &state).await? {
        return Ok(true);
    }
    mark(store, model, partition).await?;
    Ok(false)
}

/// Writes the marker of a partition.
///
/// # Errors
/// When the store fails.
pub async fn mark(
    store: &(impl Store + ?Sized),
    model: &str,
    partition: Partition,
) -> Result<(), StoreError> {
    let key = keys::owed(model, partition);
    match store.put(&key, Bytes::new(), Metadata::new(), Condition::Always).await {
        Ok(_) | Err(PutError::Conflict { .. }) => Ok(()),
        Err(PutError::Store(error)) => Err(error),
    }
}

/// Writes `state` if the object is still the one that was read, and returns whether it is stored.
async fn put(
    store: &(impl Store + ?Sized),
    model: &str,
    partition: Partition,
    before: &Stored,
    state: &PartitionState,
) -> Result<bool, StoreError> {
    let key = keys::partition_state(model, partition);
    let bytes: Bytes = serde_json::to_vec(state).expect("a state is always JSON").into();
    let condition = before.etag.clone().map_or(Condition::Absent, Condition::Matches);
    match store.put(&key, bytes, Metadata::new(), condition).await {
        Ok(_) => Ok(true),
        // The client retries a write whose answer was lost, which then conflicts with the first.
        Err(PutError::Conflict { .. }) => {
            let now = read(store, model, partition).await?;
            Ok(now.exists() && now.state == *state)
        }
        Err(PutError::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;
    use crate::{Entry, Head, MemoryStore, Object};

    const MODEL: &str = "daily";

    fn day() -> Partition {
        "2010-12-01".parse().unwrap()
    }

    fn dirty(state: &mut PartitionState) {
        state.note_dirty(DateTime::UNIX_EPOCH, false);
    }

    fn clean(state: &mut PartitionState) {
        state.up_to_date(DateTime::UNIX_EPOCH);
    }

    async fn stored(store: &MemoryStore) -> PartitionState {
        read(store, MODEL, day()).await.unwrap().state
    }

    fn is_marked(store: &MemoryStore) -> bool {
        store.keys().contains(&keys::owed(MODEL, day()))
    }

    /// A store with something that happens between two requests.
    struct Racing {
        store: MemoryStore,
        /// Runs after the next write or deletion of a key with this prefix.
        then: Mutex<Option<(&'static str, Then)>>,
        /// Whether the answer to the next write of a state is lost: the client sends it again.
        loses_answer: Mutex<bool>,
    }

    type Then = Box<dyn for<'a> FnOnce(&'a MemoryStore) -> BoxFuture<'a, ()> + Send>;

    impl Racing {
        fn new() -> Self {
            let store = MemoryStore::default();
            Self { store, then: Mutex::default(), loses_answer: Mutex::default() }
        }

        fn after(
            &self,
            prefix: &'static str,
            then: impl for<'a> FnOnce(&'a MemoryStore) -> BoxFuture<'a, ()> + Send + 'static,
        ) {
            *self.then.lock().unwrap() = Some((prefix, Box::new(then)));
        }

        async fn race(&self, key: &str) {
            let then = self.then.lock().unwrap().take_if(|(prefix, _)| key.starts_with(*prefix));
            if let Some((_, then)) = then {
                then(&self.store).await;
            }
        }
    }

    #[async_trait]
    impl Store for Racing {
        async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
            self.store.get(key).await
        }

        async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
            self.store.head(key).await
        }

        async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
            self.store.list(prefix).await
        }

        async fn put(
            &self,
            key: &str,
            bytes: Bytes,
            metadata: Metadata,
            condition: Condition,
        ) -> Result<ETag, PutError> {
            let is_state = key.starts_with(keys::PARTITION_STATES);
            if is_state && std::mem::take(&mut *self.loses_answer.lock().unwrap()) {
                let (bytes, metadata) = (bytes.clone(), metadata.clone());
                self.store.put(key, bytes, metadata, condition.clone()).await?;
            }
            let etag = self.store.put(key, bytes, metadata, condition).await?;
            self.race(key).await;
            Ok(etag)
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.store.delete(key).await?;
            self.race(key).await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_marker_is_written_before_the_state_owes() {
        let store = MemoryStore::default();
        // The marker is written, the state is not.
        store.fail([false, false, true]);
        assert!(update(&store, MODEL, day(), dirty).await.is_err());
        assert_eq!(store.keys(), ["state/owed/daily/2010-12-01"]);

        update(&store, MODEL, day(), dirty).await.unwrap();
        assert!(stored(&store).await.marked);
        update(&store, MODEL, day(), clean).await.unwrap();
        let before = read(&store, MODEL, day()).await.unwrap();
        assert!(settle(&store, MODEL, day(), &before).await.unwrap() && !is_marked(&store));
    }

    #[tokio::test]
    async fn a_write_with_a_lost_answer_counts_once() {
        let racing = Racing::new();
        *racing.loses_answer.lock().unwrap() = true;
        let mut applied = 0;
        let change = |state: &mut PartitionState| {
            applied += 1;
            dirty(state);
        };
        update(&racing, MODEL, day(), change).await.unwrap();
        assert_eq!(applied, 1, "the second write conflicts with the first");
    }

    #[tokio::test]
    async fn a_change_of_another_writer_is_kept() {
        let racing = Racing::new();
        racing.after(keys::OWED, |store| {
            Box::pin(
                async move { update(store, MODEL, day(), |state| state.load(7)).await.unwrap() },
            )
        });
        update(&racing, MODEL, day(), dirty).await.unwrap();
        let state = stored(&racing.store).await;
        assert_eq!((state.loaded, state.dirty_since.is_some()), (7, true));
    }

    #[tokio::test]
    async fn a_marker_is_kept_if_the_state_owes_meanwhile() {
        let racing = Racing::new();
        for change in [dirty, clean] {
            update(&racing, MODEL, day(), change).await.unwrap();
        }
        let before = read(&racing, MODEL, day()).await.unwrap();
        assert!(before.state.is_settled() && before.state.marked);
        racing.after(keys::OWED, |store| {
            Box::pin(async move { update(store, MODEL, day(), dirty).await.unwrap() })
        });
        assert!(!settle(&racing, MODEL, day(), &before).await.unwrap());
        assert!(is_marked(&racing.store) && stored(&racing.store).await.dirty_since.is_some());
    }

    #[tokio::test]
    async fn an_unreadable_state_is_replaced() {
        let store = MemoryStore::default();
        let key = keys::partition_state(MODEL, day());
        let bytes = Bytes::from_static(b"?");
        store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();
        update(&store, MODEL, day(), dirty).await.unwrap();
        assert!(stored(&store).await.dirty_since.is_some());
    }

    proptest! {
        /// Writers and sweeps in any order leave no state that owes without its marker.
        #[test]
        fn a_state_that_owes_has_a_marker(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..30),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let racing = Racing::new();
                for (sweeps, makes_dirty, races) in steps {
                    let change: fn(&mut PartitionState) = if makes_dirty { dirty } else { clean };
                    if races {
                        racing.after("state/", move |store| {
                            Box::pin(async move {
                                let before = read(store, MODEL, day()).await.unwrap();
                                if !makes_dirty && before.state.is_settled() {
                                    settle(store, MODEL, day(), &before).await.unwrap();
                                } else {
                                    update(store, MODEL, day(), change).await.unwrap();
                                }
                            })
                        });
                    }
                    let before = read(&racing, MODEL, day()).await.unwrap();
                    if sweeps && before.state.is_settled() {
                        settle(&racing, MODEL, day(), &before).await.unwrap();
                    } else {
                        update(&racing, MODEL, day(), change).await.unwrap();
                    }
                    let state = stored(&racing.store).await;
                    prop_assert!(state.is_settled() || is_marked(&racing.store), "{state:?}");
                }
                Ok(())
            })?;
        }
    }
}
