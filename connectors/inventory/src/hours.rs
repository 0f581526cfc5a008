//! Hours whose snapshots are fetched.

use std::{fmt, str::FromStr};

use chrono::{DateTime, DurationRound, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use shoplake_platform::config::ConfigError;

/// A full hour, UTC: `2026-11-21T10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(DateTime<Utc>);

/// Not an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not an hour in UTC, such as 2026-11-21T10")]
pub struct NotAnHour;

impl Hour {
    /// Returns the last full hour at `now`.
    #[must_use]
    pub fn last(now: DateTime<Utc>) -> Self {
        Self(now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now))
    }

    /// Returns the hour's day.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        self.0.date_naive()
    }

    /// Returns the hour in the API's notation: `2026-11-21T10:00:00Z`.
    #[must_use]
    pub fn snapshot_at(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.format("%Y-%m-%dT%H"))
    }
}

impl FromStr for Hour {
    type Err = NotAnHour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minute = NaiveDateTime::parse_from_str(&format!("{text}:00"), "%Y-%m-%dT%H:%M");
        let hour = Self(minute.map_err(|_| NotAnHour)?.and_utc());
        // chrono also takes "2026-1-2T3"; names of batches must have one spelling.
        if hour.to_string() == text { Ok(hour) } else { Err(NotAnHour) }
    }
}

/// A range of hours, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    first: Hour,
    last: Hour,
}

impl Hours {
    /// Returns the last full hour at `now` and `refetched` hours before it: a snapshot may be late.
    #[must_use]
    pub fn until_now(now: DateTime<Utc>, refetched: u16) -> Self {
        let last = Hour::last(now);
        let first = last.0.checked_sub_signed(TimeDelta::hours(refetched.into()));
        Self { first: first.map_or(last, Hour), last }
    }

    /// Returns `hour`, or the hours from `from` to `to`; none if nothing is given.
    ///
    /// # Errors
    /// When both are given, or an end is missing, or the last hour comes before the first one.
    pub fn choose(
        hour: Option<Hour>,
        from: Option<Hour>,
        to: Option<Hour>,
    ) -> Result<Option<Self>, ConfigError> {
        match (hour, from, to) {
            (None, None, None) => Ok(None),
            (Some(hour), None, None) => Ok(Some(Self::from(hour))),
            (None, Some(first), Some(last)) if first <= last => Ok(Some(Self { first, last })),
            (None, Some(first), Some(last)) => Err(ConfigError::Invalid {
                name: "SNAPSHOT_TO".to_owned(),
                expected: format!("{first}, which is SNAPSHOT_FROM, or later"),
                reason: format!("it is {last}"),
            }),
            (Some(_), _, _) => Err(ConfigError::Invalid {
                name: "SNAPSHOT_HOUR".to_owned(),
                expected: "either one hour or a range".to_owned(),
                reason: "SNAPSHOT_FROM or SNAPSHOT_TO is set as well".to_owned(),
            }),
            (None, from, _) => Err(ConfigError::Missing {
                name: if from.is_none() { "SNAPSHOT_FROM" } else { "SNAPSHOT_TO" }.to_owned(),
                expected: "the other end of the range, such as 2026-11-21T10".to_owned(),
            }),
        }
    }

    /// Returns the first hour.
    #[must_use]
    pub fn first(self) -> Hour {
        self.first
    }

    /// Returns the hours, in order.
    pub fn iter(self) -> impl Iterator<Item = Hour> {
        let next = |hour: &Hour| hour.0.checked_add_signed(TimeDelta::hours(1)).map(Hour);
        std::iter::successors(Some(self.first), next).take_while(move |hour| *hour <= self.last)
    }
}

impl From<Hour> for Hours {
    fn from(hour: Hour) -> Self {
        Self { first: hour, last: hour }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> Hour {
        text.parse().unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-11-21T00:59:59.9+01:00").unwrap().to_utc()
    }

    fn names(hours: Hours) -> Vec<String> {
        hours.iter().map(|hour| hour.to_string()).collect()
    }

    #[test]
    fn the_clock_gives_the_last_full_hours_in_utc() {
        assert_eq!(Hours::choose(None, None, None).unwrap(), None);
        assert_eq!(names(Hours::until_now(now(), 0)), ["2026-11-20T23"]);
        assert_eq!(
            names(Hours::until_now(now(), 2)),
            ["2026-11-20T21", "2026-11-20T22", "2026-11-20T23"]
        );
    }

    #[test]
    fn a_range_has_both_ends_and_crosses_midnight() {
        let range = Hours::choose(None, Some(hour("2026-02-28T22")), Some(hour("2026-03-01T01")))
            .unwrap()
            .unwrap();

        assert_eq!(
            names(range),
            ["2026-02-28T22", "2026-02-28T23", "2026-03-01T00", "2026-03-01T01"]
        );
        assert_eq!(hour("2026-02-28T22").snapshot_at(), "2026-02-28T22:00:00Z");
    }

    #[test]
    fn contradicting_settings_are_named() {
        let (early, late) = (Some(hour("2026-11-20T10")), Some(hour("2026-11-20T11")));
        let error = |hour, from, to| Hours::choose(hour, from, to).unwrap_err().to_string();

        assert!(
            error(None, late, early).contains("SNAPSHOT_TO is invalid, expected 2026-11-20T11")
        );
        assert!(error(early, early, late).contains("SNAPSHOT_HOUR is invalid"));
        assert!(error(None, early, None).contains("SNAPSHOT_TO is not set"));
        assert!(error(None, None, late).contains("SNAPSHOT_FROM is not set"));
    }

    #[test]
    fn a_text_that_is_not_an_hour_is_rejected() {
        for text in
            ["", "2026-11-21", "2026-11-21T24", "2026-11-21T10:00", "2026-1-2T3", "yesterday"]
        {
            assert_eq!(text.parse::<Hour>(), Err(NotAnHour), "{text}");
        }
    }
}
