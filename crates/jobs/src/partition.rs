//! Partitions: the units that are computed, committed and loaded as one.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The first and the last day that four digits can name the year of. Among those, days sort as
/// their texts do.
pub(crate) const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(0, 1, 1).expect("a day");
pub(crate) const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day");

const HOURS_PER_DAY: i64 = 24;
const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// The highest number of a bucket: four digits name it.
const LAST_BUCKET: u32 = 9_999;

/// One partition of a dataset or a model.
///
/// Its text in keys, messages and SQL is `2010-12-01` (a day), `2010-12-01T09` (an hour) or `0007`
/// (a bucket). [`Partition::silver_folder`] gives the folder of its objects in silver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Partition {
    /// An hour (UTC).
    Hour(Hour),
    /// A day (UTC).
    Day(NaiveDate),
    /// The number of a bucket, from 0.
    Bucket(u32),
}

/// An hour of a day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour {
    day: NaiveDate,
    hour: u8,
}

impl Hour {
    /// Returns the hour number `hour` (0 to 23) of `day`; `None` for other numbers.
    pub fn new(day: NaiveDate, hour: u8) -> Option<Self> {
        (i64::from(hour) < HOURS_PER_DAY).then_some(Self { day, hour })
    }

    pub(crate) fn first_of(day: NaiveDate) -> Self {
        Self { day, hour: 0 }
    }

    pub(crate) fn last_of(day: NaiveDate) -> Self {
        Self { day, hour: 23 }
    }

    /// Returns the day that the hour belongs to.
    pub fn day(self) -> NaiveDate {
        self.day
    }

    /// Returns the number of the hour within its day, from 0.
    pub fn of_day(self) -> u8 {
        self.hour
    }

    fn next(self) -> Option<Self> {
        match Self::new(self.day, self.hour + 1) {
            None => Self::new(self.day.succ_opt()?, 0),
            next => next,
        }
    }
}

impl Partition {
    /// Returns the day of a time in microseconds since 1970-01-01T00:00:00Z; `None` for a time that
    /// the calendar does not have.
    #[inline]
    pub fn day_of_micros(micros: i64) -> Option<Self> {
        let days = micros.div_euclid(HOURS_PER_DAY * MICROS_PER_HOUR);
        NaiveDate::from_epoch_days(i32::try_from(days).ok()?).map(Self::Day)
    }

    /// Returns the hour of a time in microseconds since 1970-01-01T00:00:00Z; `None` for a time
    /// that the calendar does not have.
    #[inline]
    pub fn hour_of_micros(micros: i64) -> Option<Self> {
        let hours = micros.div_euclid(MICROS_PER_HOUR);
        let days = i32::try_from(hours.div_euclid(HOURS_PER_DAY)).ok()?;
        let hour = u8::try_from(hours.rem_euclid(HOURS_PER_DAY)).ok()?;
        Some(Self::Hour(Hour { day: NaiveDate::from_epoch_days(days)?, hour }))
    }

    /// Returns the day that the partition is, or lies in; `None` for a bucket.
    pub fn day(self) -> Option<NaiveDate> {
        match self {
            Self::Hour(hour) => Some(hour.day),
            Self::Day(day) => Some(day),
            Self::Bucket(_) => None,
        }
    }

    /// Returns the name of the partition's kind in documents: `hour`, `date` or `bucket`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Hour(_) => "hour",
            Self::Day(_) => "date",
            Self::Bucket(_) => "bucket",
        }
    }

    /// Returns the partition whose objects are in `folder`: `dt=2010-12-01`,
    /// `dt=2010-12-01/hour=09` or `bucket=0007`.
    ///
    /// # Errors
    /// When `folder` is anything else, another spelling of a partition included.
    pub fn from_silver_folder(folder: &str) -> Result<Self, PartitionError> {
        let error = || PartitionError::folder(folder);
        let parsed: Self = match folder.strip_prefix("dt=") {
            Some(rest) => rest.replacen("/hour=", "T", 1).parse().map_err(|_| error())?,
            None => {
                let number = folder.strip_prefix("bucket=").ok_or_else(error)?;
                number.parse().map_err(|_| error())?
            }
        };
        if parsed.silver_folder() == folder { Ok(parsed) } else { Err(error()) }
    }

    /// Returns the folder of the partition's objects in silver, without a slash at its end.
    pub fn silver_folder(self) -> String {
        match self {
            Self::Hour(Hour { day, hour }) => format!("dt={day}/hour={hour:02}"),
            Self::Day(day) => format!("dt={day}"),
            Self::Bucket(bucket) => format!("bucket={bucket:04}"),
        }
    }

    /// Returns the value as a SQL expression that both engines read alike: a date, a timestamp or
    /// an integer.
    pub fn sql(self) -> String {
        match self {
            Self::Hour(Hour { day, hour }) => format!("cast('{day} {hour:02}:00:00' as timestamp)"),
            Self::Day(day) => format!("cast('{day}' as date)"),
            Self::Bucket(bucket) => bucket.to_string(),
        }
    }

    /// Returns the partitions from this one to `last`, in order; none if `last` is an earlier one
    /// or of another kind.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> + use<> {
        let is_one_kind = self.kind() == last.kind();
        let next = |partition: &Self| partition.next();
        std::iter::successors(Some(self), next)
            .take_while(move |partition| is_one_kind && *partition <= last)
    }

    /// Returns the partition right after this one, which is of the same kind.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Hour(hour) => hour.next().map(Self::Hour),
            Self::Day(day) => day.succ_opt().map(Self::Day),
            Self::Bucket(bucket) => bucket.checked_add(1).map(Self::Bucket),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour(Hour { day, hour }) => write!(formatter, "{day}T{hour:02}"),
            Self::Day(day) => day.fmt(formatter),
            Self::Bucket(bucket) => write!(formatter, "{bucket:04}"),
        }
    }
}

/// A text that is not a partition.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid partition {text:?}: expected {expected}")]
pub struct PartitionError {
    text: String,
    expected: &'static str,
}

impl PartitionError {
    fn text(text: &str) -> Self {
        let expected =
            "a day such as 2010-12-01, an hour such as 2010-12-01T09 or a bucket such as 0007";
        Self { text: text.to_owned(), expected }
    }

    /// The text is not a partition of the expected kind.
    pub(crate) fn kind(partition: Partition, expected: &'static str) -> Self {
        Self { text: partition.to_string(), expected }
    }

    fn folder(folder: &str) -> Self {
        let expected = "dt=YYYY-MM-DD, dt=YYYY-MM-DD/hour=HH or bucket=NNNN";
        Self { text: folder.to_owned(), expected }
    }
}

impl FromStr for Partition {
    type Err = PartitionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || match text.split_once('T') {
            Some((day, hour)) => {
                Some(Self::Hour(Hour::new(day.parse().ok()?, hour.parse().ok()?)?))
            }
            None if text.len() == 4 => {
                let bucket = text.parse().ok()?;
                (bucket <= LAST_BUCKET).then_some(Self::Bucket(bucket))
            }
            None => text.parse().ok().map(Self::Day),
        };
        // chrono also reads 2010-1-1, and integers may have a sign: those would name a second
        // object for the same partition.
        parsed()
            .filter(|parsed| parsed.to_string() == text)
            .ok_or_else(|| PartitionError::text(text))
    }
}

impl TryFrom<String> for Partition {
    type Error = PartitionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Hour> for Partition {
    fn from(hour: Hour) -> Self {
        Self::Hour(hour)
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> Self {
        partition.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(text: &str) -> Partition {
        text.parse().unwrap()
    }

    fn texts(partitions: impl Iterator<Item = Partition>) -> Vec<String> {
        partitions.map(|partition| partition.to_string()).collect()
    }

    #[test]
    fn each_kind_has_one_text_and_one_folder() {
        for (text, folder, sql) in [
            ("2010-12-01", "dt=2010-12-01", "cast('2010-12-01' as date)"),
            ("2010-12-01T09", "dt=2010-12-01/hour=09", "cast('2010-12-01 09:00:00' as timestamp)"),
            ("0007", "bucket=0007", "7"),
        ] {
            let partition = partition(text);
            assert_eq!(partition.to_string(), text);
            assert_eq!(partition.silver_folder(), folder);
            assert_eq!(Partition::from_silver_folder(folder), Ok(partition));
            assert_eq!(partition.sql(), sql);
        }
    }

    #[test]
    fn other_spellings_are_rejected() {
        for text in [
            "2010-1-1",
            "20101201",
            " 2010-12-01",
            "2010-12-32",
            "",
            "2010-12-01T9",
            "2010-12-01T24",
            "2010-12-01T+9",
            "2010-12-01T09:00",
            "7",
            "+007",
            "00007",
            "yesterday",
        ] {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
        for folder in [
            "dt=x",
            "2010-12-01",
            "dt=2010-12-01/minute=1",
            "dt=2010-12-01/hour=9",
            "dt=2010-12-01T09",
            "dt=0007",
            "bucket=7",
            "bucket=2010-12-01",
            "bucket=0001/hour=09",
            "bucket=",
        ] {
            assert!(Partition::from_silver_folder(folder).is_err(), "{folder}");
        }
        assert_eq!(
            "2010-13-01".parse::<Partition>().unwrap_err().to_string(),
            "invalid partition \"2010-13-01\": expected a day such as 2010-12-01, an hour such as \
             2010-12-01T09 or a bucket such as 0007"
        );
    }

    #[test]
    fn a_range_over_two_kinds_is_empty() {
        assert_eq!(partition("2010-12-01").through(partition("0007")).count(), 0);
        assert_eq!(partition("2010-12-01T09").through(partition("2010-12-02")).count(), 0);
        assert_eq!(partition("2010-12-02").through(partition("2010-12-01")).count(), 0);
    }

    #[test]
    fn times_before_1970_and_outside_of_the_calendar() {
        let day = Partition::day_of_micros(-1).map(|day| day.to_string());
        let hour = Partition::hour_of_micros(-1).map(|hour| hour.to_string());
        assert_eq!((day.as_deref(), hour.as_deref()), (Some("1969-12-31"), Some("1969-12-31T23")));
        assert_eq!(Partition::day_of_micros(i64::MAX), None);
        assert_eq!(Partition::hour_of_micros(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn any_partition_survives_its_text_and_folder(
            micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
            bucket in 0..=LAST_BUCKET,
        ) {
            for partition in [
                Partition::day_of_micros(micros).unwrap(),
                Partition::hour_of_micros(micros).unwrap(),
                Partition::Bucket(bucket),
            ] {
                prop_assert_eq!(partition.to_string().parse(), Ok(partition));
                let folder = partition.silver_folder();
                prop_assert_eq!(Partition::from_silver_folder(&folder), Ok(partition));
                let next = partition.next().unwrap();
                prop_assert!(partition < next);
                prop_assert_eq!(texts(partition.through(next)).len(), 2);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,30}|[0-9T=/dthourbucket-]{0,30}") {
            let _ = text.parse::<Partition>();
            let _ = Partition::from_silver_folder(&text);
        }
    }
}
