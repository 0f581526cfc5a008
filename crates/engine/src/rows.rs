//! The stored form of a model's rows: portable types, one batch, one order.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{
    CastOptions, cast_with_options, concat_batches, filter_record_batch, take_record_batch,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::FormatOptions;
use shoplake_jobs::JobDocument;

use crate::error::EngineError;
use crate::{shops, types};

/// Fails for a value that does not fit. By default it would become null.
const EXACT: CastOptions<'static> =
    CastOptions { safe: false, format_options: FormatOptions::new() };

/// Returns the schema of the stored rows of `job`, whose query returns `schema`.
pub(crate) fn stored_schema(job: &JobDocument, schema: &Schema) -> Result<SchemaRef, EngineError> {
    let fields = schema
        .fields()
        .iter()
        .map(|field| match shoplake_gold::portable(field.data_type()) {
            Some(portable) => Ok(types::field(field.name(), portable)),
            None => Err(EngineError::OutputType {
                model: job.model.clone(),
                column: field.name().clone(),
                actual: field.data_type().to_string(),
            }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let named = job
        .key
        .iter()
        .map(|column| ("key", column))
        .chain(job.sort.iter().map(|column| ("sort", column)));
    for (what, column) in named.chain([("partition", &job.partition.column)]) {
        if schema.index_of(column).is_err() {
            return Err(EngineError::OutputColumn {
                model: job.model.clone(),
                column: column.clone(),
                what,
            });
        }
    }
    Ok(Schema::new(fields).into())
}

/// Returns one batch of `schema` with the rows of `batches`, in the order of `sort` and then of the
/// other columns. The same rows always give the same batch.
pub(crate) fn stored(
    schema: SchemaRef,
    sort: &[String],
    batches: &[RecordBatch],
) -> Result<RecordBatch, ArrowError> {
    let batches = batches
        .iter()
        .map(|batch| {
            let columns = batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| cast_with_options(column, field.data_type(), &EXACT))
                .collect::<Result<Vec<_>, _>>()?;
            RecordBatch::try_new(schema.clone(), columns)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let batch = concat_batches(&schema, &batches)?;
    let rows = comparable(&batch, sort)?;
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_unstable_by_key(|row| rows.row(*row as usize));
    take_record_batch(&batch, &UInt32Array::from(order))
}

/// The rows of a commit.
pub(crate) struct Merged {
    /// The rows, in the stored order.
    pub(crate) rows: RecordBatch,
    /// The withheld shops whose previous rows do not fit the new columns or key. They are left out.
    pub(crate) lost: BTreeSet<String>,
}

/// Returns the rows of `new` without those of the `withheld` shops, which keep their rows of
/// `before`, the last commit.
pub(crate) fn merge(
    job: &JobDocument,
    new: &RecordBatch,
    before: Option<&RecordBatch>,
    withheld: &BTreeSet<String>,
) -> Result<Merged, ArrowError> {
    let mut lost = BTreeSet::new();
    if withheld.is_empty() {
        return Ok(Merged { rows: new.clone(), lost });
    }
    let mut parts = vec![shops::filter(new, |shop| !withheld.contains(shop))?];
    if let Some(before) = before {
        let kept = shops::filter(before, |shop| withheld.contains(shop))?;
        match converted(&kept, &new.schema())? {
            Some(kept) => {
                lost = without_key(&kept, &job.key)?;
                parts.push(shops::filter(&kept, |shop| !lost.contains(shop))?);
            }
            None => shops::add(&kept, &mut lost)?,
        }
    }
    Ok(Merged { rows: stored(new.schema(), &job.sort, &parts)?, lost })
}

/// Returns rows of an earlier commit with the columns of `schema`; `None` if that would change a
/// value. Columns that they lack are null.
fn converted(rows: &RecordBatch, schema: &SchemaRef) -> Result<Option<RecordBatch>, ArrowError> {
    if rows.num_rows() == 0 {
        return Ok(Some(RecordBatch::new_empty(schema.clone())));
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match rows.column_by_name(field.name()) {
            Some(column) if is_lossless(column.data_type(), field.data_type()) => {
                cast_with_options(column, field.data_type(), &EXACT)?
            }
            None => new_null_array(field.data_type(), rows.num_rows()),
            Some(_) => return Ok(None),
        });
    }
    RecordBatch::try_new(schema.clone(), columns).map(Some)
}

/// Returns whether a cast keeps every value, in both engines.
fn is_lossless(from: &DataType, to: &DataType) -> bool {
    /// The digits of a bigint.
    const BIGINT: i16 = 19;
    let digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
    match (from, to) {
        (DataType::Decimal128(from, from_scale), DataType::Decimal128(to, to_scale)) => {
            from_scale <= to_scale && digits(*from, *from_scale) <= digits(*to, *to_scale)
        }
        (DataType::Int64, DataType::Decimal128(to, scale)) => BIGINT <= digits(*to, *scale),
        _ => from == to,
    }
}

/// Returns the shops with a row whose key is null or not unique.
fn without_key(rows: &RecordBatch, key: &[String]) -> Result<BTreeSet<String>, ArrowError> {
    let schema = rows.schema();
    let columns =
        key.iter().map(|column| schema.index_of(column)).collect::<Result<Vec<_>, _>>()?;
    let keys = rows.project(&columns)?;
    let has_null = |row: usize| keys.columns().iter().any(|column| column.is_null(row));
    let comparable = comparable(&keys, key)?;
    let mut counts = HashMap::new();
    for key in &comparable {
        *counts.entry(key).or_insert(0) += 1;
    }
    let wrong: BooleanArray = comparable
        .iter()
        .enumerate()
        .map(|(row, key)| Some(counts[&key] > 1 || has_null(row)))
        .collect();
    let mut shops = BTreeSet::new();
    shops::add(&filter_record_batch(rows, &wrong)?, &mut shops)?;
    Ok(shops)
}

/// Returns the rows in a comparable form, with the columns of `sort` first.
pub(crate) fn comparable(batch: &RecordBatch, sort: &[String]) -> Result<Rows, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let schema = batch.schema();
    let first = sort.iter().filter_map(|column| schema.index_of(column).ok());
    let others =
        (0..batch.num_columns()).filter(|column| !sort.contains(schema.field(*column).name()));
    for column in first.chain(others) {
        fields.push(SortField::new(schema.field(column).data_type().clone()));
        columns.push(batch.column(column).clone());
    }
    RowConverter::new(fields)?.convert_columns(&columns)
}

/// Returns whether two schemas have the same names and types in the same order.
pub(crate) fn same_columns(one: &Schema, other: &Schema) -> bool {
    let column = |field: &Field| (field.name().clone(), field.data_type().clone());
    one.fields()
        .iter()
        .map(|field| column(field))
        .eq(other.fields().iter().map(|field| column(field)))
}
