//! The rows of one silver object: column builders, the sort, Parquet.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, Schema, SchemaRef,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use shoplake_contracts::{ColumnType, Contract, Value};

use crate::sort;

/// The most shops that an object names: their ids fit into the 2 KB of an object's metadata.
const MAX_SHOPS: usize = 16;

/// Schema and sort order of a dataset's objects; made once per contract.
#[derive(Clone, Debug)]
pub(crate) struct TableLayout {
    schema: SchemaRef,
    types: Vec<ColumnType>,
    /// Positions of the sort's columns.
    sort: Vec<usize>,
}

impl TableLayout {
    pub(crate) fn new(contract: &Contract) -> Self {
        Self {
            schema: Arc::new(Schema::new(
                contract.columns.iter().map(|column| column.field()).collect::<Vec<_>>(),
            )),
            types: contract.columns.iter().map(|column| column.column_type).collect(),
            sort: contract.sort.iter().filter_map(|name| contract.position(name)).collect(),
        }
    }

    /// Returns an empty table with room for `rows`.
    pub(crate) fn table(&self, rows: usize) -> Table {
        Table {
            columns: self
                .types
                .iter()
                .map(|column_type| ColumnBuilder::new(*column_type, rows))
                .collect(),
            rows: 0,
            is_in_backfill: false,
        }
    }

    /// Returns the rows of a table in the order of an object.
    pub(crate) fn sorted(&self, mut table: Table) -> Result<RecordBatch, ArrowError> {
        let columns = table.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        take_record_batch(&batch, &sort::order(&batch, &self.sort)?)
    }

    /// Returns sorted rows as a Parquet object.
    pub(crate) fn parquet(
        &self,
        batch: &RecordBatch,
        metadata: Vec<KeyValue>,
    ) -> Result<Vec<u8>, ParquetError> {
        let properties = properties(batch, metadata)?;
        let mut writer = ArrowWriter::try_new(
            Vec::with_capacity(batch.num_rows() * 128),
            self.schema.clone(),
            Some(properties),
        )?;
        writer.write(batch)?;
        writer.into_inner()
    }
}

/// Returns the shops of sorted rows; none if there are more than [`MAX_SHOPS`].
pub(crate) fn shops(batch: &RecordBatch) -> Vec<String> {
    let column = batch.column_by_name("shop_id").and_then(|column| column.as_string_opt::<i32>());
    let mut shops: Vec<&str> = Vec::new();
    for shop in column.into_iter().flatten().flatten() {
        if shops.last() == Some(&shop) {
            continue;
        }
        if shops.len() == MAX_SHOPS {
            return Vec::new();
        }
        shops.push(shop);
    }
    shops.into_iter().map(str::to_owned).collect()
}

/// The rows of one object, not yet sorted.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<ColumnBuilder>,
    pub(crate) rows: usize,
    /// Whether a row belongs to a named backfill.
    pub(crate) is_in_backfill: bool,
}

impl Table {
    pub(crate) fn push(&mut self, values: &[Value<'_>], is_in_backfill: bool) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value);
        }
        self.rows += 1;
        self.is_in_backfill |= is_in_backfill;
    }
}

#[derive(Debug)]
enum ColumnBuilder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder),
}

impl ColumnBuilder {
    fn new(column_type: ColumnType, rows: usize) -> Self {
        match column_type {
            ColumnType::String => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            ColumnType::Bigint => Self::Integer(Int64Builder::with_capacity(rows)),
            ColumnType::Double => Self::Double(Float64Builder::with_capacity(rows)),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            ColumnType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            ColumnType::Timestamp => Self::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"),
            ),
            ColumnType::Decimal { .. } => Self::Decimal(
                Decimal128Builder::with_capacity(rows).with_data_type(column_type.arrow()),
            ),
        }
    }

    /// Appends a value. A contract never returns a value of another type than the column's; it
    /// would be null.
    #[inline]
    fn push(&mut self, value: &Value<'_>) {
        match (self, value) {
            (Self::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Self::Text(builder), value) => builder.append_option(value.as_str()),
            (Self::Integer(builder), Value::Integer(number)) => builder.append_value(*number),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Double(builder), Value::Double(number)) => builder.append_value(*number),
            (Self::Double(builder), _) => builder.append_null(),
            (Self::Boolean(builder), Value::Boolean(flag)) => builder.append_value(*flag),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Date(builder), Value::Date(day)) => builder.append_value(*day),
            (Self::Date(builder), _) => builder.append_null(),
            (Self::Timestamp(builder), Value::Timestamp(micros)) => builder.append_value(*micros),
            (Self::Timestamp(builder), _) => builder.append_null(),
            (Self::Decimal(builder), Value::Decimal(unscaled)) => builder.append_value(*unscaled),
            (Self::Decimal(builder), _) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Returns how an object is written. At zstd level 1 the writer is not the bottleneck. Readers skip
/// by the statistics of column chunks; statistics of pages would only cost. A dictionary saves
/// space where values repeat, and costs a fifth of the time where they do not.
fn properties(
    batch: &RecordBatch,
    metadata: Vec<KeyValue>,
) -> Result<WriterProperties, ParquetError> {
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(metadata));
    let schema = batch.schema();
    let properties =
        schema.fields().iter().zip(batch.columns()).fold(builder, |builder, (field, column)| {
            builder.set_column_dictionary_enabled(
                ColumnPath::from(field.name().as_str()),
                repeats(column),
            )
        });
    Ok(properties.build())
}

/// Returns whether fewer than half of a sample's values are distinct. The sample is spread over all
/// rows, which are sorted.
fn repeats(column: &ArrayRef) -> bool {
    const SAMPLE: usize = 64;
    let rows = (0..column.len())
        .step_by((column.len() / SAMPLE).max(1))
        .filter(|row| column.is_valid(*row));
    match column.data_type() {
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            mostly_repeats(rows.map(|row| values.value(row)))
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>();
            mostly_repeats(rows.map(|row| values.value(row)))
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            mostly_repeats(rows.map(|row| values.value(row).to_bits()))
        }
        DataType::Date32 => {
            let values = column.as_primitive::<Date32Type>();
            mostly_repeats(rows.map(|row| values.value(row)))
        }
        DataType::Timestamp(..) => {
            let values = column.as_primitive::<TimestampMicrosecondType>();
            mostly_repeats(rows.map(|row| values.value(row)))
        }
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>();
            mostly_repeats(rows.map(|row| values.value(row)))
        }
        _ => false,
    }
}

fn mostly_repeats<T: Eq + Hash>(values: impl Iterator<Item = T>) -> bool {
    let (mut count, mut distinct) = (0, HashSet::new());
    for value in values {
        count += 1;
        distinct.insert(value);
    }
    distinct.len() * 2 <= count
}
