//! Identifies the deliveries of a batch, in order.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// One delivery of a batch, from its first page to its control total. It is the time when the
/// delivery began, in UTC with microseconds: `2026-11-21T04:30:00.000000Z`. The texts of runs have
/// the order of their times, so the greatest run is the newest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The text does not identify a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a run: expected the time when the delivery began, in UTC with microseconds, such \
     as 2026-11-21T04:30:00.000000Z"
)]
pub struct RunIdError(String);

impl RunId {
    /// Digits where the pattern has a 0; every other byte is itself.
    const PATTERN: &[u8] = b"2000-00-00T00:00:00.000000Z";

    /// Returns the run of a delivery that begins `now` and replaces `earlier`. It is later than
    /// `earlier` even if the clock of the earlier delivery was ahead.
    pub fn after(now: DateTime<Utc>, earlier: Option<&Self>) -> Self {
        let earlier = earlier.and_then(|run| run.0.parse::<DateTime<Utc>>().ok());
        let next = earlier.and_then(|time| time.checked_add_signed(TimeDelta::microseconds(1)));
        let began_at = next.map_or(now, |next| next.max(now));
        Self(began_at.to_rfc3339_opts(SecondsFormat::Micros, true))
    }

    /// Returns the run as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `text` identifies a run, without an allocation.
    pub fn is_valid(text: &str) -> bool {
        let fits = |(byte, pattern): (u8, &u8)| match pattern {
            b'0' => byte.is_ascii_digit(),
            pattern => byte == *pattern,
        };
        text.len() == Self::PATTERN.len() && text.bytes().zip(Self::PATTERN).all(fits)
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if Self::is_valid(&text) { Ok(Self(text)) } else { Err(RunIdError(text)) }
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    #[test]
    fn a_run_is_later_than_the_run_that_it_replaces() {
        let first = RunId::after(at("2026-11-21T04:30:00Z"), None);
        assert_eq!(first.as_str(), "2026-11-21T04:30:00.000000Z");
        let next = RunId::after(at("2026-11-22T04:30:00Z"), Some(&first));
        assert_eq!(next.as_str(), "2026-11-22T04:30:00.000000Z");
        // The clock of the earlier delivery was ahead.
        let behind = RunId::after(at("2026-11-22T04:29:00Z"), Some(&next));
        assert_eq!(behind.as_str(), "2026-11-22T04:30:00.000001Z");
        assert!(first < next && next < behind);
    }

    #[test]
    fn a_run_has_one_spelling() {
        assert!("2026-11-21T04:30:00.000000Z".parse::<RunId>().is_ok());
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T04:30:00Z",
            "2026-11-21T04:30:00.000Z",
            "2026-11-21T04:30:00.000000+00:00",
            "1999-11-21T04:30:00.000000Z",
            "2026-11-21 04:30:00.000000Z",
            "2026-11-21T04:30:00.0000000Z",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }
}
