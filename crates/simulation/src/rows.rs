//! The rows of gold as JSON.

use std::cmp::Ordering;

use anyhow::bail;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

/// A row by column. Bigints and doubles are numbers and booleans are booleans. All other values are
/// texts, because a JSON number cannot hold every amount of money.
pub type Row = Map<String, Value>;

/// Returns the rows of a batch, in its order.
pub(crate) fn of_batch(batch: &RecordBatch) -> anyhow::Result<Vec<Row>> {
    let schema = batch.schema();
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(values(column)?) {
            row.insert(field.name().clone(), value);
        }
    }
    Ok(rows)
}

fn values(column: &ArrayRef) -> anyhow::Result<Vec<Value>> {
    Ok(match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(Value::from).collect(),
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().map(Value::from).collect(),
        DataType::Boolean => column.as_boolean().iter().map(Value::from).collect(),
        DataType::Utf8
        | DataType::Date32
        | DataType::Timestamp(_, _)
        | DataType::Decimal128(_, _) => {
            let formatter = ArrayFormatter::try_new(column, &FormatOptions::default())?;
            let text = |row| column.is_valid(row).then(|| formatter.value(row).to_string());
            (0..column.len()).map(|row| Value::from(text(row))).collect()
        }
        other => bail!("expected a column of a portable type in gold, got {other}"),
    })
}

/// Compares two rows by the columns of `key`.
pub(crate) fn by_key(key: &[String], one: &Row, other: &Row) -> Ordering {
    key.iter()
        .map(|column| compare(&one[column.as_str()], &other[column.as_str()]))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (one, other) => one.to_string().cmp(&other.to_string()),
    }
}

/// Returns each row as one text: the values of `columns`, separated by spaces, such as `acme north
/// 12.5000`. Null is `null`.
///
/// # Panics
/// When a column does not exist.
pub fn texts(rows: &[Row], columns: &str) -> Vec<String> {
    let text = |row: &Row, column: &str| match row.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => panic!("no column {column:?} in {row:?}"),
    };
    rows.iter()
        .map(|row| {
            columns.split_whitespace().map(|column| text(row, column)).collect::<Vec<_>>().join(" ")
        })
        .collect()
}
