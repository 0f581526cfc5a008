//! What conforming an input yields.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

/// Objects to be written, and what is in them.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Silver and quarantine objects, by key.
    pub objects: Vec<OutputObject>,
    /// Per dataset; `_unknown` for lines of no dataset. `received = silver_rows + quarantined`
    /// holds for each.
    pub counts: BTreeMap<String, Counts>,
    /// Of a Kinesis batch: its first sequence number, where a failed batch has to start again.
    pub first_sequence: Option<String>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputObject {
    /// Computed from the input's name, never from a clock.
    pub key: String,
    /// Parquet, or gzipped NDJSON.
    pub bytes: Bytes,
}

/// What happened to the lines of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines that came (for the dataset of an array: items).
    pub received: u64,
    /// Rows in silver objects, duplicates included.
    pub silver_rows: u64,
    /// Lines in quarantine objects.
    pub quarantined: u64,
    /// Size of the silver objects.
    pub bytes: u64,
}

/// The input is not what this crate is for, or a library failed. Never because of a single line:
/// those are quarantined.
#[derive(Debug, thiserror::Error)]
pub enum ConformError {
    /// The invocation's payload is no Kinesis event.
    #[error("expected a Kinesis event as Lambda delivers it, {0}; check the event source mapping")]
    NotAnEvent(String),
    /// Parquet could not be written.
    #[error("could not write the Parquet object of {dataset:?}: {source}")]
    Parquet {
        /// The dataset.
        dataset: String,
        /// What the library said.
        source: parquet::errors::ParquetError,
    },
    /// A quarantine record could not be written.
    #[error("could not write a quarantine record: {0}")]
    Quarantine(#[from] std::io::Error),
}

impl From<arrow::error::ArrowError> for ConformError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Parquet { dataset: String::new(), source: error.into() }
    }
}
