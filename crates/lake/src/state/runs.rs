//! Run slots: they bound how many jobs run at the same time.
//!
//! A slot is an object, `state/runs/<number>.json`, that a job takes by a conditional write before
//! it starts and deletes when it ends. The slot of a crashed job expires.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shoplake_jobs::Partition;

use crate::keys;
use crate::store::{Condition, Metadata, PutError, Store, StoreError};

/// The age until which a slot cannot have expired: no lease is shorter. While all slots are taken,
/// younger ones need not be read.
const SHORTEST: TimeDelta = TimeDelta::minutes(5);

/// The job that holds a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The model.
    pub model: String,
    /// Its partition.
    pub partition: Partition,
    /// The job, by its id.
    pub job: String,
    /// When the slot expires.
    pub until: DateTime<Utc>,
}

/// Takes a free one of these slots, and returns its number; `None` if all of them are taken. A run
/// that is not urgent may take one of the first half, and at least one slot: so the others find a
/// free one.
///
/// # Errors
/// When the store fails.
pub async fn take(
    store: &(impl Store + ?Sized),
    run: &Run,
    slots: Range<u16>,
    is_urgent: bool,
    now: DateTime<Utc>,
) -> Result<Option<u16>, StoreError> {
    let most = if is_urgent { slots.len() } else { (slots.len() / 2).max(1) };
    let entries = store.list(keys::RUNS).await?;
    let taken: BTreeMap<u16, DateTime<Utc>> = entries
        .iter()
        .filter_map(|entry| Some((keys::run_number(&entry.key)?, entry.last_modified)))
        .collect();
    // An urgent job leaves the first slots to the others as long as it can.
    let numbers = || slots.clone().take(most).rev();
    for number in numbers().filter(|number| !taken.contains_key(number)) {
        if put(store, number, run, Condition::Absent).await? {
            return Ok(Some(number));
        }
    }
    for number in numbers() {
        let taken_at = taken.get(&number).copied();
        if taken_at.is_none_or(|taken_at| now - taken_at < SHORTEST) {
            continue;
        }
        let Some(object) = store.get(&keys::run(number)).await? else { continue };
        let held: Option<Run> = serde_json::from_slice(&object.bytes).ok();
        let is_expired = held.is_none_or(|held| held.until <= now);
        if is_expired && put(store, number, run, Condition::Matches(object.head.etag)).await? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Lets a run keep its slot until another time.
///
/// # Errors
/// When the store fails. The slot then expires at its former time.
pub async fn extend(
    store: &(impl Store + ?Sized),
    number: u16,
    run: &Run,
) -> Result<(), StoreError> {
    put(store, number, run, Condition::Always).await.map(|_| ())
}

/// Frees a slot if `job` holds it.
///
/// A job that has lost its slot between the two requests would free that of another one, which then
/// runs without a slot. A slot outlasts its job, so this is rare and costs nothing but one more
/// concurrent job.
///
/// # Errors
/// When the store fails. The slot then expires.
pub async fn free(store: &(impl Store + ?Sized), number: u16, job: &str) -> Result<(), StoreError> {
    let key = keys::run(number);
    let Some(object) = store.get(&key).await? else { return Ok(()) };
    let held: Option<Run> = serde_json::from_slice(&object.bytes).ok();
    if held.is_some_and(|held| held.job == job) { store.delete(&key).await } else { Ok(()) }
}

/// Frees the slot of `job`, if it has one. A failure is only logged, because the slot then expires.
pub async fn release(store: &(impl Store + ?Sized), slot: Option<u16>, job: &str) {
    if let Some(slot) = slot
        && let Err(error) = free(store, slot, job).await
    {
        tracing::warn!(slot, job, %error, "could not free a run slot; it will expire");
    }
}

/// Writes the slot, and returns whether the run holds it.
async fn put(
    store: &(impl Store + ?Sized),
    number: u16,
    run: &Run,
    condition: Condition,
) -> Result<bool, StoreError> {
    let key = keys::run(number);
    let bytes: Bytes = serde_json::to_vec(run).expect("a run is always JSON").into();
    match store.put(&key, bytes, Metadata::new(), condition).await {
        Ok(_) => Ok(true),
        // The client retries a write whose answer was lost, which then conflicts with the first.
        Err(PutError::Conflict { .. }) => {
            let object = store.get(&key).await?;
            let held = object.and_then(|object| serde_json::from_slice::<Run>(&object.bytes).ok());
            Ok(held.as_ref() == Some(run))
        }
        Err(PutError::Store(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    /// Takes one of these slots at `second`, for ten seconds.
    async fn take_of(
        store: &MemoryStore,
        slots: Range<u16>,
        job: &str,
        is_urgent: bool,
        second: i64,
    ) -> Option<u16> {
        let partition = "2010-12-01".parse().unwrap();
        let run = Run { model: "m".into(), partition, job: job.into(), until: at(second + 10) };
        take(store, &run, slots, is_urgent, at(second)).await.unwrap()
    }

    async fn take_of_four(store: &MemoryStore, job: &str, second: i64) -> Option<u16> {
        take_of(store, 0..4, job, true, second).await
    }

    async fn take_one(store: &MemoryStore, job: &str, second: i64) -> Option<u16> {
        take_of(store, 0..1, job, true, second).await
    }

    #[tokio::test]
    async fn jobs_run_as_long_as_there_are_slots() {
        let store = MemoryStore::default();
        for (job, slot) in [("a", 3), ("b", 2), ("c", 1), ("d", 0)] {
            assert_eq!(take_of_four(&store, job, 0).await, Some(slot));
        }
        assert_eq!(take_of_four(&store, "e", 9).await, None);
        free(&store, 2, "b").await.unwrap();
        assert_eq!(take_of_four(&store, "e", 9).await, Some(2));
        assert_eq!(take_of_four(&store, "f", 10).await, Some(3), "that of a has expired");
    }

    #[tokio::test]
    async fn less_urgent_jobs_take_half_of_the_slots() {
        let store = MemoryStore::default();
        for slot in [1, 0] {
            assert_eq!(take_of(&store, 0..4, "backfill", false, 0).await, Some(slot));
        }
        assert_eq!(take_of(&store, 0..4, "backfill", false, 0).await, None);
        assert_eq!(take_of_four(&store, "live", 0).await, Some(3));
    }

    #[tokio::test]
    async fn an_extended_slot_is_taken_until_its_new_end() {
        let store = MemoryStore::default();
        take_one(&store, "a", 0).await;
        let partition = "2010-12-01".parse().unwrap();
        let run = Run { model: "m".into(), partition, job: "a".into(), until: at(900) };
        extend(&store, 0, &run).await.unwrap();
        assert_eq!(take_one(&store, "b", 899).await, None);
        assert_eq!(take_one(&store, "b", 900).await, Some(0));
    }

    #[tokio::test]
    async fn a_young_slot_is_not_read() {
        let store = MemoryStore::default();
        take_one(&store, "a", 0).await;
        store.set_now(at(100));
        take_one(&store, "b", 100).await;
        // The listing succeeds, and no other request is made.
        store.fail([false, true]);
        assert_eq!(take_one(&store, "c", 399).await, None);
        store.fail([]);
        assert_eq!(take_one(&store, "c", 400).await, Some(0));
    }

    #[tokio::test]
    async fn a_job_frees_only_its_own_slot() {
        let store = MemoryStore::default();
        take_of_four(&store, "a", 0).await;
        take_of_four(&store, "b", 20).await;
        free(&store, 3, "b").await.unwrap();
        free(&store, 2, "b").await.unwrap();
        free(&store, 2, "b").await.unwrap();
        let numbers: Vec<_> = store.keys().iter().filter_map(|key| keys::run_number(key)).collect();
        assert_eq!(numbers, [3], "b had the free slot beside the expired one of a");
    }

    #[tokio::test]
    async fn an_object_that_is_not_a_run_counts_as_free() {
        let store = MemoryStore::default();
        let (key, bytes) = (keys::run(0), Bytes::from_static(b"?"));
        store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();
        assert_eq!(take_one(&store, "a", 0).await, Some(0));
    }
}
