//! Full hours, on which stock is counted.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike, Utc};

const SECONDS: i64 = 3_600;

/// Stores are open, and sell, from eight to twenty.
const OPEN: std::ops::Range<u32> = 8..20;

/// A full hour, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(DateTime<Utc>);

/// Not a full hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a full hour in UTC such as 2026-11-21T10:00:00Z")]
pub struct NotAnHour;

impl Hour {
    /// Returns the hours of a day.
    pub fn of_day(day: NaiveDate) -> impl Iterator<Item = Self> {
        (0..24).filter_map(move |hour| day.and_hms_opt(hour, 0, 0)).map(|time| Self(time.and_utc()))
    }

    /// Returns the hour as a time.
    #[must_use]
    pub fn time(self) -> DateTime<Utc> {
        self.0
    }

    /// Returns the number of hours since 1970.
    pub(super) fn number(self) -> i64 {
        self.0.timestamp().div_euclid(SECONDS)
    }

    /// Returns the hour with this number.
    pub(super) fn numbered(number: i64) -> Self {
        Self(DateTime::UNIX_EPOCH + TimeDelta::hours(number))
    }

    /// Returns whether stores are open in the hour that begins here.
    pub(super) fn is_open(number: i64) -> bool {
        OPEN.contains(&(number.rem_euclid(24) as u32))
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl FromStr for Hour {
    type Err = NotAnHour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| NotAnHour)?.to_utc();
        let is_full = time.minute() == 0 && time.second() == 0 && time.nanosecond() == 0;
        if is_full { Ok(Self(time)) } else { Err(NotAnHour) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_hour_is_parsed_written_and_numbered() {
        let hour: Hour = "2026-11-21T10:00:00Z".parse().unwrap();

        assert_eq!(hour.to_string(), "2026-11-21T10:00:00Z");
        assert_eq!(Hour::numbered(hour.number()), hour);
        assert_eq!(Hour::of_day(hour.time().date_naive()).nth(10), Some(hour));
        assert!(Hour::is_open(hour.number()) && !Hour::is_open(hour.number() + 10));
    }

    #[test]
    fn a_text_that_is_not_a_full_hour_is_rejected() {
        for text in ["2026-11-21T10", "2026-11-21T10:30:00Z", "2026-11-21T10:00:00.5Z", "noon"] {
            assert_eq!(text.parse::<Hour>(), Err(NotAnHour), "{text}");
        }
    }
}
