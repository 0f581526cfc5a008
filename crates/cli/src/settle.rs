//! Waits until everything that was sent is in the warehouse and no work is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use chrono::{DateTime, Utc};
use shoplake_contracts::Contracts;
use shoplake_lake::Metadata;
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::state::PartitionState;
use shoplake_warehouse::{DataApi, LoadRecord, all_load_records};
use tokio::time::{Instant, sleep};

use crate::lake::Lake;
use crate::reconcile::{Balance, reconcile};
use crate::target::{DefinitionArguments, Target};

/// Looks in a row that must find the pipeline idle: between two stations an event is in no queue
/// for a moment.
const IDLE_LOOKS: usize = 3;

/// A deployment, observed from outside.
pub(crate) struct Pipeline {
    pub(crate) lake: Lake,
    pub(crate) contracts: Contracts,
    warehouse: DataApi,
    queue: aws_sdk_sqs::Client,
    dirty_queue_url: String,
    /// The models that have a table in the warehouse.
    shown: BTreeSet<String>,
}

/// A partition's model and value.
type Partition = (String, String);

impl Pipeline {
    pub(crate) fn new(target: &Target, definitions: &DefinitionArguments) -> Result<Self> {
        let contracts = definitions.contracts()?;
        let shown = definitions
            .models(&contracts)?
            .iter()
            .filter(|model| model.warehouse.is_some())
            .map(|model| model.name.clone())
            .collect();
        Ok(Self {
            lake: target.lake()?,
            warehouse: target.warehouse()?,
            queue: aws_sdk_sqs::Client::new(target.sdk()),
            dirty_queue_url: target.output("dirty_queue_url")?,
            contracts,
            shown,
        })
    }

    /// Waits until a shop has received so many events, all of them are in silver or quarantine, no
    /// partition waits to be computed, and the warehouse holds what gold holds. Returns the shop's
    /// balances.
    pub(crate) async fn wait_until_settled(
        &self,
        expected: &BTreeMap<String, usize>,
        shop: &str,
        timeout: Duration,
    ) -> Result<Vec<Balance>> {
        let deadline = Instant::now() + timeout;
        let (mut balances, mut looks) = (None, 0);
        loop {
            if self.is_idle().await? {
                // Counting takes longest, so it is done once: an event stays in its place.
                if balances.is_none() {
                    balances = self.arrived(expected, shop).await?;
                }
                looks = if balances.is_some() { looks + 1 } else { 0 };
            } else {
                (balances, looks) = (None, 0);
            }
            match balances {
                Some(balances) if looks > IDLE_LOOKS => return Ok(balances),
                _ if Instant::now() >= deadline => bail!(
                    "waited {} s until everything has arrived in the warehouse; look at \
                     .local/demo/logs, run `make redrive`, then try again",
                    timeout.as_secs()
                ),
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// The shop's balances, if so many events were received and each is in silver or quarantine.
    async fn arrived(
        &self,
        expected: &BTreeMap<String, usize>,
        shop: &str,
    ) -> Result<Option<Vec<Balance>>> {
        let balances = reconcile(&self.lake, &self.contracts, Some(shop)).await?;
        let received: BTreeMap<&str, usize> =
            balances.iter().map(|balance| (balance.dataset.as_str(), balance.received)).collect();
        let has_all = expected.iter().all(|(dataset, count)| {
            received.get(dataset.as_str()).copied().unwrap_or_default() >= *count
        });
        let is_settled = has_all && balances.iter().all(Balance::holds);
        Ok(is_settled.then_some(balances))
    }

    /// Whether no message waits, no partition owes anything, and the warehouse holds what gold
    /// holds.
    async fn is_idle(&self) -> Result<bool> {
        Ok(self.dirty_messages().await? == 0 && self.is_loaded().await? && !self.is_owing().await?)
    }

    async fn dirty_messages(&self) -> Result<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let output = self
            .queue
            .get_queue_attributes()
            .queue_url(&self.dirty_queue_url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| anyhow!(DisplayErrorContext(error).to_string()))
            .context("cannot read the length of the dirty queue")?;
        let attributes = output.attributes.unwrap_or_default();
        Ok(names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum())
    }

    /// Whether a partition owes something: a job runs, a change waits for one, or a commit is not
    /// published or loaded. A marker may outlast what its partition owes, so the states decide.
    async fn is_owing(&self) -> Result<bool> {
        for entry in self.lake.list(keys::OWED).await? {
            let Some((model, partition)) = keys::parse_owed(&entry.key) else { continue };
            let states = self.lake.bodies(&keys::partition_state(model, partition)).await?;
            let is_settled = |state: &bytes::Bytes| {
                serde_json::from_slice::<PartitionState>(state)
                    .is_ok_and(|state| state.is_settled())
            };
            if !states.iter().all(is_settled) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether gold has partitions of the models with a warehouse table, and the warehouse
    /// has the same commits.
    async fn is_loaded(&self) -> Result<bool> {
        let mut gold = BTreeMap::new();
        for (key, metadata) in self.lake.metadata(keys::GOLD).await? {
            if let Some(LakeKey::Gold { model, partition }) = keys::parse(&key)
                && self.shown.contains(model)
                && let Some(commit) = Commit::parse(&metadata)
            {
                gold.insert((model.to_owned(), partition.to_string()), commit);
            }
        }
        Ok(are_loaded(&gold, &all_load_records(&self.warehouse).await?))
    }
}

/// A commit of gold, as loads are ordered.
#[derive(Clone, Copy, Debug)]
struct Commit {
    planned_at: DateTime<Utc>,
    version: u64,
}

impl Commit {
    /// Reads the metadata of a gold object; `None` without a version, as after its deletion. A
    /// commit from before the time of planning is known by its version alone.
    fn parse(metadata: &Metadata) -> Option<Self> {
        let planned_at = metadata.get("planned-at").and_then(|time| time.parse().ok());
        Some(Self {
            planned_at: planned_at.unwrap_or(DateTime::UNIX_EPOCH),
            version: metadata.get("version")?.parse().ok()?,
        })
    }
}

/// Returns whether there are commits and the warehouse has these partitions, each with its commit.
fn are_loaded(gold: &BTreeMap<Partition, Commit>, loads: &BTreeMap<Partition, LoadRecord>) -> bool {
    let is_loaded = |(partition, commit): (&Partition, &Commit)| {
        loads.get(partition).is_some_and(|load| load.has(commit.planned_at, commit.version))
    };
    !gold.is_empty() && gold.len() == loads.len() && gold.iter().all(is_loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(planned_at: &str, version: u64) -> Commit {
        let metadata = [("version", version.to_string()), ("planned-at", planned_at.to_owned())];
        let metadata = Metadata::from(metadata.map(|(name, value)| (name.to_owned(), value)));
        Commit::parse(&metadata).unwrap()
    }

    fn load(planned_at: &str, version: u64) -> LoadRecord {
        let planned_at = planned_at.parse().ok();
        LoadRecord { version, planned_at, loaded_at: planned_at, row_count: Some(3) }
    }

    #[test]
    fn gold_that_was_computed_again_is_not_loaded() {
        let day = |model: &str| (model.to_owned(), "2010-12-01".to_owned());
        let gold = BTreeMap::from([(day("a"), commit("2010-12-02T03:04:05Z", 1))]);
        let loads = |planned_at, version| BTreeMap::from([(day("a"), load(planned_at, version))]);
        assert!(are_loaded(&gold, &loads("2010-12-02T03:04:05Z", 1)));
        assert!(!are_loaded(&gold, &loads("2010-12-02T03:00:00Z", 1)), "the same version");
        assert!(!are_loaded(&gold, &loads("2010-12-02T03:04:05Z", 2)));
        assert!(!are_loaded(&gold, &BTreeMap::new()));

        let mut other = loads("2010-12-02T03:04:05Z", 1);
        other.insert(day("b"), load("2010-12-02T03:04:05Z", 1));
        assert!(!are_loaded(&gold, &other), "gold lacks a partition of the warehouse");
        assert!(!are_loaded(&BTreeMap::new(), &BTreeMap::new()), "nothing was computed");
    }
}
