//! One shop's sales, a batch per trading day.

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use shoplake_connector::{
    ApiConfig, Batch, BatchRequest, Dataset, Delivered, Destination, Poll, Ports, SecretSource,
    Task, TaskError, due, parsed,
};
use shoplake_platform::config::ConfigError;

const SCHEMA: &str = include_str!("../../../crates/contracts/schemas/pos_sales.json");

/// Days before the last one that are fetched again, unless `REFETCH_DAYS` says otherwise.
const DEFAULT_REFETCH_DAYS: u32 = 3;

/// A year is longer than any till is offline.
const MAX_REFETCH_DAYS: u32 = 366;

/// The settings of a run; the README describes each variable.
#[derive(Debug, Clone)]
pub struct Sales {
    /// The shop, and where its sales are sent.
    pub destination: Destination,
    /// The POS API.
    pub api: ApiConfig,
    /// `BUSINESS_DATE`, or the days that follow from the clock.
    pub days: TradingDays,
}

/// The trading days that are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradingDays {
    /// The newest first, as it is the one that reports need.
    pub dates: Vec<NaiveDate>,
    /// A day that was completed before this time is fetched again.
    pub since: DateTime<Utc>,
}

impl TradingDays {
    /// Returns this day alone.
    #[must_use]
    pub fn only(date: NaiveDate) -> Self {
        Self { dates: vec![date], since: DateTime::<Utc>::MIN_UTC }
    }

    /// Returns the last day that is over in the shop's time zone, and `refetched` days before it:
    /// tills that were offline deliver their receipts later. Each day is fetched once in a local
    /// day, and a run that was killed continues with the days that are left.
    #[must_use]
    pub fn until_yesterday(now: DateTime<Utc>, zone: Tz, refetched: u32) -> Self {
        let today = now.with_timezone(&zone).date_naive();
        let before = |days: u32| today.checked_sub_days(Days::new(days.into()));
        let dates = (1..=refetched.saturating_add(1)).filter_map(before).collect();
        // Where the clocks are put forward at midnight, the day begins at one.
        let midnight = today.and_time(chrono::NaiveTime::MIN);
        let start =
            |hours| zone.from_local_datetime(&(midnight + TimeDelta::hours(hours))).earliest();
        let since = start(0).or_else(|| start(1)).map_or(now, |start| start.to_utc());
        Self { dates, since }
    }

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        let date = parsed("BUSINESS_DATE", "a day, such as 2026-11-20")?;
        let zone =
            parsed("TIME_ZONE", "an IANA time zone, such as Europe/Berlin")?.unwrap_or(Tz::UTC);
        let (name, expected) = ("REFETCH_DAYS", "a number of days from 0 to 366");
        let refetched = parsed(name, expected)?.unwrap_or(DEFAULT_REFETCH_DAYS);
        if refetched > MAX_REFETCH_DAYS {
            return Err(ConfigError::Invalid {
                name: name.to_owned(),
                expected: expected.to_owned(),
                reason: format!("it is {refetched}"),
            });
        }
        Ok(date.map_or_else(|| Self::until_yesterday(now, zone, refetched), Self::only))
    }
}

#[async_trait]
impl Task for Sales {
    const NAME: &'static str = "pos-connector";

    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        Ok(Self {
            destination: Destination::from_env()?,
            api: ApiConfig::from_env("POS")?,
            days: TradingDays::from_env(now)?,
        })
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn secret(&self) -> &SecretSource {
        &self.api.token
    }

    /// Fetches and sends the days, one after the other.
    ///
    /// A day that the API does not have is an error only if it is the newest one: the others were
    /// fetched before.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError> {
        let TradingDays { dates, since } = &self.days;
        tracing::info!(shop_id = %self.destination.shop, days = ?dates, "fetching");
        let dataset = Dataset::new("pos_sales", SCHEMA, Some("quantity"))?;
        let poll = Poll::new(&self.api, "v1/sales", &dataset, &self.destination, ports)?;
        let wanted = dates.iter().copied();
        let due = due(ports.store, wanted, |date| self.batch(*date), *since).await?;
        let requests = due.into_iter().map(|date| BatchRequest {
            batch: self.batch(date),
            query: ("business_date", date.to_string()),
            is_required: dates.first() == Some(&date),
            expects_rows: false,
        });
        poll.deliver_all(requests).await
    }
}

impl Sales {
    fn batch(&self, date: NaiveDate) -> Batch {
        Batch {
            shop: self.destination.shop.clone(),
            connector: "pos",
            name: date.to_string(),
            business_date: date,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(now: &str, zone: Tz, refetched: u32) -> (Vec<String>, String) {
        let days = TradingDays::until_yesterday(now.parse().unwrap(), zone, refetched);
        let since = days.since.format("%Y-%m-%dT%H:%M").to_string();
        (days.dates.iter().map(ToString::to_string).collect(), since)
    }

    #[test]
    fn the_last_day_is_over_in_the_zone_of_the_shop() {
        for (zone, day, since) in [
            (Tz::UTC, "2026-11-20", "2026-11-21T00:00"),
            // Half past eight in the evening: the shop still sells.
            (Tz::America__Los_Angeles, "2026-11-19", "2026-11-20T08:00"),
            (Tz::Asia__Tokyo, "2026-11-20", "2026-11-20T15:00"),
            (Tz::Pacific__Kiritimati, "2026-11-20", "2026-11-20T10:00"),
        ] {
            let expected = (vec![day.to_owned()], since.to_owned());
            assert_eq!(days("2026-11-21T04:30:00Z", zone, 0), expected, "{zone}");
        }
    }

    #[test]
    fn days_before_the_last_one_are_fetched_again() {
        let (dates, _) = days("2026-03-02T04:30:00Z", Tz::UTC, 3);
        assert_eq!(dates, ["2026-03-01", "2026-02-28", "2026-02-27", "2026-02-26"]);
    }

    #[test]
    fn a_day_without_a_midnight_begins_at_one() {
        // Clocks were put forward from 00:00 to 01:00.
        let (dates, since) = days("2026-04-24T12:00:00Z", Tz::Africa__Cairo, 0);
        assert_eq!((dates[0].as_str(), since.as_str()), ("2026-04-23", "2026-04-23T22:00"));
    }
}
