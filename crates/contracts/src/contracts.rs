//! All datasets of an installation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::compile;
use crate::contract::Contract;

/// A schema that cannot be a contract. Found when a function starts, or in a test; never while data
/// flows.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file or the folder could not be read.
    #[error(
        "could not read {path:?}: {source}; expected a folder of <dataset>.json schemas (see DEFINITIONS_DIR)"
    )]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no JSON.
    #[error("the schema of {dataset:?} is not JSON: {source}")]
    Json {
        /// The file's name.
        dataset: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The schema says something that no decoder can be made of.
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

/// The contracts by dataset, children of arrays included.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    by_dataset: BTreeMap<String, Contract>,
}

impl Contracts {
    /// Compiles every `<dataset>.json` of a folder.
    ///
    /// # Errors
    /// When the folder cannot be read or a schema is not one.
    pub fn load(folder: &Path) -> Result<Self, ContractError> {
        let read_error = |source| ContractError::Read { path: folder.to_owned(), source };
        let mut sources = Vec::new();
        for entry in fs::read_dir(folder).map_err(read_error)? {
            let path = entry.map_err(read_error)?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(dataset) = path.file_stem().and_then(|stem| stem.to_str())
            {
                let schema = fs::read_to_string(&path)
                    .map_err(|source| ContractError::Read { path: path.clone(), source })?;
                sources.push((dataset.to_owned(), schema));
            }
        }
        Self::from_sources(sources)
    }

    /// Compiles schemas given as (dataset, text).
    ///
    /// # Errors
    /// When a schema is not one, or two of them make the same dataset.
    pub fn from_sources(
        sources: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Result<Self, ContractError> {
        let mut by_dataset = BTreeMap::new();
        for (dataset, schema) in sources {
            let dataset = dataset.as_ref();
            for contract in compile::compile(dataset, schema.as_ref())? {
                if let Some(twin) = by_dataset.insert(contract.dataset.clone(), contract) {
                    return Err(ContractError::Schema {
                        dataset: dataset.to_owned(),
                        at: String::new(),
                        problem: format!(
                            "the dataset {:?} is declared twice; rename one of them",
                            twin.dataset
                        ),
                    });
                }
            }
        }
        Ok(Self { by_dataset })
    }

    /// The contract of a dataset.
    pub fn get(&self, dataset: &str) -> Option<&Contract> {
        self.by_dataset.get(dataset)
    }

    /// All contracts, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Contract> {
        self.by_dataset.values()
    }
}
