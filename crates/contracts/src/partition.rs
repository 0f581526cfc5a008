//! Which rows of a dataset live together.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use shoplake_jobs::Partition;

use crate::decode::Value;

/// How a silver table is divided. Declared as `day(f)`, `hour(f)` or `bucket(f, n)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// By the UTC day of a date or timestamp column: for what happens once.
    Day(String),
    /// By the UTC hour of a timestamp column: where a day is too much to recompute every minute.
    Hour(String),
    /// By a stable hash (CRC-32 of the text, modulo `buckets`; `crc32()` in Spark): for what lives
    /// on, such as orders.
    Bucket {
        /// The column that is hashed.
        column: String,
        /// How many buckets; fixed for the life of the dataset.
        buckets: u32,
    },
}

impl Partitioning {
    /// The column that decides.
    pub fn column(&self) -> &str {
        match self {
            Self::Day(column) | Self::Hour(column) | Self::Bucket { column, .. } => column,
        }
    }

    /// The partition of a row whose deciding column is `value`; `None` for a value that cannot
    /// decide, which a compiled contract rules out.
    pub fn of(&self, value: &Value<'_>) -> Option<Partition> {
        match (self, value) {
            (Self::Day(_), Value::Date(day)) => {
                NaiveDate::from_epoch_days(*day).map(Partition::Day)
            }
            (Self::Day(_), Value::Timestamp(micros)) => Partition::day_of_micros(*micros),
            (Self::Hour(_), Value::Timestamp(micros)) => Partition::hour_of_micros(*micros),
            (Self::Bucket { buckets, .. }, Value::Integer(number)) => {
                Some(Partition::Bucket(crc32(number.to_string().as_bytes()) % buckets))
            }
            (Self::Bucket { buckets, .. }, value) => {
                value.as_str().map(|text| Partition::Bucket(crc32(text.as_bytes()) % buckets))
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

/// The text declares no partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a partition: expected day(column), hour(column) or bucket(column, 1 to 9999)"
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

/// CRC-32 (IEEE 802.3), as Spark's `crc32()`.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_its_declaration() {
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

    #[test]
    fn the_hash_is_the_one_that_every_engine_knows() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
