//! Who is at work on something, so that nobody else starts the same meanwhile.
//!
//! A lease saves work; it protects nothing. It ends by itself, because its holder may have crashed,
//! and a holder that is slower than its lease goes on beside the next one. What must not happen
//! twice is guarded where it happens, by a conditional write.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::store::{Condition, Metadata, PutError, Store, StoreError};

/// How often somebody else may be faster before an attempt is given up. Each time means that a
/// lease was taken or given back in that moment.
const ATTEMPTS: usize = 5;

/// Who holds a lease, and until when. In JSON `{"job": "...", "until": "2026-11-21T10:05:10Z"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder: the id of a job.
    pub job: String,
    /// From this moment on anybody may take it over.
    pub until: DateTime<Utc>,
}

/// Whether a lease could be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is the job's.
    Granted,
    /// It is somebody's (it may be the same job, started before).
    Held(Lease),
    /// Others were faster time and again, so it is somebody's or soon will be.
    Contended,
}

/// Takes the lease `key` for `job` until `until`, if nobody holds it at `now`.
///
/// # Errors
/// When the store fails.
pub async fn acquire(
    store: &(impl Store + ?Sized),
    key: &str,
    job: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Acquired, StoreError> {
    let wanted = Lease { job: job.to_owned(), until };
    let mut asked = false;
    for _ in 0..ATTEMPTS {
        let condition = match store.get(key).await? {
            None => Condition::Absent,
            Some(object) => match parse(&object.bytes) {
                // A write whose answer was lost is sent again by the client, and then conflicts
                // with itself.
                Some(lease) if asked && lease == wanted => return Ok(Acquired::Granted),
                Some(lease) if lease.until > now => return Ok(Acquired::Held(lease)),
                // Expired, given back, or not a lease at all, which is nobody's.
                _ => Condition::Matches(object.head.etag),
            },
        };
        match store.put(key, bytes(&wanted), Metadata::new(), condition).await {
            Ok(_) => return Ok(Acquired::Granted),
            Err(PutError::Conflict { .. }) => asked = true,
            Err(PutError::Store(error)) => return Err(error),
        }
    }
    Ok(Acquired::Contended)
}

/// Gives the lease back, if it still is `job`'s; says whether it was. Otherwise nothing happens: it
/// has expired, and whoever has taken it over keeps it.
///
/// The lease is overwritten by one that has expired and not deleted, because a write can be made to
/// depend on what it replaces: between a look and a deletion the lease could have become another's.
///
/// # Errors
/// When the store fails. The lease then ends by itself.
pub async fn release(
    store: &(impl Store + ?Sized),
    key: &str,
    job: &str,
) -> Result<bool, StoreError> {
    let Some(object) = store.get(key).await? else { return Ok(false) };
    let released = Lease { job: job.to_owned(), until: DateTime::UNIX_EPOCH };
    match parse(&object.bytes) {
        Some(lease) if lease.job == job && lease != released => {}
        _ => return Ok(false),
    }
    let condition = Condition::Matches(object.head.etag);
    match store.put(key, bytes(&released), Metadata::new(), condition).await {
        Ok(_) => Ok(true),
        Err(PutError::Conflict { .. }) => Ok(false),
        Err(PutError::Store(error)) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<Lease> {
    serde_json::from_slice(bytes).ok()
}

fn bytes(lease: &Lease) -> bytes::Bytes {
    serde_json::to_vec(lease).expect("a text and a time are always JSON").into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::MemoryStore;

    const KEY: &str = "jobs/daily/2026-11-21/running.json";

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    /// Takes the lease at `second`, for ten seconds.
    async fn take(store: &MemoryStore, job: &str, second: i64) -> Acquired {
        acquire(store, KEY, job, at(second), at(second + 10)).await.unwrap()
    }

    #[tokio::test]
    async fn given_a_lease_when_another_job_or_the_same_one_asks_then_it_is_held() {
        let store = MemoryStore::default();
        assert_eq!(take(&store, "a", 0).await, Acquired::Granted);
        let held = Acquired::Held(Lease { job: "a".into(), until: at(10) });
        assert_eq!(take(&store, "b", 9).await, held);
        assert_eq!(
            take(&store, "a", 9).await,
            held,
            "whoever plans the same job again must not start it twice"
        );
    }

    #[tokio::test]
    async fn given_an_expired_lease_then_it_is_taken_over_and_its_former_holder_can_not_give_it_back()
     {
        let store = MemoryStore::default();
        take(&store, "a", 0).await;
        assert_eq!(take(&store, "b", 10).await, Acquired::Granted);
        assert!(!release(&store, KEY, "a").await.unwrap());
        assert_eq!(
            take(&store, "c", 19).await,
            Acquired::Held(Lease { job: "b".into(), until: at(20) })
        );
    }

    #[tokio::test]
    async fn given_a_lease_that_was_given_back_then_it_is_free_at_once() {
        let store = MemoryStore::default();
        take(&store, "a", 0).await;
        assert!(release(&store, KEY, "a").await.unwrap());
        assert!(!release(&store, KEY, "a").await.unwrap(), "once is enough");
        assert_eq!(take(&store, "a", 1).await, Acquired::Granted);
    }

    #[tokio::test]
    async fn given_no_lease_then_there_is_nothing_to_give_back() {
        let store = MemoryStore::default();
        assert!(!release(&store, KEY, "a").await.unwrap());
        assert!(store.keys().is_empty());
    }

    #[tokio::test]
    async fn given_what_is_no_lease_then_it_is_nobody_s() {
        let store = MemoryStore::default();
        store.put(KEY, Bytes::from_static(b"?"), Metadata::new(), Condition::Always).await.unwrap();
        assert!(!release(&store, KEY, "a").await.unwrap());
        assert_eq!(take(&store, "a", 0).await, Acquired::Granted);
    }

    #[tokio::test]
    async fn given_a_store_that_fails_then_so_does_the_lease() {
        let store = MemoryStore::default();
        store.fail([false, true]);
        assert!(acquire(&store, KEY, "a", at(0), at(10)).await.is_err());
        assert_eq!(take(&store, "a", 0).await, Acquired::Granted);
    }

    /// A store on which everybody reads before anybody writes.
    struct Racing {
        store: MemoryStore,
        everybody_has_read: tokio::sync::Barrier,
        reads: std::sync::atomic::AtomicUsize,
        holders: usize,
    }

    #[async_trait::async_trait]
    impl Store for Racing {
        async fn get(&self, key: &str) -> Result<Option<crate::Object>, StoreError> {
            let object = self.store.get(key).await;
            if self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < self.holders {
                self.everybody_has_read.wait().await;
            }
            object
        }

        async fn head(&self, key: &str) -> Result<Option<crate::Head>, StoreError> {
            self.store.head(key).await
        }

        async fn list(&self, prefix: &str) -> Result<Vec<crate::Entry>, StoreError> {
            self.store.list(prefix).await
        }

        async fn put(
            &self,
            key: &str,
            bytes: Bytes,
            metadata: Metadata,
            condition: Condition,
        ) -> Result<crate::ETag, PutError> {
            self.store.put(key, bytes, metadata, condition).await
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.store.delete(key).await
        }
    }

    #[tokio::test]
    async fn given_many_who_see_it_free_at_the_same_time_then_one_of_them_has_it() {
        for expired in [false, true] {
            let racing = Racing {
                store: MemoryStore::default(),
                everybody_has_read: tokio::sync::Barrier::new(8),
                reads: Default::default(),
                holders: 8,
            };
            if expired {
                take(&racing.store, "crashed", -20).await;
            }
            let jobs: Vec<_> = (0..8).map(|number| format!("job-{number}")).collect();
            let attempts = jobs.iter().map(|job| acquire(&racing, KEY, job, at(0), at(10)));
            let outcomes = futures::future::join_all(attempts).await;

            let granted =
                outcomes.iter().filter(|outcome| matches!(outcome, Ok(Acquired::Granted))).count();
            let held =
                outcomes.iter().filter(|outcome| matches!(outcome, Ok(Acquired::Held(_)))).count();
            assert_eq!((granted, held), (1, 7), "{outcomes:?}");
        }
    }

    /// A store on which somebody else always writes first, and is gone again.
    struct Refusing(MemoryStore);

    #[async_trait::async_trait]
    impl Store for Refusing {
        async fn get(&self, key: &str) -> Result<Option<crate::Object>, StoreError> {
            self.0.get(key).await
        }

        async fn head(&self, key: &str) -> Result<Option<crate::Head>, StoreError> {
            self.0.head(key).await
        }

        async fn list(&self, prefix: &str) -> Result<Vec<crate::Entry>, StoreError> {
            self.0.list(prefix).await
        }

        async fn put(
            &self,
            key: &str,
            _: Bytes,
            _: Metadata,
            _: Condition,
        ) -> Result<crate::ETag, PutError> {
            Err(PutError::Conflict { key: key.to_owned() })
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.0.delete(key).await
        }
    }

    #[tokio::test]
    async fn given_others_who_are_always_faster_then_that_is_no_fault_and_ends() {
        let outcome = acquire(&Refusing(MemoryStore::default()), KEY, "a", at(0), at(10)).await;
        assert_eq!(outcome.unwrap(), Acquired::Contended);
    }

    proptest! {
        /// Compared with the plainest of models, a map from job to the end of its lease: at no time
        /// do two hold it.
        #[test]
        fn given_any_history_then_the_lease_has_at_most_one_holder(
            steps in prop::collection::vec((0_usize..4, 0_i64..8, any::<bool>()), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let store = MemoryStore::default();
                let mut holders: BTreeMap<usize, i64> = BTreeMap::new();
                let mut now = 0;
                for (job, waited, takes) in steps {
                    now += waited;
                    holders.retain(|_, until| *until > now);
                    let name = format!("job-{job}");
                    if takes {
                        let granted = take(&store, &name, now).await == Acquired::Granted;
                        prop_assert_eq!(granted, holders.is_empty(), "at {}", now);
                        if granted {
                            holders.insert(job, now + 10);
                        }
                    } else {
                        release(&store, KEY, &name).await.unwrap();
                        holders.remove(&job);
                    }
                    prop_assert!(holders.len() <= 1);
                }
                Ok(())
            })?;
        }
    }
}
