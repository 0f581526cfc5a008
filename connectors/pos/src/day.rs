//! One shop's day.

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, Utc};
use shoplake_connector::{
    ApiConfig, Batch, Delivered, Destination, Poll, Ports, SecretSource, Task, TaskError,
};
use shoplake_platform::config::{ConfigError, parsed};

use crate::describe;

/// What the task is told by its environment; the README says what each variable is.
#[derive(Debug, Clone)]
pub struct Day {
    /// Whose sales, and where to.
    pub destination: Destination,
    /// The POS API.
    pub api: ApiConfig,
    /// `BUSINESS_DATE`
    pub business_date: NaiveDate,
}

#[async_trait]
impl Task for Day {
    const NAME: &'static str = "pos-connector";

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        Ok(Self {
            destination: Destination::from_env()?,
            api: ApiConfig::from_env("POS")?,
            business_date: parsed("BUSINESS_DATE")?.unwrap_or_else(|| yesterday(now)),
        })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn secret(&self) -> &SecretSource {
        &self.api.token
    }

    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        let day = self.business_date.to_string();
        tracing::info!(shop_id = %self.destination.shop, business_date = day, "fetching");
        let batch = Batch {
            shop: self.destination.shop.clone(),
            connector: "pos",
            dataset: "pos_sales",
            name: day.clone(),
            business_date: self.business_date,
        };
        let poll = Poll::new(&self.api, "v1/sales", &self.destination, ports, describe)?;
        let completed = poll.deliver(&batch, &[("business_date", &day)]).await?;
        Ok(Delivered::from(&completed))
    }
}

/// The last day that is certainly over.
fn yesterday(now: DateTime<Utc>) -> NaiveDate {
    let today = now.date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_no_date_then_it_is_the_day_before_in_utc() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T00:30:00+01:00").unwrap().to_utc();

        assert_eq!(yesterday(now), NaiveDate::from_ymd_opt(2026, 2, 27).unwrap());
    }
}
