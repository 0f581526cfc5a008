//! Limits how many partitions outside the recent days one shop makes the pipeline compute.
//!
//! Each partition with new events costs a job of every model that reads it. A sender with a wrong
//! clock, or one that sends its history, would cause hundreds of jobs with one request.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use shoplake_contracts::{Partition, ShopId};

/// The partitions outside the recent days to which a shop may send events in an hour.
pub const DEFAULT_LIMIT: usize = 48;

/// The number of past days that are recent: a sender may have been offline for that long.
const RECENT_DAYS: i64 = 2;

/// The most shops that are counted in one hour. Events of further shops are accepted.
const MAX_SHOPS: usize = 10_000;

/// Counts the partitions of the current hour, in this process.
pub(crate) struct PartitionLimit {
    limit: usize,
    hour: Mutex<Hour>,
}

#[derive(Default)]
struct Hour {
    /// Hours since 1970-01-01T00:00:00Z.
    number: i64,
    used: HashMap<ShopId, HashSet<(String, Partition)>>,
}

/// A request has events of more partitions than the shop's limit for this hour allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPartitions {
    /// The request's partitions. If they are more than `limit`, the request is never accepted.
    pub requested: usize,
    /// The request's partitions that were not used before in this hour.
    pub new: usize,
    /// The partitions that were used in this hour.
    pub used: usize,
    /// The most partitions an hour.
    pub limit: usize,
    /// When the hour ends.
    pub until: DateTime<Utc>,
    /// Seconds until the hour ends.
    pub retry_after_seconds: u64,
}

impl PartitionLimit {
    /// Allows each shop `limit` partitions outside the recent days in an hour.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, hour: Mutex::default() }
    }

    /// Counts the partitions of a request, or fails and counts none of them.
    pub(crate) fn check(
        &self,
        shop: &ShopId,
        dataset: &str,
        partitions: impl IntoIterator<Item = Partition>,
        now: DateTime<Utc>,
    ) -> Result<(), TooManyPartitions> {
        let outside: HashSet<_> = partitions
            .into_iter()
            .filter(|partition| is_outside_recent_days(*partition, now))
            .map(|partition| (dataset.to_owned(), partition))
            .collect();
        if outside.is_empty() {
            return Ok(());
        }
        // A poisoned lock only means that another request panicked; the counts stay usable.
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.timestamp().div_euclid(3_600);
        if hour.number != number {
            *hour = Hour { number, used: HashMap::new() };
        }
        if hour.used.len() >= MAX_SHOPS && !hour.used.contains_key(shop) {
            return Ok(());
        }
        let used = hour.used.entry(shop.clone()).or_default();
        let new = outside.difference(used).count();
        if used.len() + new > self.limit {
            let until =
                now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now) + TimeDelta::hours(1);
            return Err(TooManyPartitions {
                requested: outside.len(),
                new,
                used: used.len(),
                limit: self.limit,
                until,
                retry_after_seconds: (until - now).num_seconds().unsigned_abs() + 1,
            });
        }
        used.extend(outside);
        Ok(())
    }
}

/// Returns whether a partition is neither of today nor of one of the recent days. Buckets are never
/// outside, because their number is fixed.
fn is_outside_recent_days(partition: Partition, now: DateTime<Utc>) -> bool {
    let age = partition.day().map(|day| (now.date_naive() - day).num_days());
    age.is_some_and(|age| !(0..=RECENT_DAYS).contains(&age))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    const TODAY: i32 = 20_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(i64::from(TODAY) * 86_400 + seconds, 0).unwrap()
    }

    fn days(days: impl IntoIterator<Item = i32>) -> impl Iterator<Item = Partition> {
        days.into_iter().map(|day| Partition::Day(NaiveDate::from_epoch_days(TODAY + day).unwrap()))
    }

    fn shop(name: &str) -> ShopId {
        name.parse().unwrap()
    }

    #[test]
    fn a_shop_uses_at_most_the_limit_of_old_days_in_an_hour() {
        let limit = PartitionLimit::new(3);
        let check = |shop: &ShopId, days_: &[i32], seconds| {
            limit.check(shop, "visits", days(days_.iter().copied()), at(seconds))
        };
        let acme = shop("acme");
        check(&acme, &[-10, -11, -10], 0).unwrap();
        let rejected = check(&acme, &[-12, -13, -10], 600).unwrap_err();
        assert_eq!((rejected.requested, rejected.new), (3, 2));
        assert_eq!((rejected.used, rejected.limit), (2, 3));
        assert_eq!((rejected.until, rejected.retry_after_seconds), (at(3_600), 3_001));

        // A rejected request uses nothing, and used days may be used again.
        check(&acme, &[-12], 3_599).unwrap();
        check(&acme, &[-10, -11, -12], 3_599).unwrap();
        assert!(check(&acme, &[-13], 3_599).is_err());
        check(&shop("other"), &[-13, -14, -15], 3_599).unwrap();
        check(&acme, &[-13, -14, -15], 3_600).unwrap();
    }

    #[test]
    fn recent_days_and_buckets_are_not_counted() {
        let limit = PartitionLimit::new(0);
        let check =
            |partitions: Vec<Partition>| limit.check(&shop("acme"), "visits", partitions, at(0));
        check(days([-2, -1, 0]).collect()).unwrap();
        check((0..1_000).map(Partition::Bucket).collect()).unwrap();
        let hour =
            |hours: i64| Partition::hour_of_micros(at(hours * 3_600).timestamp_micros()).unwrap();
        check((-48..24).map(hour).collect()).unwrap();
        for outside in days([-3, 1]).chain([hour(-49), hour(24)]) {
            assert!(check(vec![outside]).is_err(), "{outside}");
        }
    }

    #[test]
    fn datasets_are_counted_together_and_memory_is_bounded() {
        let limit = PartitionLimit::new(1);
        let acme = shop("acme");
        limit.check(&acme, "visits", days([-10]), at(0)).unwrap();
        assert!(limit.check(&acme, "sales", days([-10]), at(0)).is_err());
        for number in 0..MAX_SHOPS + 10 {
            limit.check(&shop(&format!("shop-{number}")), "visits", days([-10]), at(0)).unwrap();
        }
        assert_eq!(limit.hour.lock().unwrap().used.len(), MAX_SHOPS);
    }
}
