//! All datasets of a deployment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shoplake_jobs::ColumnType;

use crate::compile;
use crate::contract::Contract;
use crate::error::ContractError;

/// The contracts by dataset, including those of arrays.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    by_dataset: BTreeMap<String, Contract>,
}

impl Contracts {
    /// The dataset of control totals: what a connector says that it sent.
    pub const CONTROL_TOTALS: &'static str = "control_totals";

    /// Compiles every `<dataset>.json` of a folder.
    ///
    /// # Errors
    ///
    /// If the folder can't be read, or a schema is not a contract.
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
        let contracts = Self::from_sources(sources)?;
        contracts.check_parents(true)?;
        Ok(contracts)
    }

    /// Compiles schemas given as (dataset, text).
    ///
    /// # Errors
    ///
    /// If a schema is not a contract, or two of them declare the same dataset.
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
        let contracts = Self { by_dataset };
        contracts.check_parents(false)?;
        contracts.check_totals()?;
        Ok(contracts)
    }

    /// Checks that rows are found together with the parents that they belong to. `is_complete` says
    /// whether every parent has to be there.
    fn check_parents(&self, is_complete: bool) -> Result<(), ContractError> {
        for contract in self.iter() {
            let Some(declared) = &contract.belongs_to else { continue };
            let problem = match self.get(&declared.dataset) {
                None if is_complete => "there is no such dataset",
                None => continue,
                Some(parent) if parent.belongs_to.is_some() => {
                    "a parent must not belong to a parent itself"
                }
                Some(parent) if parent.key != declared.key => {
                    "expected the whole key of the parent"
                }
                Some(parent)
                    if declared.version.is_some() && parent.version != declared.version =>
                {
                    "expected the version of the parent, which the rows have as well"
                }
                Some(parent) if parent.partition != contract.partition => {
                    "expected the partition of the parent, so that both are read together"
                }
                Some(_) => continue,
            };
            return Err(ContractError::Schema {
                dataset: contract.dataset.clone(),
                at: "/x-dataset/parent".to_owned(),
                problem: format!("{:?}: {problem}", declared.dataset),
            });
        }
        Ok(())
    }

    /// Checks that control totals have what the rows of batches are compared with.
    fn check_totals(&self) -> Result<(), ContractError> {
        let Some(totals) = self.get(Self::CONTROL_TOTALS) else { return Ok(()) };
        let is_number = |name: &str| {
            totals.columns.iter().any(|column| {
                column.name == name && column.column_type == ColumnType::Bigint && !column.nullable
            })
        };
        for contract in self.iter() {
            let Some(complete) = &contract.complete else { continue };
            let named = [Some(&complete.count), complete.sum.as_ref().map(|sum| &sum.total)];
            if let Some(name) = named.into_iter().flatten().find(|name| !is_number(name)) {
                return Err(ContractError::Schema {
                    dataset: contract.dataset.clone(),
                    at: "/x-dataset/complete".to_owned(),
                    problem: format!(
                        "{name:?} is not a required integer of {}",
                        Self::CONTROL_TOTALS
                    ),
                });
            }
        }
        Ok(())
    }

    /// Returns the contract of a dataset.
    pub fn get(&self, dataset: &str) -> Option<&Contract> {
        self.by_dataset.get(dataset)
    }

    /// Returns all contracts, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Contract> {
        self.by_dataset.values()
    }
}
