//! Functions of Spark that DataFusion lacks, with Spark's names and semantics, so that one SQL text
//! runs on both.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// `unix_micros(timestamp)`: microseconds since 1970-01-01T00:00:00Z, as a bigint.
pub(crate) fn unix_micros() -> ScalarUDF {
    create_udf(
        "unix_micros",
        vec![DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let timestamps = arrays[0].as_primitive::<TimestampMicrosecondType>();
            Ok(ColumnarValue::Array(Arc::new(timestamps.reinterpret_cast::<Int64Type>())))
        }),
    )
}

/// `crc32(string)`: the CRC-32 of the text in UTF-8, as a bigint. Buckets follow from it.
pub(crate) fn crc32() -> ScalarUDF {
    create_udf(
        "crc32",
        vec![DataType::Utf8],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let texts = arrays[0].as_string::<i32>().iter();
            let sums: Int64Array = texts
                .map(|text| text.map(|text| i64::from(crc32fast::hash(text.as_bytes()))))
                .collect();
            Ok(ColumnarValue::Array(Arc::new(sums)))
        }),
    )
}
