//! What can go wrong with a job, said in the words of its model.

use datafusion::error::DataFusionError;
use shoplake_lake::StoreError;

/// A job that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An object of the job's listing is no longer there.
    #[error(
        "{table}: the object {key} is gone since the job was planned; plan the partition again from a new listing"
    )]
    MissingObject {
        /// The input, such as `silver.pos_sales`.
        table: String,
        /// The object.
        key: String,
    },
    /// An object that cannot be read as Parquet.
    #[error(
        "{table}: the object {key} is no Parquet file that can be read ({cause}); write it again from its input"
    )]
    Unreadable {
        /// The input.
        table: String,
        /// The object.
        key: String,
        /// What the reader said.
        cause: String,
    },
    /// An object whose column has another type than its table.
    #[error(
        "{table}: the object {key} has the column {column:?} as {actual}, expected {expected}; a contract changes only by adding optional fields, so write the object again"
    )]
    ColumnType {
        /// The input.
        table: String,
        /// The object.
        key: String,
        /// The column.
        column: String,
        /// What the table says.
        expected: String,
        /// What the object has.
        actual: String,
    },
    /// An object that lacks a column which must not be null.
    #[error(
        "{table}: the object {key} lacks the column {column:?}, which must not be null; only optional columns may be missing in older objects"
    )]
    MissingColumn {
        /// The input.
        table: String,
        /// The object.
        key: String,
        /// The column.
        column: String,
    },
    /// SQL that does not run.
    #[error("model {model}, {what}: {cause}")]
    Sql {
        /// The model.
        model: String,
        /// Which of its queries.
        what: String,
        /// What DataFusion said.
        cause: Box<DataFusionError>,
    },
    /// More memory would be needed.
    #[error(
        "model {model}, {what}: the job does not fit into its memory ({cause}); give the function more, or send the model to Spark"
    )]
    Memory {
        /// The model.
        model: String,
        /// Which of its queries.
        what: String,
        /// What DataFusion said.
        cause: Box<DataFusionError>,
    },
    /// A column of the result that no other engine would understand.
    #[error(
        "model {model}: the column {column:?} is a {actual}, expected string, bigint, double, boolean, date, timestamp or decimal; cast it in the model's last `select`"
    )]
    OutputType {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// Its type in DataFusion.
        actual: String,
    },
    /// A column that the job names and the result lacks.
    #[error("model {model}: the query does not return the column {column:?} that its {what} names")]
    OutputColumn {
        /// The model.
        model: String,
        /// The column.
        column: String,
        /// `key`, `sort` or `partition`.
        what: &'static str,
    },
    /// The lake did not answer.
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

    /// Whether trying the same job again could end otherwise.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(_) | Self::MissingObject { .. })
    }
}
