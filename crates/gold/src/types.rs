//! The portable types of Arrow's types.

use std::str::FromStr;

use arrow::datatypes::DataType;
use shoplake_contracts::ColumnType;

/// Returns the portable type that holds every value of `data_type`; `None` without such a type.
pub fn portable(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::String,
        DataType::Dictionary(_, values) => return portable(values),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        // Some counts of DataFusion are unsigned. The cast fails and does not wrap beyond 2^63.
        | DataType::UInt64 => ColumnType::Bigint,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Double,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(_, _) => ColumnType::Timestamp,
        // Parsing the text checks precision and scale.
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            return ColumnType::from_str(&format!("decimal({precision},{scale})")).ok();
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn every_engine_type_becomes_the_portable_one_that_holds_it() {
        let name = |data_type: DataType| portable(&data_type).map(|found| found.to_string());
        for (data_type, expected) in [
            (DataType::Utf8View, Some("string")),
            (DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()), Some("string")),
            (DataType::Int32, Some("bigint")),
            (DataType::UInt64, Some("bigint")),
            (DataType::Float32, Some("double")),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), Some("timestamp")),
            (DataType::Decimal128(18, 4), Some("decimal(18,4)")),
            (DataType::Decimal256(76, 4), None),
            (DataType::Decimal128(10, -2), None),
            (DataType::Null, None),
            (DataType::Binary, None),
        ] {
            assert_eq!(name(data_type.clone()).as_deref(), expected, "{data_type}");
        }
    }
}
