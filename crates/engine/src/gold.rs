//! A partition of a model as a Parquet file that knows which commit it is.

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
use shoplake_models::{JobDocument, LoadColumn, PartitionDirty, job::metadata};

use crate::types;

/// What the names of the file's metadata begin with.
const PREFIX: &str = "shoplake.";

/// A committed partition.
#[derive(Clone, Debug)]
pub struct Gold {
    /// Its rows, in the order in which they are stored.
    pub rows: RecordBatch,
    /// The partitions of other models that its commit dirtied.
    pub dirtied: Vec<PartitionDirty>,
}

impl Gold {
    /// Reads a file that [`encode`] wrote.
    pub fn decode(file: Bytes) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let dirtied = builder
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .into_iter()
            .flatten()
            .find(|entry| entry.key.strip_prefix(PREFIX) == Some(metadata::DIRTIED))
            .and_then(|entry| entry.value.as_deref())
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        let rows = concat_batches(&schema, &batches)?;
        // The reader hands the file's notes on as the schema's; they are no part of the rows.
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        let rows = RecordBatch::try_new(schema, rows.columns().to_vec())?;
        Ok(Self { rows, dirtied: dirtied.unwrap_or_default() })
    }
}

/// The columns of `rows` for the warehouse.
pub fn columns(rows: &RecordBatch) -> Vec<LoadColumn> {
    rows.schema()
        .fields()
        .iter()
        .filter_map(|field| {
            let column_type = types::portable(field.data_type())?;
            Some(LoadColumn { name: field.name().clone(), column_type })
        })
        .collect()
}

/// Writes `rows` as the commit that `job` is. The same rows and job give the same bytes.
pub fn encode(
    rows: &RecordBatch,
    job: &JobDocument,
    dirtied: &[PartitionDirty],
) -> Result<Bytes, ParquetError> {
    let dirtied = serde_json::to_string(dirtied).map_err(|error| ParquetError::External(Box::new(error)))?;
    let notes = [
        (metadata::VERSION, job.output.version.to_string()),
        (metadata::INPUTS, job.output.inputs_digest.clone()),
        (metadata::JOB, job.id.clone()),
        (metadata::ROWS, rows.num_rows().to_string()),
        (metadata::DIRTIED, dirtied),
    ];
    let notes =
        notes.into_iter().map(|(name, value)| KeyValue::new(format!("{PREFIX}{name}"), value)).collect();
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
