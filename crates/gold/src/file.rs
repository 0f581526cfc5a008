//! The file that holds a partition.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoplake_jobs::{FailedCheck, JobDocument, LoadColumn, PartitionDirty, metadata};

use crate::types::portable;

/// What the names of the file's metadata begin with.
const PREFIX: &str = "shoplake.";

/// A committed partition.
#[derive(Clone, Debug)]
pub struct Gold {
    /// Its rows, in the order in which they are stored.
    pub rows: RecordBatch,
    /// The partitions of other models that its commit dirtied.
    pub dirtied: Vec<PartitionDirty>,
    /// The checks that returned rows, and let it pass.
    pub failed_checks: Vec<FailedCheck>,
}

impl Gold {
    /// Reads a file that [`encode`] wrote.
    pub fn decode(file: Bytes) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let dirtied = note(&builder, metadata::DIRTIED)?;
        let failed_checks = note(&builder, metadata::FAILED_CHECKS)?;
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        let rows = concat_batches(&schema, &batches)?;
        // The reader hands the file's notes on as the schema's; they are no part of the rows.
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        let rows = RecordBatch::try_new(schema, rows.columns().to_vec())?;
        Ok(Self { rows, dirtied, failed_checks })
    }
}

/// What a file says without its rows being read.
pub(crate) struct Footer {
    /// How many rows there are.
    pub(crate) rows: u64,
    /// Their columns for the warehouse.
    pub(crate) columns: Vec<LoadColumn>,
    /// As in [`Gold`].
    pub(crate) failed_checks: Vec<FailedCheck>,
}

impl Footer {
    /// Reads the end of a file that [`encode`] wrote.
    pub(crate) fn decode(file: Bytes) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        Ok(Self {
            rows: builder.metadata().file_metadata().num_rows().unsigned_abs(),
            columns: columns(builder.schema()),
            failed_checks: note(&builder, metadata::FAILED_CHECKS)?,
        })
    }
}

/// The list that a commit notes under `name`; empty if an older one does not.
fn note<T: DeserializeOwned>(
    file: &ParquetRecordBatchReaderBuilder<Bytes>,
    name: &str,
) -> Result<Vec<T>, ParquetError> {
    let notes = file.metadata().file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
    let note = notes.iter().find(|note| note.key.strip_prefix(PREFIX) == Some(name));
    match note.and_then(|note| note.value.as_deref()) {
        Some(json) => {
            serde_json::from_str(json).map_err(|error| ParquetError::External(Box::new(error)))
        }
        None => Ok(Vec::new()),
    }
}

fn json<T: Serialize>(list: &[T]) -> Result<String, ParquetError> {
    serde_json::to_string(list).map_err(|error| ParquetError::External(Box::new(error)))
}

/// The columns of rows with this schema for the warehouse.
pub fn columns(schema: &Schema) -> Vec<LoadColumn> {
    schema
        .fields()
        .iter()
        .filter_map(|field| {
            let column_type = portable(field.data_type())?;
            Some(LoadColumn { name: field.name().clone(), column_type })
        })
        .collect()
}

/// Writes `gold` as the commit that `job` is. The same rows and job give the same bytes.
pub fn encode(gold: &Gold, job: &JobDocument) -> Result<Bytes, ParquetError> {
    let rows = &gold.rows;
    let notes = [
        (metadata::VERSION, job.output.version.to_string()),
        (metadata::INPUTS, job.output.inputs_digest.clone()),
        (metadata::JOB, job.id.clone()),
        (metadata::ROWS, rows.num_rows().to_string()),
        (metadata::DIRTIED, json(&gold.dirtied)?),
        (metadata::FAILED_CHECKS, json(&gold.failed_checks)?),
    ];
    let notes = notes
        .into_iter()
        .map(|(name, value)| KeyValue::new(format!("{PREFIX}{name}"), value))
        .collect();
    let properties = WriterProperties::builder()
        // Gold is written once and read often.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_key_value_metadata(Some(notes))
        .build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), Some(properties))?;
    writer.write(rows)?;
    writer.close()?;
    Ok(file.into())
}
