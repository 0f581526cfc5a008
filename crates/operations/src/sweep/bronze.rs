//! Finds the bronze objects of batch sources that were not conformed.
//!
//! The event of an object may be lost, or its execution may fail. conform leaves a receipt for each
//! object that it has conformed, so an object without one is conformed again. The operator is
//! alerted once to an object for which several attempts have failed, or which is too old to be
//! compared.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shoplake_aws::topic::{Message, subject};
use shoplake_contracts::{Contract, Delivery};
use shoplake_jobs::rfc3339;
use shoplake_lake::keys::LakeKey;
use shoplake_lake::{Condition, Metadata, PutError, StoreError, keys};
use shoplake_platform::failure::Failure;

use super::Sweep;
use crate::failure::Failures;

/// The days of arrival that are compared: today and the days before it.
const DAYS: i64 = 3;

/// A day after all days of arrival: the clock of Firehose may be ahead of this one.
const LAST_DAY: &str = "9999-12-31";

/// The age from which an object counts as lost: its message and its execution with all retries take
/// less.
const LOST: TimeDelta = TimeDelta::minutes(10);

/// The longest time between two attempts to conform an object.
const LAST_RETRY: TimeDelta = TimeDelta::hours(6);

/// The most executions that a sweep starts. The next sweeps start the rest.
const MAX_STARTED: usize = 100;

/// The executions in a row that do not start until Step Functions counts as away.
const MAX_REFUSED: usize = 5;

/// The failed attempts after which the operator is alerted: two and a half hours after the arrival.
const ALERT_AFTER: u32 = 3;

/// The most objects that an alert names: a message has room for 256 KB. The next sweeps name the
/// rest.
const MAX_NAMED: usize = 100;

/// What a sweep did about bronze objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conformed {
    /// How many have no receipt.
    pub(super) unconformed: usize,
    /// How many of them are being conformed again.
    pub(super) conforming: usize,
    /// How many the operator was alerted to.
    pub(super) reported: usize,
}

/// The attempts of sweeps to conform an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// How many there were.
    count: u32,
    /// When the next one is due.
    retry_at: DateTime<Utc>,
}

impl Attempts {
    /// Returns the attempts with another one now. The time until the next one doubles.
    fn and_one(before: Option<Self>, now: DateTime<Utc>) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let delay = (LOST * (1 << count.min(6))).min(LAST_RETRY);
        Self { count, retry_at: now + delay }
    }

    /// Returns whether so many attempts have failed that the operator has to be alerted. The last
    /// one has failed for certain when the next one is due.
    fn have_failed(self, now: DateTime<Utc>) -> bool {
        self.count > ALERT_AFTER || (self.count == ALERT_AFTER && self.retry_at <= now)
    }
}

impl Sweep<'_> {
    /// Starts bronze-to-silver for the objects of the last days that have no receipt, and keeps
    /// their attempts. Alerts the operator to those for which several attempts have failed, and to
    /// those that have become too old to be compared.
    pub(super) async fn conform(
        &self,
        attempts: &mut BTreeMap<String, Attempts>,
        failures: &mut Failures,
    ) -> Conformed {
        let (unconformed, unlisted) = self.unconformed(failures).await;
        // Of a source that cannot be listed, nothing is known now.
        let is_unlisted =
            |key: &str| arrival(key).is_some_and(|(source, _)| unlisted.contains(source));
        let (left, unclear) = self.left(attempts, failures).await;
        attempts.retain(|key, _| {
            unconformed.contains(key)
                || left.contains(key)
                || unclear.contains(key)
                || is_unlisted(key)
        });
        let have_failed = |(key, attempts): &(&String, &Attempts)| {
            left.contains(*key) || (unconformed.contains(*key) && attempts.have_failed(self.now))
        };
        let failed = attempts.iter().filter(have_failed).map(|(key, at)| (key.clone(), at.count));
        let failed: BTreeMap<String, u32> = failed.collect();
        let (mut conforming, mut refused) = (0, 0);
        // The newest days first: after an upgrade no object has a receipt yet.
        for key in unconformed.iter().rev() {
            let before = attempts.get(key).copied();
            if before.is_some_and(|before| before.retry_at > self.now) {
                continue;
            }
            if conforming == MAX_STARTED || refused == MAX_REFUSED {
                break;
            }
            tracing::warn!(key, ?before, "the bronze object was not conformed");
            if let Err(error) = self.executions.retry_bronze_to_silver(self.bucket, key).await {
                tracing::warn!(key, %error, "the next sweep starts the execution");
                refused += 1;
                continue;
            }
            attempts.insert(key.clone(), Attempts::and_one(before, self.now));
            (conforming, refused) = (conforming + 1, 0);
        }
        // An object that could not be started is known as well, so that it is not forgotten when it
        // becomes too old.
        for key in &unconformed {
            let none = Attempts { count: 0, retry_at: self.now };
            attempts.entry(key.clone()).or_insert(none);
        }
        let (reported, unreported) = self.report(failed, failures).await;
        attempts.retain(|key, _| !left.contains(key) || unreported.contains(key));
        Conformed { unconformed: unconformed.len(), conforming, reported }
    }

    /// Returns the objects with attempts that have become too old to be compared, and have no
    /// receipt; and those of which that cannot be found out.
    async fn left(
        &self,
        attempts: &BTreeMap<String, Attempts>,
        failures: &mut Failures,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let first = self.first_day();
        let is_old = |key: &&String| arrival(key).is_some_and(|(_, day)| day < first.as_str());
        let (mut left, mut unclear) = (BTreeSet::new(), BTreeSet::new());
        for key in attempts.keys().filter(is_old) {
            let receipt = keys::conformed(key).unwrap_or_default();
            match self.lake.list(&receipt).await {
                Ok(found) if found.iter().any(|entry| entry.key == receipt) => {}
                Ok(_) => drop(left.insert(key.clone())),
                Err(error) => {
                    failures.add(key, Failure::retryable(error));
                    unclear.insert(key.clone());
                }
            }
        }
        (left, unclear)
    }

    /// Alerts the operator to the objects, with their attempts, that an earlier sweep did not alert
    /// to. Returns how many it named, and the objects that a later sweep has to name.
    async fn report(
        &self,
        failed: BTreeMap<String, u32>,
        failures: &mut Failures,
    ) -> (usize, BTreeSet<String>) {
        // By source, the first day: the keys are in order.
        let mut days: BTreeMap<&str, &str> = BTreeMap::new();
        for (source, day) in failed.keys().filter_map(|key| arrival(key)) {
            days.entry(source).or_insert(day);
        }
        let (mut known, mut unlisted) = (BTreeSet::new(), BTreeSet::new());
        for (source, first) in days {
            let prefix = keys::unconformed(&keys::bronze_days(source)).unwrap_or_default();
            match self.lake.list_range(&prefix, first, LAST_DAY).await {
                Ok(entries) => known.extend(entries.into_iter().map(|entry| entry.key)),
                Err(error) => {
                    failures.add(prefix, Failure::retryable(error));
                    unlisted.insert(source);
                }
            }
        }
        let is_new = |key: &str| keys::unconformed(key).is_some_and(|key| !known.contains(&key));
        let new: Vec<_> = failed.iter().filter(|(key, _)| is_new(key)).collect();
        let mut unreported: BTreeSet<String> = new.iter().map(|(key, _)| (*key).clone()).collect();
        let is_listed = |key: &str| arrival(key).is_some_and(|(from, _)| !unlisted.contains(from));
        let listed = new.into_iter().filter(|(key, _)| is_listed(key));
        let named: Vec<_> = listed.take(MAX_NAMED).collect();
        if named.is_empty() {
            return (0, unreported);
        }
        if let Err(error) = self.topic.publish(&self.alert(&named)).await {
            tracing::warn!(%error, "the next sweep alerts the operator");
            return (0, unreported);
        }
        // After the alert: a duplicate alert is better than none.
        for (key, count) in &named {
            match self.remember(key, **count).await {
                Ok(()) => drop(unreported.remove(*key)),
                Err(error) => failures.add(key, Failure::retryable(error)),
            }
        }
        (named.len(), unreported)
    }

    /// Records that the operator was alerted to an object.
    async fn remember(&self, key: &str, attempts: u32) -> Result<(), StoreError> {
        let Some(alerted) = keys::unconformed(key) else { return Ok(()) };
        let text = json!({"attempts": attempts, "alerted_at": rfc3339(self.now)}).to_string();
        let put = self.lake.put(&alerted, text.into(), Metadata::new(), Condition::Absent);
        match put.await {
            // Another sweep has alerted to it at the same time.
            Ok(_) | Err(PutError::Conflict { .. }) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// Returns the alert to these objects.
    fn alert(&self, objects: &[(&String, &u32)]) -> Message {
        let (title, what) = match objects {
            [_] => ("a bronze object was not conformed", "this bronze object is"),
            _ => ("bronze objects were not conformed", "these bronze objects are"),
        };
        let object = |(key, attempts): &(&String, &u32)| json!({"key": key, "attempts": attempts});
        let body = json!({
            "what": format!("{what} missing or incomplete in silver: no attempt succeeded"),
            "bucket": self.bucket,
            "objects": objects.iter().map(object).collect::<Vec<_>>(),
            "next": "No data is lost: the objects are still in bronze. Find the error in conform's \
                     log, or in the failed executions of bronze-to-silver, and fix it. The sweep \
                     conforms an object again every six hours at the latest, for two days after \
                     the day of its arrival. Later, start an execution of bronze-to-silver for \
                     each of them: {\"bucket\":...,\"key\":...}. Running it twice is safe. There \
                     is one alert for each object.",
        });
        Message {
            subject: subject(&format!("Shoplake: {title}")),
            body: body.to_string(),
            attributes: Vec::new(),
        }
    }

    /// Returns the first day of arrival that is compared.
    fn first_day(&self) -> String {
        (self.now - TimeDelta::days(DAYS - 1)).date_naive().to_string()
    }

    /// Returns the bronze objects of batch sources that should have been conformed and have no
    /// receipt, and the sources that cannot be listed.
    async fn unconformed(&self, failures: &mut Failures) -> (BTreeSet<String>, BTreeSet<String>) {
        let is_batch = |contract: &&Contract| contract.delivery == Delivery::Batch;
        let contracts = self.contracts.iter().filter(is_batch);
        let sources: BTreeSet<&String> = contracts.flat_map(|contract| &contract.sources).collect();
        let (mut unconformed, mut unlisted) = (BTreeSet::new(), BTreeSet::new());
        for source in sources {
            match self.unconformed_of(source).await {
                Ok(found) => unconformed.extend(found),
                Err(error) => {
                    failures.add(keys::bronze_source(source), Failure::retryable(error));
                    unlisted.insert(source.clone());
                }
            }
        }
        (unconformed, unlisted)
    }

    async fn unconformed_of(&self, source: &str) -> Result<Vec<String>, StoreError> {
        let first = self.first_day();
        let prefix = keys::bronze_days(source);
        let receipts = keys::conformed(&prefix).unwrap_or_default();
        let (objects, receipts) = future::try_join(
            self.lake.list_range(&prefix, &first, LAST_DAY),
            self.lake.list_range(&receipts, &first, LAST_DAY),
        )
        .await?;
        let receipts: BTreeSet<String> = receipts.into_iter().map(|receipt| receipt.key).collect();
        let objects = objects.into_iter().filter(|object| {
            let receipt = keys::conformed(&object.key);
            let is_conformed = receipt.is_some_and(|receipt| receipts.contains(&receipt));
            !is_conformed && self.now - object.last_modified >= LOST
        });
        Ok(objects.map(|object| object.key).collect())
    }
}

/// Returns the source and the day of arrival of a bronze object; `None` for other keys.
fn arrival(key: &str) -> Option<(&str, &str)> {
    let Some(LakeKey::Bronze { source, arrival, .. }) = keys::parse(key) else { return None };
    let (day, _) = arrival.strip_prefix("dt=")?.split_once('/')?;
    Some((source, day))
}
