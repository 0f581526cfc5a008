//! Brings a partition of gold to its table in the warehouse.

mod copy;
mod loader;

use shoplake_jobs::ColumnType;

use crate::{Identifier, Recorded, TableName, UnsafeLiteral, WarehouseError};

pub use copy::{ColumnValue, PartitionCopy};
pub use loader::Loader;

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Whether the rows were brought in.
    pub outcome: Outcome,
    /// How many rows the warehouse now has for the partition.
    pub rows: u64,
    /// What became of the results of its checks.
    pub checks: Recorded,
}

/// Whether a copy's rows were brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// They replaced what was there.
    Loaded,
    /// This very version was there already.
    AlreadyLoaded,
    /// A newer version was there already.
    Superseded,
}

/// A partition could not be brought to the warehouse.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A transaction failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The rows hold a value that the table cannot.
    #[error(
        "{model} {partition} does not fit into {table}: {source}; correct the row at its source or widen the column in the model, then \
         have the day computed again (backfill), which loads it"
    )]
    Data {
        /// The model.
        model: String,
        /// The partition's value.
        partition: String,
        /// The table.
        table: TableName,
        /// What the database said.
        source: Box<WarehouseError>,
    },
    /// A column's type is not the one its table has.
    #[error(
        "column {column} of {table} is {actual} in the warehouse, but the model now gives {expected}; rename the column in the model, or \
         migrate the table first"
    )]
    TypeChanged {
        /// The table.
        table: TableName,
        /// The column.
        column: Identifier,
        /// What the model gives.
        expected: ColumnType,
        /// What the table has.
        actual: String,
    },
    /// The gold object's URI or the role cannot be rendered.
    #[error(transparent)]
    Literal(#[from] UnsafeLiteral),
    /// Commits are numbered from 1.
    #[error(
        "expected a version of 1 or more for {model} {partition}, got 0; gold commits are numbered from 1"
    )]
    NoVersion {
        /// The model.
        model: String,
        /// The partition's value.
        partition: String,
    },
    /// `shoplake.loads` lost the row that a copy relies on.
    #[error(
        "shoplake.loads has no row for {model} {partition} although one was just registered; somebody deleted it, run the load again"
    )]
    NotRegistered {
        /// The model.
        model: String,
        /// The partition's value.
        partition: String,
    },
}

impl LoadError {
    /// The same, with the place of a value that the warehouse refused.
    fn of(self, copy: &PartitionCopy) -> Self {
        match self {
            Self::Warehouse(source) if source.is_data_error() => Self::Data {
                model: copy.model.clone(),
                partition: copy.partition.value.clone(),
                table: copy.table.clone(),
                source: Box::new(source),
            },
            other => other,
        }
    }

    /// Whether running the same load again cannot help.
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
