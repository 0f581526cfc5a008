//! The window of accepted times around the receipt of an event.

use std::time::Duration;

use crate::metadata::RowMetadata;
use crate::reason::Code;
use crate::text::{self, MICROS_PER_DAY};
use crate::value::Value;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The times of its rows that a dataset accepts, relative to the receipt of each row. Without a
/// window, one wrong clock creates partitions, and computations, of any day from 2000 to 2099.
///
/// A date has no time zone, so it is accepted if it is the date of an accepted time in any time
/// zone. Rows in a named backfill may be older, but not newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// How long before its receipt.
    pub past: Duration,
    /// How long after its receipt, as clocks differ.
    pub future: Duration,
}

impl TimeWindow {
    /// 400 days (a year and a month, for comparisons with last year) back, and one day ahead.
    pub const DEFAULT: Self = Self { past: DAY.saturating_mul(400), future: DAY };
    /// Microseconds between UTC and the time zone that is the furthest behind it.
    const BEHIND: i64 = MICROS_PER_DAY / 2;
    /// Microseconds between UTC and the time zone that is the furthest ahead of it.
    const AHEAD: i64 = MICROS_PER_DAY / 24 * 14;

    /// Returns the first and the last accepted time for a row received at `received_at`; all in
    /// microseconds since 1970-01-01T00:00:00Z.
    pub fn times(&self, received_at: i64) -> (i64, i64) {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        (
            received_at.saturating_sub(micros(self.past)),
            received_at.saturating_add(micros(self.future)),
        )
    }

    /// Returns the first and the last accepted date for a row received at `received_at`, in days
    /// since 1970-01-01.
    pub fn days(&self, received_at: i64) -> (i32, i32) {
        let (first, last) = self.times(received_at);
        (text::day(first.saturating_sub(Self::BEHIND)), text::day(last.saturating_add(Self::AHEAD)))
    }

    /// Checks that a time or a date is within the window.
    #[inline]
    pub(crate) fn check(&self, value: &Value<'_>, metadata: RowMetadata<'_>) -> Result<(), Code> {
        let (is_old, is_new) = match value {
            Value::Timestamp(micros) => {
                let (first, last) = self.times(metadata.received_at);
                (*micros < first, *micros > last)
            }
            Value::Date(day) => {
                let (first, last) = self.days(metadata.received_at);
                (*day < first, *day > last)
            }
            _ => (false, false),
        };
        match (is_old, is_new, metadata.backfill) {
            (_, true, _) => Err(Code::InTheFuture),
            (true, _, None) => Err(Code::TooOld),
            _ => Ok(()),
        }
    }

    /// Returns what is accepted instead of `value`.
    pub(crate) fn expected(&self, value: &Value<'_>, metadata: RowMetadata<'_>) -> String {
        let (what, first, last) = if matches!(value, Value::Date(_)) {
            let (first, last) = self.days(metadata.received_at);
            ("date", text::Day(first).to_string(), text::Day(last).to_string())
        } else {
            let (first, last) = self.times(metadata.received_at);
            ("time", text::Timestamp(first).to_string(), text::Timestamp(last).to_string())
        };
        match metadata.backfill {
            Some(name) => {
                format!("a {what} not after {last} (the backfill {name:?} may be older, not newer)")
            }
            None => format!("a {what} from {first} to {last}; send older data in a named backfill"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> i64 {
        text::parse_timestamp(time).unwrap()
    }

    fn check(value: Value<'_>, backfill: Option<&str>) -> Result<(), Code> {
        let received_at = at("2026-11-21T10:00:00Z");
        let metadata = RowMetadata { shop: "acme", received_at, backfill, ..Default::default() };
        TimeWindow::DEFAULT.check(&value, metadata)
    }

    #[test]
    fn the_window_includes_its_ends() {
        let time = |time| check(Value::Timestamp(at(time)), None);
        assert_eq!(time("2025-10-17T10:00:00Z"), Ok(()));
        assert_eq!(time("2025-10-17T09:59:59.999999Z"), Err(Code::TooOld));
        assert_eq!(time("2026-11-22T10:00:00Z"), Ok(()));
        assert_eq!(time("2026-11-22T10:00:00.000001Z"), Err(Code::InTheFuture));
    }

    #[test]
    fn a_date_is_accepted_if_any_time_zone_has_it() {
        let date = |date| check(Value::Date(text::parse_date(date).unwrap()), None);
        // The first accepted time is 2025-10-16T22:00 at UTC-12, and the last one 2026-11-23T00:00
        // at UTC+14.
        assert_eq!(date("2025-10-16"), Ok(()));
        assert_eq!(date("2025-10-15"), Err(Code::TooOld));
        assert_eq!(date("2026-11-23"), Ok(()));
        assert_eq!(date("2026-11-24"), Err(Code::InTheFuture));
    }

    #[test]
    fn a_backfill_may_be_older_but_not_newer() {
        let time = |time| check(Value::Timestamp(at(time)), Some("history-2010"));
        assert_eq!(time("2010-12-01T00:00:00Z"), Ok(()));
        assert_eq!(time("2026-11-23T10:00:00Z"), Err(Code::InTheFuture));
    }

    #[test]
    fn extreme_receipts_do_not_overflow() {
        for received_at in [i64::MIN, i64::MAX] {
            let metadata = RowMetadata { shop: "acme", received_at, ..Default::default() };
            for value in [Value::Timestamp(0), Value::Date(0)] {
                assert!(TimeWindow::DEFAULT.check(&value, metadata).is_err());
                assert!(!TimeWindow::DEFAULT.expected(&value, metadata).is_empty());
            }
        }
    }
}
