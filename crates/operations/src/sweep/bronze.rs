//! Finds the bronze objects of batch sources that were not conformed.
//!
//! The event of an object may be lost, or its execution may fail. conform leaves a receipt for each
//! object that it has conformed, so an object without one is conformed again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future;
use serde::{Deserialize, Serialize};
use shoplake_contracts::{Contract, Delivery};
use shoplake_lake::{StoreError, keys};

use super::Sweep;

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
}

impl Sweep<'_> {
    /// Starts bronze-to-silver for the objects of the last days that have no receipt, and keeps
    /// their attempts. Returns how many have none, and how many were started.
    pub(super) async fn conform(
        &self,
        attempts: &mut BTreeMap<String, Attempts>,
    ) -> Result<(usize, usize), StoreError> {
        let unconformed = self.unconformed().await?;
        attempts.retain(|key, _| unconformed.contains(key));
        let mut started = 0;
        // The newest days first: after an upgrade no object has a receipt yet.
        for key in unconformed.iter().rev() {
            let before = attempts.get(key).copied();
            if before.is_some_and(|before| before.retry_at > self.now) {
                continue;
            }
            if started == MAX_STARTED {
                break;
            }
            tracing::warn!(key, ?before, "the bronze object was not conformed");
            if let Err(error) = self.executions.retry_bronze_to_silver(self.bucket, key).await {
                tracing::warn!(key, %error, "the next sweep starts the execution");
                break;
            }
            attempts.insert(key.clone(), Attempts::and_one(before, self.now));
            started += 1;
        }
        Ok((unconformed.len(), started))
    }

    /// Returns the bronze objects of batch sources that should have been conformed and have no
    /// receipt.
    async fn unconformed(&self) -> Result<BTreeSet<String>, StoreError> {
        let is_batch = |contract: &&Contract| contract.delivery == Delivery::Batch;
        let contracts = self.contracts.iter().filter(is_batch);
        let sources: BTreeSet<&String> = contracts.flat_map(|contract| &contract.sources).collect();
        let first = (self.now - TimeDelta::days(DAYS - 1)).date_naive().to_string();
        let mut unconformed = BTreeSet::new();
        for source in sources {
            let prefix = keys::bronze_days(source);
            let receipts = keys::conformed(&prefix).unwrap_or_default();
            let (objects, receipts) = future::try_join(
                self.lake.list_range(&prefix, &first, LAST_DAY),
                self.lake.list_range(&receipts, &first, LAST_DAY),
            )
            .await?;
            let receipts: BTreeSet<String> =
                receipts.into_iter().map(|receipt| receipt.key).collect();
            let objects = objects.into_iter().filter(|object| {
                let receipt = keys::conformed(&object.key);
                let is_conformed = receipt.is_some_and(|receipt| receipts.contains(&receipt));
                !is_conformed && self.now - object.last_modified >= LOST
            });
            unconformed.extend(objects.map(|object| object.key));
        }
        Ok(unconformed)
    }
}
