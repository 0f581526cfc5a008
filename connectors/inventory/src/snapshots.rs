//! One shop's snapshots, a batch per hour.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use shoplake_connector::{
    ApiConfig, Batch, BatchRequest, Dataset, Delivered, Destination, Poll, Ports, SecretSource,
    Task, TaskError, due, parsed,
};
use shoplake_platform::config::ConfigError;

use crate::{Hour, Hours};

const SCHEMA: &str = include_str!("../../../crates/contracts/schemas/inventory_levels.json");

/// Hours before the last one that are asked for if they are not complete, unless `REFETCH_HOURS`
/// says otherwise.
const DEFAULT_REFETCH_HOURS: u16 = 3;

/// The settings of a run; the README describes each variable.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// The shop, and where its stock is sent.
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

    /// Fetches and sends the hours that are not complete, one after the other. If all are complete,
    /// fetches all of them again.
    ///
    /// Where later runs ask again, the newest hour comes first, so that an hour that fails at each
    /// attempt holds up only the hours before it.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        tracing::info!(shop_id = %self.destination.shop, hours = %self.hours, "fetching");
        let dataset = Dataset::new("inventory_levels", SCHEMA, Some("on_hand"))?;
        let poll = Poll::new(&self.api, "v1/inventory", &dataset, &self.destination, ports)?;
        // An hour that is complete stays so: stock is counted once.
        let since = DateTime::<Utc>::MIN_UTC;
        let mut due = due(ports.store, self.hours.iter(), |hour| self.batch(*hour), since).await?;
        if self.asks_again {
            due.reverse();
        }
        let requests = due.into_iter().map(|hour| BatchRequest {
            batch: self.batch(hour),
            query: ("snapshot_at", hour.snapshot_at()),
            is_required: !self.asks_again || hour == self.hours.first(),
            expects_rows: true,
        });
        poll.deliver_all(requests).await
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
