//! The result of conforming an input.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

/// The objects to write, and what they contain.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Silver and quarantine objects, in the order of their keys.
    pub objects: Vec<OutputObject>,
    /// The counts by dataset; `_unknown` for lines without a known dataset. For each,
    /// `received = silver_rows + quarantined`.
    pub counts: BTreeMap<String, Counts>,
    /// The first sequence number of a Kinesis batch, from which a failed batch is delivered again.
    pub first_sequence: Option<String>,
}

/// One object to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputObject {
    /// The key; computed from the input's name, never from a clock.
    pub key: String,
    /// The content: Parquet, or gzipped NDJSON.
    pub bytes: Bytes,
    /// The shops of the rows that a stream delivered into a day, for the limit on old days. Empty
    /// if the limit does not apply, as to rows of a connector, a replay or a backfill, or if there
    /// are more than a few shops.
    pub shops: Vec<String>,
}

/// The counts of a dataset's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines in the input (for the dataset of an array: items).
    pub received: u64,
    /// Rows in silver objects, duplicates included.
    pub silver_rows: u64,
    /// Lines in quarantine objects.
    pub quarantined: u64,
    /// The size of the silver objects.
    pub bytes: u64,
}

/// Why an input can't be conformed. A single line is never the cause: it is quarantined.
#[derive(Debug, thiserror::Error)]
pub enum ConformError {
    /// The invocation's payload is not a Kinesis event.
    #[error("expected a Kinesis event as Lambda delivers it, {0}; check the event source mapping")]
    NotAnEvent(String),
    /// Parquet could not be written.
    #[error("could not write the Parquet object of {dataset:?}: {source}")]
    Parquet {
        /// The dataset.
        dataset: String,
        /// The library's error.
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
