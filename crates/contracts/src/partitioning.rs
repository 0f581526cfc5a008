//! How the rows of a dataset are divided into partitions.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use shoplake_jobs::{Buckets, Partition, PartitionKind};

use crate::value::Value;

/// How a dataset or a model is divided. Declared as `day(f)`, `hour(f)` or `bucket(f, n)`; after a
/// doubling of n also as `bucket(f, n, m)`, where m is n at the time of the oldest objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// By the UTC day of a date or timestamp column: for events.
    Day(String),
    /// By the UTC hour of a timestamp column: if a day is too much to recompute every minute.
    Hour(String),
    /// By a stable hash (CRC-32 of the text, modulo the number of buckets; `crc32()` in both
    /// engines): for entities that change over time, such as orders.
    Bucket {
        /// The column that is hashed.
        column: String,
        /// How many buckets.
        buckets: Buckets,
    },
}

impl Partitioning {
    /// Returns the column that decides the partition.
    pub fn column(&self) -> &str {
        match self {
            Self::Day(column) | Self::Hour(column) | Self::Bucket { column, .. } => column,
        }
    }

    /// Returns the kind of the partitions.
    pub fn kind(&self) -> PartitionKind {
        match self {
            Self::Day(_) => PartitionKind::Day,
            Self::Hour(_) => PartitionKind::Hour,
            Self::Bucket { buckets, .. } => PartitionKind::Bucket(*buckets),
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
                Some(bucket(&number.to_string(), buckets.count))
            }
            (Self::Bucket { buckets, .. }, value) => {
                value.as_str().map(|text| bucket(text, buckets.count))
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
            Self::Bucket { column, buckets: Buckets { count, oldest } } if count == oldest => {
                write!(formatter, "bucket({column}, {count})")
            }
            Self::Bucket { column, buckets: Buckets { count, oldest } } => {
                write!(formatter, "bucket({column}, {count}, {oldest})")
            }
        }
    }
}

/// The highest power of two that four digits hold.
const MAX_BUCKETS: u32 = 8_192;

/// Returns the bucket of a text. Spark's `crc32()` gives the same number.
fn bucket(text: &str, buckets: u32) -> Partition {
    Partition::Bucket(crc32fast::hash(text.as_bytes()) % buckets)
}

/// The text is not a declaration of a partitioning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid partitioning {0:?}: expected day(column), hour(column) or bucket(column, n), where n \
     is a power of two up to {MAX_BUCKETS}; after a doubling bucket(column, n, m), where m is a \
     former n"
)]
pub struct PartitioningError(String);

impl FromStr for Partitioning {
    type Err = PartitioningError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (function, rest) = text.split_once('(')?;
            let arguments = rest.strip_suffix(')')?;
            let arguments: Vec<_> = arguments.split(',').map(str::trim).collect();
            let number = |text: &str| {
                let number: u32 = text.parse().ok()?;
                (number.is_power_of_two() && number <= MAX_BUCKETS).then_some(number)
            };
            match (function, arguments.as_slice()) {
                ("day", [column]) => Some(Self::Day((*column).to_owned())),
                ("hour", [column]) => Some(Self::Hour((*column).to_owned())),
                ("bucket", [column, count, oldest @ ..]) => {
                    let count = number(count)?;
                    let oldest = match oldest {
                        [] => count,
                        [oldest] => number(oldest).filter(|oldest| *oldest < count)?,
                        _ => return None,
                    };
                    let buckets = Buckets { count, oldest };
                    Some(Self::Bucket { column: (*column).to_owned(), buckets })
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
        for text in [
            "day(occurred_at)",
            "hour(occurred_at)",
            "bucket(order_id, 64)",
            "bucket(order_id, 64, 16)",
        ] {
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
            "bucket(a, 12)",
            "bucket(a, 16384)",
            "bucket(a, 16, 16)",
            "bucket(a, 16, 32)",
            "bucket(a, 16, 4, 2)",
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
        let bucket = Partitioning::Bucket { column: "id".into(), buckets: Buckets::new(64) };
        let folder = |partition: &Partitioning, value: &Value<'_>| {
            partition.of(value).map(Partition::silver_folder)
        };
        assert_eq!(folder(&day, &before_1970).as_deref(), Some("dt=1969-12-31"));
        assert_eq!(folder(&day, &Value::Date(0)).as_deref(), Some("dt=1970-01-01"));
        assert_eq!(folder(&hour, &before_1970).as_deref(), Some("dt=1969-12-31/hour=23"));
        assert_eq!(folder(&bucket, &Value::Text("1")), folder(&bucket, &Value::Integer(1)));
        assert_eq!(folder(&bucket, &Value::Null), None);
    }

    #[test]
    fn a_doubled_bucket_is_divided_in_two() {
        for id in 0..1_000 {
            let bucket = |buckets| match bucket(&id.to_string(), buckets) {
                Partition::Bucket(bucket) => bucket,
                other => panic!("expected a bucket, got {other}"),
            };
            assert_eq!(bucket(32) % 16, bucket(16), "{id}");
        }
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
