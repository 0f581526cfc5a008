//! The portable types of columns, which every engine of the lake has under the same name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// A portable type. Its text (`bigint`, `decimal(18,4)`) means the same in job documents, DDL, the
/// catalog, DataFusion and Spark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// `string`: UTF-8.
    String,
    /// `bigint`: 64-bit signed.
    Bigint,
    /// `double`: 64-bit IEEE 754; never for money.
    Double,
    /// `boolean`
    Boolean,
    /// `date`: days since 1970-01-01.
    Date,
    /// `timestamp`: microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// `decimal(p,s)`: an exact number of at most 38 digits.
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
}

impl ColumnType {
    /// Returns the type in Arrow.
    pub fn arrow(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Bigint => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => formatter.write_str("string"),
            Self::Bigint => formatter.write_str("bigint"),
            Self::Double => formatter.write_str("double"),
            Self::Boolean => formatter.write_str("boolean"),
            Self::Date => formatter.write_str("date"),
            Self::Timestamp => formatter.write_str("timestamp"),
            Self::Decimal { precision, scale } => write!(formatter, "decimal({precision},{scale})"),
        }
    }
}

/// A text that is not a portable type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid column type {0:?}: expected string, bigint, double, boolean, date, timestamp or \
     decimal(p,s) with s < p <= 38"
)]
pub struct ColumnTypeError(String);

impl FromStr for ColumnType {
    type Err = ColumnTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let decimal = || {
            let digits = text.strip_prefix("decimal(")?.strip_suffix(')')?;
            let (precision, scale) = digits.split_once(',')?;
            let (precision, scale) = (precision.parse().ok()?, scale.parse().ok()?);
            (scale < precision && precision <= 38).then_some(Self::Decimal { precision, scale })
        };
        Ok(match text {
            "string" => Self::String,
            "bigint" => Self::Bigint,
            "double" => Self::Double,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            _ => decimal().ok_or_else(|| ColumnTypeError(text.to_owned()))?,
        })
    }
}

impl TryFrom<String> for ColumnType {
    type Error = ColumnTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_its_name() {
        for name in [
            "string",
            "bigint",
            "double",
            "boolean",
            "date",
            "timestamp",
            "decimal(18,4)",
            "decimal(38,0)",
        ] {
            assert_eq!(
                name.parse::<ColumnType>().map(|found| found.to_string()),
                Ok(name.to_owned())
            );
        }
        for name in ["", "int", "decimal", "decimal(4,4)", "decimal(39,1)", "decimal(18, 4)"] {
            assert!(name.parse::<ColumnType>().is_err(), "{name}");
        }
    }
}
