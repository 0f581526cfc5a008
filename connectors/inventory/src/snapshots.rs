//! One shop's snapshots, a batch per hour.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use shoplake_connector::{
    ApiConfig, Batch, Delivered, Destination, Poll, Ports, Task, TaskError, is_complete,
};
use shoplake_lake::StoreError;
use shoplake_platform::config::{ConfigError, parsed};

use crate::{Hour, Hours, describe};

/// What the task is told by its environment; the README says what each variable is.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// Whose stock, and where to.
    pub destination: Destination,
    /// The inventory API.
    pub api: ApiConfig,
    /// `SNAPSHOT_HOUR`, or `SNAPSHOT_FROM` and `SNAPSHOT_TO`
    pub hours: Hours,
}

#[async_trait]
impl Task for Snapshots {
    const NAME: &'static str = "inventory-connector";

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        let hours =
            Hours::choose(parsed("SNAPSHOT_HOUR")?, parsed("SNAPSHOT_FROM")?, parsed("SNAPSHOT_TO")?, now)?;
        Ok(Self { destination: Destination::from_env()?, api: ApiConfig::from_env("INVENTORY")?, hours })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn api(&self) -> &ApiConfig {
        &self.api
    }

    /// Fetches and sends the hours that are not complete, one after the other; where all are, all once more.
    ///
    /// An hour that the API does not know does not keep those after it from being fetched. Any other failure would most
    /// likely meet them, too, and ends the run.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        tracing::info!(shop_id = %self.destination.shop, hours = %self.hours, "fetching");
        let poll = Poll::new(&self.api, "v1/inventory", &self.destination, ports, describe)?;
        let mut delivered = Delivered::default();
        let mut absent = Vec::new();
        for hour in self.due(ports).await? {
            let batch = self.batch(hour);
            match poll.deliver(&batch, &[("snapshot_at", &hour.snapshot_at())]).await {
                Ok(completed) => {
                    if completed.rows == 0 {
                        tracing::warn!(%hour, "the snapshot is empty, expected a row per product and place");
                    }
                    delivered.add(&completed);
                }
                Err(error) if error.is_absent() => {
                    tracing::warn!(%hour, %error, "the source has no such snapshot");
                    absent.push(batch.name);
                }
                Err(error) => return Err(error),
            }
        }
        if absent.is_empty() { Ok(delivered) } else { Err(TaskError::Absent { batches: absent }) }
    }
}

impl Snapshots {
    /// The hours to fetch. As with the pages of one batch, a run that was killed is gone on with, and one that had come to
    /// its end is repeated.
    async fn due(&self, ports: &Ports<'_>) -> Result<Vec<Hour>, StoreError> {
        let mut due = Vec::new();
        let mut complete = Vec::new();
        for hour in self.hours.iter() {
            let is_complete = is_complete(ports.store, &self.batch(hour)).await?;
            if is_complete { &mut complete } else { &mut due }.push(hour);
        }
        if due.is_empty() {
            return Ok(complete);
        }
        if !complete.is_empty() {
            tracing::info!(
                complete = complete.len(),
                due = due.len(),
                "going on with the hours that are left"
            );
        }
        Ok(due)
    }

    fn batch(&self, hour: Hour) -> Batch {
        Batch {
            shop: self.destination.shop.clone(),
            connector: "inventory",
            dataset: "inventory_levels",
            name: hour.to_string(),
            business_date: hour.date(),
        }
    }
}
