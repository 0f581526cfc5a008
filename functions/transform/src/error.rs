//! Errors of the function, and whether a retry may succeed.

use lambda_runtime::Diagnostic;
use parquet::errors::ParquetError;
use shoplake_aws::PortError;
use shoplake_engine::EngineError;
use shoplake_jobs::JOB_VERSION;
use shoplake_lake::StoreError;
use shoplake_platform::failure::Failure;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// The request names a document that does not exist.
    #[error("no job document {0:?} in the lake; plan the partition again")]
    NoJob(String),
    /// The document does not parse.
    #[error(
        "cannot read the job document {key:?}: {cause}; another version wrote it, so plan the \
         partition again"
    )]
    UnreadableJob {
        /// Its key.
        key: String,
        /// The parser's error.
        cause: serde_json::Error,
    },
    /// The document has another version.
    #[error(
        "the job document {key:?} has version {version}, expected {JOB_VERSION}; plan the \
         partition again"
    )]
    JobVersion {
        /// Its key.
        key: String,
        /// Its version.
        version: u32,
    },
    /// The gold object was not written by a job.
    #[error("cannot read the gold object {key:?}: {cause}; delete it and backfill its partition")]
    UnreadableGold {
        /// Its key.
        key: String,
        /// The Parquet library's error.
        cause: ParquetError,
    },
    /// The new rows cannot be encoded.
    #[error("cannot write the rows of {model} as Parquet: {cause}")]
    Encode {
        /// The model.
        model: String,
        /// The Parquet library's error.
        cause: ParquetError,
    },
    /// The engine failed.
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
    /// Returns whether a retry of the same job may succeed.
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
