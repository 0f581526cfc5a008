//! The files of the repository.

use std::path::{Path, PathBuf};

use shoplake_contracts::Contracts;
#[cfg(feature = "lake")]
use shoplake_models::Models;

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the text of a file, which a path from the root of the repository names.
///
/// # Panics
/// When the file is not readable.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{path} is not readable: {error}"))
}

/// Returns the JSON Schema of a dataset.
///
/// # Panics
/// When the dataset does not exist.
pub fn schema(dataset: &str) -> String {
    read(&format!("crates/contracts/schemas/{dataset}.json"))
}

/// Returns the contracts of the repository.
pub fn contracts() -> Contracts {
    Contracts::load(&repository().join("crates/contracts/schemas")).unwrap()
}

/// Returns the contracts and models of the repository.
#[cfg(feature = "lake")]
pub fn definitions() -> (Contracts, Models) {
    let contracts = contracts();
    let models = Models::load(&repository().join("glue-sql"), &contracts).unwrap();
    (contracts, models)
}
