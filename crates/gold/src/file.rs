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
use shoplake_jobs::{
    CheckAlert, FailedCheck, JobDocument, LoadColumn, Partition, PartitionDirty, Withheld, metadata,
};

use crate::types::portable;

/// The prefix of names in the file's key-value metadata.
const PREFIX: &str = "shoplake.";

/// The rows of a row group of a bucket. A reader of some days fetches the row groups that have rows
/// of them, and a bucket has rows of all days.
const ROW_GROUP_ROWS: usize = 8_192;

/// A committed partition.
#[derive(Clone, Debug)]
pub struct Gold {
    /// Its rows, in the stored order.
    pub rows: RecordBatch,
    /// The partitions of other models that its commit dirtied.
    pub dirtied: Vec<PartitionDirty>,
    /// The checks that failed for the computed rows, of both severities, with all shops.
    pub failed_checks: Vec<FailedCheck>,
    /// The failures that are new with the commit.
    pub alert: Vec<CheckAlert>,
}

impl Gold {
    /// Reads a file that [`encode`] wrote.
    pub fn decode(file: Bytes) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let dirtied = metadata_list(&builder, metadata::DIRTIED)?;
        let failed_checks = metadata_list(&builder, metadata::FAILED_CHECKS)?;
        let alert = metadata_list(&builder, metadata::ALERT)?;
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        let rows = concat_batches(&schema, &batches)?;
        // The reader copies the file's metadata into the schema, where rows must not differ by it.
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        let rows = RecordBatch::try_new(schema, rows.columns().to_vec())?;
        Ok(Self { rows, dirtied, failed_checks, alert })
    }
}

/// The part of a file that can be read without its rows.
#[derive(Clone, Debug)]
pub struct Footer {
    /// The number of rows.
    pub rows: u64,
    /// Their columns for the warehouse.
    pub columns: Vec<LoadColumn>,
    /// As in [`Gold`].
    pub dirtied: Vec<PartitionDirty>,
    /// As in [`Gold`].
    pub failed_checks: Vec<FailedCheck>,
    /// As in [`Gold`].
    pub alert: Vec<CheckAlert>,
}

impl Footer {
    /// Reads the end of a file that [`encode`] wrote.
    pub fn decode(file: Bytes) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        Ok(Self {
            rows: builder.metadata().file_metadata().num_rows().unsigned_abs(),
            columns: columns(builder.schema()),
            dirtied: metadata_list(&builder, metadata::DIRTIED)?,
            failed_checks: metadata_list(&builder, metadata::FAILED_CHECKS)?,
            alert: metadata_list(&builder, metadata::ALERT)?,
        })
    }
}

/// Returns the list that the file's metadata has under `name`; empty for a file from before that
/// name was added.
fn metadata_list<T: DeserializeOwned>(
    file: &ParquetRecordBatchReaderBuilder<Bytes>,
    name: &str,
) -> Result<Vec<T>, ParquetError> {
    let pairs = file.metadata().file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
    let pair = pairs.iter().find(|pair| pair.key.strip_prefix(PREFIX) == Some(name));
    match pair.and_then(|pair| pair.value.as_deref()) {
        Some(json) => {
            serde_json::from_str(json).map_err(|error| ParquetError::External(Box::new(error)))
        }
        None => Ok(Vec::new()),
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, ParquetError> {
    serde_json::to_string(value).map_err(|error| ParquetError::External(Box::new(error)))
}

/// Returns the warehouse columns of rows with this schema.
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

/// Returns the file of `gold` as committed by `job`. The same rows and job give the same bytes.
pub fn encode(gold: &Gold, job: &JobDocument) -> Result<Bytes, ParquetError> {
    let rows = &gold.rows;
    let pairs = [
        (metadata::VERSION, job.output.version.to_string()),
        (metadata::INPUTS, job.output.inputs_digest.clone()),
        (metadata::JOB, job.id.clone()),
        (metadata::ROWS, rows.num_rows().to_string()),
        (metadata::DIRTIED, json(&gold.dirtied)?),
        (metadata::FAILED_CHECKS, json(&gold.failed_checks)?),
        (metadata::WITHHELD, json(&Withheld::of(&gold.failed_checks))?),
        (metadata::ALERT, json(&gold.alert)?),
    ];
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| KeyValue::new(format!("{PREFIX}{name}"), value))
        .collect();
    let mut properties = WriterProperties::builder()
        // Gold is written once and read often.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_key_value_metadata(Some(pairs));
    if let Partition::Bucket(_) = job.partition.value {
        properties = properties.set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    }
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), Some(properties.build()))?;
    writer.write(rows)?;
    writer.close()?;
    Ok(file.into())
}
