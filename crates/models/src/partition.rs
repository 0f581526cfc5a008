//! A model's partition: the unit that is computed, committed and loaded as one.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// The days that are written with a year of four digits.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(0, 1, 1).expect("a day");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day");

/// The value of a model's partition column. Written `2010-12-01` in keys, messages and SQL.
///
/// Models are partitioned by day; a dataset partitioned by hour dirties the day that the hour
/// belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum PartitionValue {
    /// A day (UTC).
    Date(NaiveDate),
}

impl PartitionValue {
    /// The partition that a folder of silver belongs to: `dt=2010-12-01`, or
    /// `dt=2010-12-01/hour=09`. `None` for other kinds of folders, which no model can read yet.
    pub fn from_silver_folder(folder: &str) -> Option<Self> {
        let day = folder.strip_prefix("dt=")?;
        let day = day.split_once("/hour=").map_or(day, |(day, _)| day);
        day.parse().ok()
    }

    /// The folder in silver below which all of the partition's objects are.
    pub fn silver_folder(self) -> String {
        match self {
            Self::Date(day) => format!("dt={day}"),
        }
    }

    /// The value as a SQL expression that both engines read alike.
    pub fn sql(self) -> String {
        match self {
            Self::Date(day) => format!("cast('{day}' as date)"),
        }
    }

    /// All partitions from this one to `last`, in order; none if that is an earlier one.
    pub(crate) fn through(self, last: Self) -> impl Iterator<Item = Self> {
        let (Self::Date(first), Self::Date(last)) = (self, last);
        first.iter_days().take_while(move |day| *day <= last).map(Self::Date)
    }

    /// Whether `next` is the one right after this one.
    pub(crate) fn is_followed_by(self, next: Self) -> bool {
        let (Self::Date(day), Self::Date(next)) = (self, next);
        day.succ_opt() == Some(next)
    }

    /// All partitions from `before` days earlier to `after` days later, in order.
    pub(crate) fn window(self, before: u16, after: u16) -> impl Iterator<Item = Self> {
        let (first, last) = self.ends(before, after);
        first.through(last)
    }

    /// The first and the last partition of that window.
    pub(crate) fn ends(self, before: u16, after: u16) -> (Self, Self) {
        let Self::Date(day) = self;
        // A window that leaves the years of four digits simply ends there: only among those, days
        // sort as their texts do.
        let first = day
            .checked_sub_days(Days::new(before.into()))
            .map_or(FIRST_DAY, |day| day.max(FIRST_DAY));
        let last =
            day.checked_add_days(Days::new(after.into())).map_or(LAST_DAY, |day| day.min(LAST_DAY));
        (Self::Date(first), Self::Date(last))
    }
}

impl fmt::Display for PartitionValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(day) => day.fmt(formatter),
        }
    }
}

/// A text that is no partition value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no partition value, expected a day such as 2010-12-01")]
pub struct PartitionValueError(String);

impl FromStr for PartitionValue {
    type Err = PartitionValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // chrono also takes 2010-1-1, which would name a second object for the same day.
        match text.parse::<NaiveDate>() {
            Ok(day) if day.to_string() == text => Ok(Self::Date(day)),
            _ => Err(PartitionValueError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> PartitionValue {
        text.parse().unwrap()
    }

    #[test]
    fn given_a_day_or_an_hour_of_silver_then_its_partition_is_the_day() {
        for folder in ["dt=2010-12-01", "dt=2010-12-01/hour=23"] {
            assert_eq!(
                PartitionValue::from_silver_folder(folder),
                Some(day("2010-12-01")),
                "{folder}"
            );
        }
        for folder in ["bucket=0007", "dt=x", "2010-12-01", "dt=2010-12-01/minute=1"] {
            assert_eq!(PartitionValue::from_silver_folder(folder), None, "{folder}");
        }
    }

    #[test]
    fn given_another_spelling_of_a_day_then_it_is_refused() {
        for text in ["2010-1-1", "20101201", " 2010-12-01", "2010-12-32", ""] {
            assert!(text.parse::<PartitionValue>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_holds_both_ends() {
        let days: Vec<_> = day("2010-12-31").window(1, 2).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2010-12-30", "2010-12-31", "2011-01-01", "2011-01-02"]);
    }

    #[test]
    fn given_the_end_of_the_calendar_then_the_window_ends_there() {
        assert_eq!(day("9999-12-31").ends(1, 30), (day("9999-12-30"), day("9999-12-31")));
        assert_eq!(day("0000-01-01").ends(30, 1), (day("0000-01-01"), day("0000-01-02")));
    }
}
