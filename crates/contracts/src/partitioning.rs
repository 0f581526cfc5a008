//! How the rows of a dataset are divided into partitions.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use shoplake_jobs::Partition;

use crate::value::Value;

/// How a silver table is divided. Declared as `day(f)`, `hour(f)` or `bucket(f, n)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// By the UTC day of a date or timestamp column: for events.
    Day(String),
    /// By the UTC hour of a timestamp column: if a day is too much to recompute every minute.
    Hour(String),
    /// By a stable hash (CRC-32 of the text, modulo `buckets`; `crc32()` in Spark): for entities
    /// that change over time, such as orders.
    Bucket {
        /// The column that is hashed.
        column: String,
        /// How many buckets; fixed for the life of the dataset.
        buckets: u32,
    },
}

impl Partitioning {
    /// Returns the column that decides the partition.
    pub fn column(&self) -> &str {
        match self {
            Self::Day(column) | Self::Hour(column) | Self::Bucket { column, .. } => column,
        }
    }

    /// Returns the partition of a row with `value` in that column. `None` for a value of another
    /// type, which a compiled contract rules out.
    pub fn of(&self, value: &Value<'_>) -> Option<Partition> {
        match (self, value) {
            (Self::Day(_), Value::Date(day)) => {
                NaiveDate::from_epoch_days(*day).map(Partition::Day)
            }
            (Self::Day(_), Value::Timestamp(micros)) => Partition::day_of_micros(*micros),
            (Self::Hour(_), Value::Timestamp(micros)) => Partition::hour_of_micros(*micros),
            (Self::Bucket { buckets, .. }, Value::Integer(number)) => {
                Some(bucket(&number.to_string(), *buckets))
            }
            (Self::Bucket { buckets, .. }, value) => {
                value.as_str().map(|text| bucket(text, *buckets))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Partitioning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(column) => write!(formatter, "day({column})"),
            Self::Hour(column) => write!(formatter, "hour({column})"),
            Self::Bucket { column, buckets } => write!(formatter, "bucket({column}, {buckets})"),
        }
    }
}

/// Returns the bucket of a text. Spark's `crc32()` gives the same number.
fn bucket(text: &str, buckets: u32) -> Partition {
    Partition::Bucket(crc32fast::hash(text.as_bytes()) % buckets)
}

/// The text is not a declaration of a partitioning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a partitioning: expected day(column), hour(column) or bucket(column, 1 to 9999)"
)]
pub struct PartitioningError(String);

impl FromStr for Partitioning {
    type Err = PartitioningError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (function, rest) = text.split_once('(')?;
            let arguments = rest.strip_suffix(')')?;
            match (function, arguments.split_once(',')) {
                ("day", None) => Some(Self::Day(arguments.to_owned())),
                ("hour", None) => Some(Self::Hour(arguments.to_owned())),
                ("bucket", Some((column, buckets))) => {
                    let buckets = buckets.trim().parse().ok()?;
                    let column = column.trim().to_owned();
                    (1..=9999).contains(&buckets).then_some(Self::Bucket { column, buckets })
                }
                _ => None,
            }
        };
        parsed().ok_or_else(|| PartitioningError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partitioning_reads_back_from_its_text() {
        for text in ["day(occurred_at)", "hour(occurred_at)", "bucket(order_id, 64)"] {
            assert_eq!(
                text.parse::<Partitioning>().map(|parsed| parsed.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "day",
            "day()x",
            "week(a)",
            "bucket(a)",
            "bucket(a, 0)",
            "bucket(a, 10000)",
            "day(a, 1)",
        ] {
            assert!(text.parse::<Partitioning>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_row_belongs_to_its_utc_day_hour_or_bucket() {
        let before_1970 = Value::Timestamp(-1);
        let day = Partitioning::Day("at".into());
        let hour = Partitioning::Hour("at".into());
        let bucket = Partitioning::Bucket { column: "id".into(), buckets: 64 };
        let folder = |partition: &Partitioning, value: &Value<'_>| {
            partition.of(value).map(Partition::silver_folder)
        };
        assert_eq!(folder(&day, &before_1970).as_deref(), Some("dt=1969-12-31"));
        assert_eq!(folder(&day, &Value::Date(0)).as_deref(), Some("dt=1970-01-01"));
        assert_eq!(folder(&hour, &before_1970).as_deref(), Some("dt=1969-12-31/hour=23"));
        assert_eq!(folder(&bucket, &Value::Text("1")), folder(&bucket, &Value::Integer(1)));
        assert_eq!(folder(&bucket, &Value::Null), None);
    }

    /// The CRC-32 of IEEE 802.3, which is `crc32()` in Spark, modulo 64. Another hash would move
    /// every row.
    #[test]
    fn buckets_are_those_of_spark() {
        for (text, number) in [("123456789", 38), ("", 0), ("1", 55), ("order-1", 47), ("é", 62)] {
            assert_eq!(bucket(text, 64), Partition::Bucket(number), "{text:?}");
        }
    }
}
