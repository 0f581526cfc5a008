//! Why a job failed, in terms of its model.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use shoplake_lake::StoreError;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An object of the job's listing is no longer there.
    #[error(
        "{table}: the object {key} was deleted after the job was planned; plan the partition again \
         from a new listing"
    )]
    MissingObject {
        /// The input, such as `silver.pos_sales`.
        table: String,
        /// The object.
        key: String,
    },
    /// An object is not a readable Parquet file.
    #[error(
        "{table}: the object {key} is not a readable Parquet file ({cause}); write it again from \
         its input"
    )]
    Unreadable {
        /// The input.
        table: String,
        /// The object.
        key: String,
        /// The reader's error.
        cause: String,
    },
    /// An object whose column has another type than its table.
    #[error(
        "{table}: the object {key} has the column {column:?} as {actual}, expected {expected}; a \
         contract changes only by adding optional fields, so write the object again"
    )]
    ColumnType {
        /// The input.
        table: String,
        /// The object.
        key: String,
        /// The column.
        column: String,
        /// The table's type.
        expected: String,
        /// The object's type.
        actual: String,
    },
    /// An object lacks a column that must not be null.
    #[error(
        "{table}: the object {key} lacks the column {column:?}, which must not be null; only \
         optional columns may be missing in older objects"
    )]
    MissingColumn {
        /// The input.
        table: String,
        /// The object.
        key: String,
        /// The column.
        column: String,
    },
    /// A query failed.
    #[error("model {model}, {what}: {cause}")]
    Sql {
        /// The model.
        model: String,
        /// Which of its queries.
        what: String,
        /// DataFusion's error.
        cause: Box<DataFusionError>,
    },
    /// The job needs more memory.
    #[error(
        "model {model}, {what}: the job does not fit into its memory ({cause}); give the function \
         more, or send the model to Spark"
    )]
    Memory {
        /// The model.
        model: String,
        /// Which of its queries.
        what: String,
        /// DataFusion's error.
        cause: Box<DataFusionError>,
    },
    /// A column of the result does not have a portable type.
    #[error(
        "model {model}: the column {column:?} is a {actual}, expected string, bigint, double, \
         boolean, date, timestamp or decimal; cast it in the model's last `select`"
    )]
    OutputType {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// Its type in DataFusion.
        actual: String,
    },
    /// The result lacks a column that the job names.
    #[error("model {model}: the query does not return the column {column:?} that its {what} names")]
    OutputColumn {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// `key`, `sort` or `partition`.
        what: &'static str,
    },
    /// The lake failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EngineError {
    pub(crate) fn sql(
        model: &str,
        what: impl Into<String>,
        cause: impl Into<DataFusionError>,
    ) -> Self {
        let (model, what, cause) = (model.to_owned(), what.into(), Box::new(cause.into()));
        match cause.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory { model, what, cause },
            _ => Self::Sql { model, what, cause },
        }
    }

    /// Returns whether values of the inputs can cause the error, such as an overflow or a cast that
    /// fails. Other errors, such as those of planning, do not depend on the rows.
    pub(crate) fn is_of_data(&self) -> bool {
        let Self::Sql { cause, .. } = self else { return false };
        match cause.find_root() {
            DataFusionError::Execution(_) => true,
            DataFusionError::ArrowError(error, _) => matches!(
                **error,
                ArrowError::ArithmeticOverflow(_)
                    | ArrowError::CastError(_)
                    | ArrowError::ComputeError(_)
                    | ArrowError::DivideByZero
                    | ArrowError::InvalidArgumentError(_)
                    | ArrowError::ParseError(_)
            ),
            _ => false,
        }
    }

    /// Returns whether a retry of the same job may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(_) | Self::MissingObject { .. })
    }
}
