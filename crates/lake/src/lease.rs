//! Leases: they keep two jobs from computing the same partition at the same time.
//!
//! A lease is advisory. It saves work and does not protect data: it expires, because its holder may
//! have crashed, and a holder that is slower than its lease runs beside the next one. Conditional
//! writes protect the data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::store::{Condition, Metadata, PutError, Store, StoreError};

/// How many conflicts end an attempt. Each conflict means that the lease was acquired or released
/// at that moment.
const ATTEMPTS: usize = 5;

/// The holder of a lease and its expiry. In JSON `{"job": "...", "until": "2026-11-21T10:05:10Z"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder: the id of a job.
    pub job: String,
    /// When the lease expires: from then on any job may acquire it.
    pub until: DateTime<Utc>,
}

/// The result of an attempt to acquire a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The job holds the lease.
    Granted,
    /// A job holds it already; it may be the same job, started before.
    Held(Lease),
    /// Other jobs were faster at every attempt, so one of them holds it or soon will.
    Contended,
}

/// Acquires the lease `key` for `job` until `until`, if no job holds it at `now`.
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
    let mut has_written = false;
    for _ in 0..ATTEMPTS {
        let condition = match store.get(key).await? {
            None => Condition::Absent,
            Some(object) => match parse(&object.bytes) {
                // The client retries a write whose response was lost, which then conflicts with the
                // first one.
                Some(lease) if has_written && lease == wanted => return Ok(Acquired::Granted),
                Some(lease) if lease.until > now => return Ok(Acquired::Held(lease)),
                // Expired, released, or not a lease.
                _ => Condition::Matches(object.head.etag),
            },
        };
        match store.put(key, bytes(&wanted), Metadata::new(), condition).await {
            Ok(_) => return Ok(Acquired::Granted),
            Err(PutError::Conflict { .. }) => has_written = true,
            Err(PutError::Store(error)) => return Err(error),
        }
    }
    Ok(Acquired::Contended)
}

/// Releases the lease if `job` still holds it, and returns whether it did. A lease that another job
/// has acquired since stays.
///
/// Releasing overwrites the lease with an expired one, because a write can be conditional: between
/// a read and a deletion another job could acquire the lease.
///
/// # Errors
/// When the store fails. The lease then expires.
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
    async fn a_held_lease_is_granted_to_no_job() {
        let store = MemoryStore::default();
        assert_eq!(take(&store, "a", 0).await, Acquired::Granted);
        let held = Acquired::Held(Lease { job: "a".into(), until: at(10) });
        assert_eq!(take(&store, "b", 9).await, held);
        assert_eq!(
            take(&store, "a", 9).await,
            held,
            "a job that is planned again must not start twice"
        );
    }

    #[tokio::test]
    async fn an_expired_lease_can_be_acquired_but_not_released() {
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
    async fn a_released_lease_is_free_at_once() {
        let store = MemoryStore::default();
        take(&store, "a", 0).await;
        assert!(release(&store, KEY, "a").await.unwrap());
        assert!(!release(&store, KEY, "a").await.unwrap(), "a second release does nothing");
        assert_eq!(take(&store, "a", 1).await, Acquired::Granted);
    }

    #[tokio::test]
    async fn releasing_an_absent_lease_does_nothing() {
        let store = MemoryStore::default();
        assert!(!release(&store, KEY, "a").await.unwrap());
        assert!(store.keys().is_empty());
    }

    #[tokio::test]
    async fn an_object_that_is_not_a_lease_counts_as_free() {
        let store = MemoryStore::default();
        store.put(KEY, Bytes::from_static(b"?"), Metadata::new(), Condition::Always).await.unwrap();
        assert!(!release(&store, KEY, "a").await.unwrap());
        assert_eq!(take(&store, "a", 0).await, Acquired::Granted);
    }

    #[tokio::test]
    async fn a_store_error_is_returned() {
        let store = MemoryStore::default();
        store.fail([false, true]);
        assert!(acquire(&store, KEY, "a", at(0), at(10)).await.is_err());
        assert_eq!(take(&store, "a", 0).await, Acquired::Granted);
    }

    /// A store on which all jobs read before any of them writes.
    struct Racing {
        store: MemoryStore,
        all_have_read: tokio::sync::Barrier,
        reads: std::sync::atomic::AtomicUsize,
        holders: usize,
    }

    #[async_trait::async_trait]
    impl Store for Racing {
        async fn get(&self, key: &str) -> Result<Option<crate::Object>, StoreError> {
            let object = self.store.get(key).await;
            if self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < self.holders {
                self.all_have_read.wait().await;
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
    async fn one_of_many_concurrent_attempts_is_granted() {
        for expired in [false, true] {
            let racing = Racing {
                store: MemoryStore::default(),
                all_have_read: tokio::sync::Barrier::new(8),
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

    /// A store on which another job always writes first, and releases at once.
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
    async fn repeated_conflicts_end_as_contended() {
        let outcome = acquire(&Refusing(MemoryStore::default()), KEY, "a", at(0), at(10)).await;
        assert_eq!(outcome.unwrap(), Acquired::Contended);
    }

    proptest! {
        /// The model is a map from job to the expiry of its lease: at most one job holds it.
        #[test]
        fn any_history_has_at_most_one_holder(
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
