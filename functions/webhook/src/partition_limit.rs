//! Limits how many partitions outside of the recent days one shop makes the pipeline compute.
//!
//! Each partition that a shop's events touch costs jobs of every model that reads it. A sender with
//! a wrong clock, or one that sends its history, would make some hundred of them with one request.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use shoplake_contracts::{Partition, ShopId};

/// The partitions an hour that a shop may touch outside of the recent days.
pub(crate) const DEFAULT_LIMIT: usize = 48;

/// Days back that are recent: a sender may have been offline for a while.
const RECENT_DAYS: i64 = 2;

/// Most shops that are counted in one hour. Events of further ones are accepted.
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
    touched: HashMap<ShopId, HashSet<(String, Partition)>>,
}

/// A request has events of more partitions than the shop may still touch in this hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyPartitions {
    /// The partitions of the request that were not touched before.
    pub(crate) new: usize,
    /// The partitions that were touched in this hour.
    pub(crate) used: usize,
    /// How many may be.
    pub(crate) limit: usize,
    /// When the hour ends.
    pub(crate) until: DateTime<Utc>,
    /// Seconds until then.
    pub(crate) retry_after_seconds: u64,
}

impl PartitionLimit {
    /// Allows each shop `limit` partitions an hour outside of the recent days.
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
            *hour = Hour { number, touched: HashMap::new() };
        }
        if hour.touched.len() >= MAX_SHOPS && !hour.touched.contains_key(shop) {
            return Ok(());
        }
        let touched = hour.touched.entry(shop.clone()).or_default();
        let new = outside.difference(touched).count();
        if touched.len() + new > self.limit {
            let until =
                now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now) + TimeDelta::hours(1);
            return Err(TooManyPartitions {
                new,
                used: touched.len(),
                limit: self.limit,
                until,
                retry_after_seconds: (until - now).num_seconds().unsigned_abs() + 1,
            });
        }
        touched.extend(outside);
        Ok(())
    }
}

/// Whether a partition is neither today's nor one of the days before. A bucket always is one of
/// few.
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
    fn a_shop_touches_at_most_the_limit_of_old_days_in_an_hour() {
        let limit = PartitionLimit::new(3);
        let check = |shop: &ShopId, days_: &[i32], seconds| {
            limit.check(shop, "visits", days(days_.iter().copied()), at(seconds))
        };
        let acme = shop("acme");
        check(&acme, &[-10, -11, -10], 0).unwrap();
        let refused = check(&acme, &[-12, -13, -10], 600).unwrap_err();
        assert_eq!((refused.new, refused.used, refused.limit), (2, 2, 3));
        assert_eq!((refused.until, refused.retry_after_seconds), (at(3_600), 3_001));

        // A refused request has used nothing up, and touched days may be touched again.
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
        assert_eq!(limit.hour.lock().unwrap().touched.len(), MAX_SHOPS);
    }
}
