//! Errors, and which of them are worth another attempt.

use lambda_runtime::Diagnostic;
use parquet::errors::ParquetError;
use shoplake_aws::PortError;
use shoplake_engine::EngineError;
use shoplake_jobs::JOB_VERSION;
use shoplake_lake::StoreError;
use shoplake_platform::failure::Failure;

/// A job that neither was run nor is anybody else's turn.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// The request names no document.
    #[error("there is no job document {0:?} in the lake; plan the partition again")]
    NoJob(String),
    /// The document is not what this version understands.
    #[error(
        "the job document {key:?} cannot be read: {cause}; it was written by another version, so plan the partition again"
    )]
    UnreadableJob {
        /// Where it is.
        key: String,
        /// What the parser said.
        cause: serde_json::Error,
    },
    /// The document says that it is of another version.
    #[error(
        "the job document {key:?} has version {version}, expected {JOB_VERSION}; plan the partition again"
    )]
    JobVersion {
        /// Where it is.
        key: String,
        /// Its version.
        version: u32,
    },
    /// What is in gold was not written by a job.
    #[error(
        "the gold object {key:?} cannot be read: {cause}; delete it and mark its partition dirty"
    )]
    UnreadableGold {
        /// Where it is.
        key: String,
        /// What the Parquet library said.
        cause: ParquetError,
    },
    /// The new rows cannot be written.
    #[error("the rows of {model} cannot be written as Parquet: {cause}")]
    Encode {
        /// Whose rows.
        model: String,
        /// What the Parquet library said.
        cause: ParquetError,
    },
    /// The engine could not run the job.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl TransformError {
    /// Whether the same job could end otherwise if it is tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(_) | Self::Port(_) => true,
            Self::Engine(error) => error.is_retryable(),
            Self::NoJob(_)
            | Self::UnreadableJob { .. }
            | Self::JobVersion { .. }
            | Self::UnreadableGold { .. }
            | Self::Encode { .. } => false,
        }
    }
}

impl From<TransformError> for Diagnostic {
    fn from(error: TransformError) -> Self {
        let failure = if error.is_retryable() {
            Failure::retryable(&error)
        } else {
            Failure::permanent(&error)
        };
        Self { error_type: failure.error_type().to_owned(), error_message: failure.to_string() }
    }
}
