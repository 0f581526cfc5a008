//! Turns: they bound how many old days a shop makes the pipeline compute in an hour.
//!
//! An old day of a dataset takes a turn when a shop sends rows of it. Its turn is now, or when the
//! shop's limit of an hour allows it. All turns of a shop are one object,
//! `state/old-days/<shop>.json`, which changes by conditional writes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shoplake_jobs::Partition;

use crate::keys;
use crate::store::{Condition, Metadata, PutError, Store, StoreError};

/// A dataset and one of its days.
pub type DatasetDay = (String, Partition);

/// The time in which a shop has at most its limit of turns. A day keeps its turn for that long:
/// more rows of the day need no other turn.
const HOUR: TimeDelta = TimeDelta::hours(1);

/// The most turns that a shop keeps, far more than the days that its datasets accept. Further days
/// share the last turn.
const MAX_TURNS: usize = 2_000;

/// How often taking turns starts over because another writer was faster.
const ATTEMPTS: usize = 10;

/// The turn of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From when on the day may be computed.
    pub at: DateTime<Utc>,
    /// Whether the day did not have this turn before.
    pub is_new: bool,
}

/// The turns of a shop, by `<dataset>/<day>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Turns(BTreeMap<String, DateTime<Utc>>);

/// Returns the turns of a shop's days. Days without a turn take one, newest days first.
///
/// # Errors
/// When the store fails, or other writers are faster at every attempt.
pub async fn take_turns(
    store: &(impl Store + ?Sized),
    shop: &str,
    days: &BTreeSet<DatasetDay>,
    limit: NonZeroU16,
    now: DateTime<Utc>,
) -> Result<BTreeMap<DatasetDay, Turn>, StoreError> {
    let key = keys::old_days(shop);
    let mut newest_first: Vec<&DatasetDay> = days.iter().collect();
    newest_first.sort_by_key(|(_, day)| Reverse(*day));
    for _ in 0..ATTEMPTS {
        let object = store.get(&key).await?;
        // An object that does not hold turns counts as one without turns: the limit starts again.
        let mut turns: Turns = object
            .as_ref()
            .and_then(|object| serde_json::from_slice(&object.bytes).ok())
            .unwrap_or_default();
        turns.expire(now);
        let taken: BTreeMap<DatasetDay, Turn> =
            newest_first.iter().map(|day| ((*day).clone(), turns.take(day, limit, now))).collect();
        if !taken.values().any(|turn| turn.is_new) {
            return Ok(taken);
        }
        let condition =
            object.map_or(Condition::Absent, |object| Condition::Matches(object.head.etag));
        let bytes: Bytes = serde_json::to_vec(&turns).expect("turns are always JSON").into();
        match store.put(&key, bytes, Metadata::new(), condition).await {
            Ok(_) => return Ok(taken),
            // Another writer was faster, or the answer to this write was lost and the client has
            // repeated it: then the next attempt finds the turns.
            Err(PutError::Conflict { .. }) => {}
            Err(PutError::Store(error)) => return Err(error),
        }
    }
    let cause = format!("another writer was faster at each of {ATTEMPTS} attempts");
    Err(StoreError { action: "change", key, cause })
}

impl Turns {
    /// Removes the turns that are more than an hour ago.
    fn expire(&mut self, now: DateTime<Utc>) {
        self.0.retain(|_, at| *at + HOUR > now);
    }

    /// Returns the turn of a day, which takes one if it has none.
    fn take(&mut self, (dataset, day): &DatasetDay, limit: NonZeroU16, now: DateTime<Utc>) -> Turn {
        let key = format!("{dataset}/{day}");
        if let Some(at) = self.0.get(&key) {
            return Turn { at: *at, is_new: false };
        }
        let mut taken: Vec<DateTime<Utc>> = self.0.values().copied().collect();
        taken.sort_unstable();
        if let (true, Some(last)) = (taken.len() >= MAX_TURNS, taken.last()) {
            return Turn { at: *last, is_new: false };
        }
        // An hour after the turn that is `limit` turns earlier.
        let earlier = taken.len().checked_sub(limit.get().into());
        let at = earlier.map_or(now, |earlier| now.max(taken[earlier] + HOUR));
        self.0.insert(key, at);
        Turn { at, is_new: true }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::MemoryStore;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    fn day(number: i32) -> DatasetDay {
        let day = chrono::NaiveDate::from_epoch_days(number).unwrap();
        ("visits".to_owned(), Partition::Day(day))
    }

    fn limit(limit: u16) -> NonZeroU16 {
        NonZeroU16::new(limit).unwrap()
    }

    /// Takes turns of the shop for these days at `second`, two an hour, and returns the seconds of
    /// the turns in the order of the days.
    async fn take_two(store: &MemoryStore, shop: &str, days: &[i32], second: i64) -> Vec<i64> {
        let days = days.iter().copied().map(day).collect();
        let taken = take_turns(store, shop, &days, limit(2), at(second)).await.unwrap();
        taken.values().map(|turn| (turn.at - at(0)).num_seconds()).collect()
    }

    #[tokio::test]
    async fn days_beyond_the_limit_wait_newest_first() {
        let store = MemoryStore::default();
        assert_eq!(
            take_two(&store, "acme", &[1, 2, 3, 4, 5], 0).await,
            [7_200, 3_600, 3_600, 0, 0]
        );
        assert_eq!(take_two(&store, "acme", &[1, 5], 60).await, [7_200, 0], "they have a turn");
        assert_eq!(take_two(&store, "other", &[1, 2], 60).await, [60, 60]);
        assert_eq!(take_two(&store, "acme", &[6], 60).await, [7_200]);
        assert_eq!(store.keys(), ["state/old-days/acme.json", "state/old-days/other.json"]);
    }

    #[tokio::test]
    async fn a_turn_is_taken_again_after_an_hour() {
        let store = MemoryStore::default();
        assert_eq!(take_two(&store, "acme", &[1, 2], 0).await, [0, 0]);
        assert_eq!(take_two(&store, "acme", &[1], 3_599).await, [0]);
        assert_eq!(take_two(&store, "acme", &[1, 2, 3], 3_600).await, [7_200, 3_600, 3_600]);
    }

    #[tokio::test]
    async fn days_of_two_datasets_are_counted_together() {
        let store = MemoryStore::default();
        let (_, partition) = day(1);
        let days = ["crm", "visits"].map(|dataset| (dataset.to_owned(), partition)).into();
        let taken = take_turns(&store, "acme", &days, limit(1), at(0)).await.unwrap();
        let turns: Vec<_> = taken.values().map(|turn| turn.at).collect();
        assert_eq!(turns, [at(0), at(3_600)]);
    }

    #[tokio::test]
    async fn only_a_new_turn_is_written() {
        let store = MemoryStore::default();
        let days = BTreeSet::from([day(1)]);
        let take = async || take_turns(&store, "acme", &days, limit(1), at(0)).await;
        assert!(take().await.unwrap()[&day(1)].is_new);
        store.fail([false, true]);
        assert!(!take().await.unwrap()[&day(1)].is_new);
        store.fail([true]);
        assert!(take().await.is_err());
    }

    #[tokio::test]
    async fn an_object_without_turns_is_replaced() {
        let store = MemoryStore::default();
        let (key, bytes) = (keys::old_days("acme"), Bytes::from_static(b"?"));
        store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();
        assert_eq!(take_two(&store, "acme", &[1], 0).await, [0]);
    }

    #[test]
    fn the_number_of_turns_is_bounded() {
        let mut turns = Turns::default();
        for number in 0..=MAX_TURNS as i32 {
            turns.take(&day(number), limit(500), at(0));
        }
        assert_eq!(turns.0.len(), MAX_TURNS);
        let further = turns.take(&day(-1), limit(500), at(0));
        assert_eq!(further, Turn { at: at(3 * 3_600), is_new: false });
    }

    proptest! {
        /// Whatever a shop sends and when, an hour has at most its limit of new turns, and each day
        /// has one.
        #[test]
        fn an_hour_never_has_more_turns_than_the_limit(
            steps in prop::collection::vec((0..3_000_i64, 0..30_i32), 1..80),
            most in 1_u16..6,
        ) {
            let (mut turns, mut new, mut second) = (Turns::default(), Vec::new(), 0);
            for (pause, number) in steps {
                second += pause;
                turns.expire(at(second));
                let turn = turns.take(&day(number), limit(most), at(second));
                if turn.is_new {
                    prop_assert!(turn.at >= at(second));
                    new.push(turn.at);
                }
                prop_assert!(turn.at + HOUR > at(second));
            }
            for last in &new {
                let hour = new.iter().filter(|turn| (*last - HOUR < **turn) && **turn <= *last);
                prop_assert!(hour.count() <= usize::from(most));
            }
        }
    }
}
