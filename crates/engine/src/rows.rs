//! The stored form of a model's rows: portable types, one batch, one order.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use shoplake_jobs::JobDocument;

use crate::error::EngineError;
use crate::types;

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
    // Without this option, a value that does not fit would become null.
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let batches = batches
        .iter()
        .map(|batch| {
            let columns = batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| cast_with_options(column, field.data_type(), &exact))
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
