//! One shop's snapshots, a batch per hour.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use shoplake_connector::{
    ApiConfig, Batch, Delivered, Destination, Poll, Ports, SecretSource, Task, TaskError, due,
};
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

    fn secret(&self) -> &SecretSource {
        &self.api.token
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
        for hour in due(ports.store, self.hours.iter(), |hour| self.batch(*hour)).await? {
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
