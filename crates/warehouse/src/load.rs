//! Copies a partition of gold to its table in the warehouse.

mod copy;
mod loader;
mod record;

use shoplake_jobs::{ColumnType, Partition};

use crate::{Identifier, Recorded, TableName, UnsafeLiteral, WarehouseError};

pub use copy::PartitionCopy;
pub use loader::Loader;
pub use record::{LoadRecord, all_load_records, load_records};

/// The result of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Whether the rows were copied.
    pub outcome: LoadOutcome,
    /// The rows of the partition in the warehouse.
    pub rows: u64,
    /// Whether the results of its checks were recorded.
    pub checks: Recorded,
}

/// Whether a copy replaced the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadOutcome {
    /// The rows of the partition were replaced.
    Loaded,
    /// The warehouse had this commit already.
    AlreadyLoaded,
    /// The warehouse had a newer commit already.
    Superseded,
}

/// Why a partition was not copied.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A transaction failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// A value does not fit into the table.
    #[error(
        "{model} {partition} does not fit into {table}: {source}; correct the row at its source or \
         widen the column in the model, then compute the partition again (backfill), which loads it"
    )]
    Data {
        /// The model.
        model: String,
        /// The partition.
        partition: Partition,
        /// The table.
        table: TableName,
        /// The error of the database.
        source: Box<WarehouseError>,
    },
    /// The type of a column is not the one in its table.
    #[error(
        "column {column} of {table} is {actual} in the warehouse, but the model now gives \
         {expected}: rename the column in the model, or migrate the table first"
    )]
    TypeChanged {
        /// The table.
        table: TableName,
        /// The column.
        column: Identifier,
        /// The type in the model.
        expected: ColumnType,
        /// The type in the table.
        actual: String,
    },
    /// The URI of the gold object or the role is not a safe literal.
    #[error(transparent)]
    Literal(#[from] UnsafeLiteral),
    /// The version is 0, but commits are numbered from 1.
    #[error("invalid version 0 of {model} {partition}: expected 1 or more")]
    NoVersion {
        /// The model.
        model: String,
        /// The partition.
        partition: Partition,
    },
    /// The row of the partition in `shoplake.loads` was deleted.
    #[error(
        "shoplake.loads has no row for {model} {partition}, which was just inserted: it was \
         deleted, run the load again"
    )]
    NotRegistered {
        /// The model.
        model: String,
        /// The partition.
        partition: Partition,
    },
}

impl LoadError {
    /// Returns the error with the partition, if the warehouse refused a value.
    fn of(self, copy: &PartitionCopy) -> Self {
        match self {
            Self::Warehouse(source) if source.is_data_error() => Self::Data {
                model: copy.model.clone(),
                partition: copy.partition,
                table: copy.table.clone(),
                source: Box::new(source),
            },
            other => other,
        }
    }

    /// Whether the same load would fail again.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Data { .. }
            | Self::TypeChanged { .. }
            | Self::Literal(_)
            | Self::NoVersion { .. } => true,
            Self::Warehouse(error) => error.is_data_error(),
            Self::NotRegistered { .. } => false,
        }
    }
}
