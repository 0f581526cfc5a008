//! Errors in schemas.

use std::path::PathBuf;

/// Why a schema is not a contract. Found when a function starts, or in a test; never while data
/// flows.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file or the folder could not be read.
    #[error(
        "could not read {path:?}: {source}; expected a folder of <dataset>.json schemas (see \
         DEFINITIONS_DIR)"
    )]
    Read {
        /// The file or the folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("the schema of {dataset:?} is not JSON: {source}")]
    Json {
        /// The file's name.
        dataset: String,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The schema has something that no decoder can be made of.
    #[error("the schema of {dataset:?} at {at:?}: {problem}")]
    Schema {
        /// The file's name.
        dataset: String,
        /// A JSON pointer.
        at: String,
        /// What was found, what was expected.
        problem: String,
    },
}
