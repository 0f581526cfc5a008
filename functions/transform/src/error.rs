//! Errors, and which of them are worth another attempt.

use lambda_runtime::Diagnostic;
use parquet::errors::ParquetError;
use shoplake_engine::EngineError;
use shoplake_lake::StoreError;
use shoplake_models::job::JOB_VERSION;
use shoplake_platform::failure::Failure;

use crate::ports::PortError;

/// A job that neither was run nor is anybody else's turn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransformError {
    #[error("there is no job document {0:?} in the lake; plan the partition again")]
    NoJob(String),
    #[error(
        "the job document {key:?} cannot be read: {cause}; it was written by another version, so plan the partition again"
    )]
    UnreadableJob { key: String, cause: serde_json::Error },
    #[error(
        "the job document {key:?} has version {version}, expected {JOB_VERSION}; plan the partition again"
    )]
    JobVersion { key: String, version: u32 },
    #[error("the gold object {key:?} cannot be read: {cause}; delete it and mark its partition dirty")]
    UnreadableGold { key: String, cause: ParquetError },
    #[error("the rows of {model} cannot be written as Parquet: {cause}")]
    Encode { model: String, cause: ParquetError },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Port(#[from] PortError),
}

impl TransformError {
    /// Whether the same job could end otherwise if it is tried again.
    pub(crate) fn is_retryable(&self) -> bool {
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
        let failure =
            if error.is_retryable() { Failure::retryable(&error) } else { Failure::permanent(&error) };
        Self { error_type: failure.error_type().to_owned(), error_message: failure.to_string() }
    }
}
