//! Functions of Spark that DataFusion lacks, with Spark's names and semantics, so that one SQL text
//! runs on both.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
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
