//! One shop's snapshots, a batch per hour.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use shoplake_connector::{
    ApiConfig, Batch, Dataset, Delivered, Destination, Poll, Ports, SecretSource, Task, TaskError,
    due, parsed,
};
use shoplake_platform::config::ConfigError;

use crate::{Hour, Hours};

const SCHEMA: &str = include_str!("../../../crates/contracts/schemas/inventory_levels.json");

/// Hours before the last one that are asked for if they are not complete, unless `REFETCH_HOURS`
/// says otherwise.
const DEFAULT_REFETCH_HOURS: u16 = 3;

/// What the environment asks for; the README says what each variable is.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// Whose stock, and where to.
    pub destination: Destination,
    /// The inventory API.
    pub api: ApiConfig,
    /// `SNAPSHOT_HOUR`, or `SNAPSHOT_FROM` and `SNAPSHOT_TO`, or the hours that follow from the
    /// clock.
    pub hours: Hours,
    /// Whether later runs ask again for an hour that is absent now. It is then an error only for
    /// the first hour, which is asked for the last time.
    pub asks_again: bool,
}

#[async_trait]
impl Task for Snapshots {
    const NAME: &'static str = "inventory-connector";

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        let hour = |name| parsed(name, "an hour in UTC, such as 2026-11-21T10");
        let chosen =
            Hours::choose(hour("SNAPSHOT_HOUR")?, hour("SNAPSHOT_FROM")?, hour("SNAPSHOT_TO")?)?;
        let refetched = parsed("REFETCH_HOURS", "a number of hours, such as 3")?;
        Ok(Self {
            destination: Destination::from_env()?,
            api: ApiConfig::from_env("INVENTORY")?,
            asks_again: chosen.is_none(),
            hours: chosen.unwrap_or_else(|| {
                Hours::until_now(now, refetched.unwrap_or(DEFAULT_REFETCH_HOURS))
            }),
        })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn secret(&self) -> &SecretSource {
        &self.api.token
    }

    /// Fetches and sends the hours that are not complete, one after the other; where all are, all
    /// once more.
    ///
    /// An hour that the API does not know, or of which its answers are faulty, does not keep the
    /// others from being fetched. Any other failure would most likely meet them, too, and ends the
    /// run. Where later runs ask again, the newest hour comes first, so that one that fails at each
    /// attempt holds up only those before it.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        tracing::info!(shop_id = %self.destination.shop, hours = %self.hours, "fetching");
        let dataset = Dataset::new("inventory_levels", SCHEMA, Some("on_hand"))?;
        let poll = Poll::new(&self.api, "v1/inventory", &dataset, &self.destination, ports)?;
        let mut delivered = Delivered::default();
        let (mut absent, mut first_error) = (Vec::new(), None);
        // An hour that is complete stays so: stock is counted once.
        let since = DateTime::<Utc>::MIN_UTC;
        let mut due = due(ports.store, self.hours.iter(), |hour| self.batch(*hour), since).await?;
        if self.asks_again {
            due.reverse();
        }
        for hour in due {
            let batch = self.batch(hour);
            match poll.deliver(&batch, &[("snapshot_at", &hour.snapshot_at())]).await {
                Ok(completed) => {
                    if completed.rows == 0 {
                        tracing::warn!(%hour, "the snapshot is empty, expected a row per product and location");
                    }
                    delivered.add(&completed);
                }
                Err(error) if error.is_absent() => {
                    tracing::warn!(%hour, %error, "the source has no such snapshot");
                    if !self.asks_again || hour == self.hours.first() {
                        absent.push(batch.name);
                    }
                }
                Err(error) if error.is_of_batch() => {
                    tracing::error!(%hour, %error, "the hour cannot be fetched; continuing");
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(first_error.unwrap_or(error)),
            }
        }
        match first_error {
            Some(error) => Err(error),
            None if absent.is_empty() => Ok(delivered),
            None => Err(TaskError::Absent { batches: absent }),
        }
    }
}

impl Snapshots {
    fn batch(&self, hour: Hour) -> Batch {
        Batch {
            shop: self.destination.shop.clone(),
            connector: "inventory",
            name: hour.to_string(),
            business_date: hour.date(),
        }
    }
}
