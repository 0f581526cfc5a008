//! The rows of a gold partition, as messages need them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde_json::{Map, Value};
use shoplake_jobs::{Alert, rfc3339};

/// A row of a model that notifies people.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// All columns. Amounts are texts, because a JSON number cannot hold all of them; times are RFC
    /// 3339 (UTC).
    pub(crate) columns: Map<String, Value>,
    /// When it started. A row without a start is not notified.
    pub(crate) started: Option<DateTime<Utc>>,
    /// When it ended, if it has.
    pub(crate) ended: Option<DateTime<Utc>>,
}

/// Why the rows of a gold object cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    #[error("not a readable Parquet file: {0}")]
    Parquet(#[from] ParquetError),
    #[error("a value cannot be shown: {0}")]
    Arrow(#[from] ArrowError),
    #[error(
        "missing column {column:?}, which the model's header names: found {}; run a backfill of \
         the partition",
        found.join(", ")
    )]
    NoColumn { column: String, found: Vec<String> },
    #[error("column {column:?} has the type {actual}: expected a timestamp")]
    NoTimestamp { column: String, actual: DataType },
}

/// Reads the rows of a gold object. `named` are columns that must exist.
pub(crate) fn read(file: Bytes, alert: &Alert, named: &[String]) -> Result<Vec<Row>, RowsError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let schema = reader.schema().clone();
    let in_alert =
        alert.placeholders().into_iter().chain([alert.started.as_str(), alert.ended.as_str()]);
    for column in named.iter().map(String::as_str).chain(in_alert) {
        if schema.field_with_name(column).is_err() {
            let found = schema.fields().iter().map(|field| field.name().clone()).collect();
            return Err(RowsError::NoColumn { column: column.to_owned(), found });
        }
    }
    let mut rows = Vec::new();
    for batch in reader.build()? {
        rows.append(&mut rows_of(&batch?, alert)?);
    }
    Ok(rows)
}

fn rows_of(batch: &RecordBatch, alert: &Alert) -> Result<Vec<Row>, RowsError> {
    let started = times(batch, &alert.started)?;
    let ended = times(batch, &alert.ended)?;
    let mut rows: Vec<_> = started
        .into_iter()
        .zip(ended)
        .map(|(started, ended)| Row { columns: Map::new(), started, ended })
        .collect();
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(values(column)?) {
            row.columns.insert(field.name().clone(), value);
        }
    }
    Ok(rows)
}

/// Returns a column of timestamps.
fn times(batch: &RecordBatch, name: &str) -> Result<Vec<Option<DateTime<Utc>>>, RowsError> {
    // It exists: `read` has checked that.
    let Some(column) = batch.column_by_name(name) else { return Ok(vec![None; batch.num_rows()]) };
    if !matches!(column.data_type(), DataType::Timestamp(..)) {
        return Err(RowsError::NoTimestamp {
            column: name.to_owned(),
            actual: column.data_type().clone(),
        });
    }
    timestamps(column)
}

/// Converts timestamps of any unit, with or without a zone: times in the lake are UTC.
fn timestamps(column: &ArrayRef) -> Result<Vec<Option<DateTime<Utc>>>, RowsError> {
    let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    Ok(micros.iter().map(|micros| micros.and_then(DateTime::from_timestamp_micros)).collect())
}

fn values(column: &ArrayRef) -> Result<Vec<Value>, RowsError> {
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().iter().map(Value::from).collect(),
        integer if integer.is_integer() => {
            let numbers = cast(column, &DataType::Int64)?;
            numbers.as_primitive::<Int64Type>().iter().map(Value::from).collect()
        }
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().map(Value::from).collect(),
        DataType::Timestamp(..) => {
            timestamps(column)?.into_iter().map(|time| time.map(rfc3339).into()).collect()
        }
        _ => {
            let options = FormatOptions::default();
            let texts = ArrayFormatter::try_new(column, &options)?;
            let text = |row| column.is_valid(row).then(|| texts.value(row).to_string()).into();
            (0..column.len()).map(text).collect()
        }
    })
}
