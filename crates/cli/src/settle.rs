//! Waits until everything that was sent is in the warehouse and no work is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use chrono::Utc;
use serde::Deserialize;
use shoplake_contracts::Contracts;
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::lease::Lease;
use shoplake_warehouse::{DataApi, Statement, Warehouse};
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

    /// Whether no partition waits to be computed or is being computed, and the warehouse holds what
    /// gold holds.
    async fn is_idle(&self) -> Result<bool> {
        Ok(self.dirty_messages().await? == 0
            && self.is_loaded().await?
            && !self.is_computing().await?)
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

    /// Whether a job holds the lease of its partition: its message is gone, and its rows are not
    /// there yet.
    async fn is_computing(&self) -> Result<bool> {
        let now = Utc::now();
        for entry in self.lake.list(keys::JOBS).await? {
            if !keys::is_lease(&entry.key) {
                continue;
            }
            let leases = self.lake.bodies(&entry.key).await?;
            let is_held = |lease: &bytes::Bytes| {
                serde_json::from_slice::<Lease>(lease).is_ok_and(|lease| lease.until > now)
            };
            if leases.iter().any(is_held) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the warehouse holds what gold holds of the models that it shows, and that is
    /// something.
    async fn is_loaded(&self) -> Result<bool> {
        #[derive(Deserialize)]
        struct Load {
            model: String,
            partition_value: String,
            version: u64,
        }
        let mut gold: BTreeMap<Partition, u64> = BTreeMap::new();
        for (key, version) in self.lake.metadata(keys::GOLD, "version").await? {
            if let Some(LakeKey::Gold { model, partition }) = keys::parse(&key)
                && self.shown.contains(model)
            {
                let version = version
                    .parse()
                    .with_context(|| format!("{key} has an invalid version {version:?}"))?;
                gold.insert((model.to_owned(), partition.to_string()), version);
            }
        }
        let sql = "select model, partition_value, version from shoplake.loads";
        let loads = self.warehouse.query(Statement::new(sql)).await?.decode::<Load>()?;
        let loaded: BTreeMap<Partition, u64> = loads
            .into_iter()
            .map(|load| ((load.model, load.partition_value), load.version))
            .collect();
        Ok(!gold.is_empty() && gold == loaded)
    }
}
