//! The index of the models.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shoplake_jobs::{CheckRun, Correspondence, Partition, PartitionKind};
use shoplake_lake::keys;

use crate::description::Description;
use crate::reference::{ReferenceTable, References};

/// All models, views and reference tables of a package. The packaging writes it as `models.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIndex {
    /// The models, each after everything that it reads.
    pub models: Vec<IndexedModel>,
    /// The views of the marts.
    pub views: Vec<IndexedView>,
    /// The reference tables by name, with their packaged rows.
    pub references: References,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedModel {
    /// Its name.
    pub name: String,
    /// Its partition column.
    pub partition: String,
    /// How it is partitioned.
    pub kind: PartitionKind,
    /// The datasets and models that it and its checks read.
    pub inputs: Vec<IndexedInput>,
    /// The names of those of which its own partition has to have an object, so that it is not
    /// empty.
    pub first: Vec<String>,
    /// The shortest time between two computations of a partition.
    pub every_seconds: u32,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The warehouse table that shows it, as `schema.table`; none if it only serves other models.
    pub warehouse: Option<String>,
    /// Its checks.
    pub checks: Vec<CheckRun>,
    /// The reference tables that it or its checks read.
    pub references: Vec<String>,
    /// What one row is, in words.
    pub grain: Description,
    /// Descriptions of its columns, by name.
    pub columns: BTreeMap<String, Description>,
}

/// A view of a mart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedView {
    /// Its name in the warehouse, as `schema.view`.
    pub warehouse: String,
    /// Its query in the SQL of Redshift.
    pub sql: String,
}

/// A dataset or a model that a model reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedInput {
    /// Its name: `silver.<dataset>`, `gold.<model>`.
    pub name: String,
    /// How it is partitioned.
    pub kind: PartitionKind,
    /// How its partitions correspond to those of the model.
    pub correspondence: Correspondence,
}

/// An index of the models that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {reason}; write it with `shoplake catalog --models`", .file.display())]
pub struct IndexError {
    /// The file.
    pub file: PathBuf,
    /// Why it cannot be read.
    pub reason: String,
}

impl ModelIndex {
    /// Reads the index of a package, `models.json`.
    ///
    /// # Errors
    /// When the file is missing or not an index.
    pub fn read(file: &Path) -> Result<Self, IndexError> {
        let invalid =
            |error: &dyn Display| IndexError { file: file.to_owned(), reason: error.to_string() };
        let json = fs::read(file).map_err(|error| invalid(&error))?;
        serde_json::from_slice(&json).map_err(|error| invalid(&error))
    }

    /// Returns the model called `name`.
    pub fn get(&self, name: &str) -> Option<&IndexedModel> {
        self.models.iter().find(|model| model.name == name)
    }

    /// Returns the reference table called `name`, with its packaged rows.
    pub fn reference(&self, name: &str) -> Option<&ReferenceTable> {
        self.references.get(name)
    }

    /// Returns the models that read the reference table called `name`, or whose checks do.
    pub fn readers_of_reference(&self, name: &str) -> impl Iterator<Item = &IndexedModel> {
        self.models.iter().filter(move |model| model.references.iter().any(|read| read == name))
    }
}

impl IndexedModel {
    /// Returns the partitions that are computed from the partition `changed` of `input`. By column
    /// there are none: see [`Correspondence::dirtied_by`].
    pub fn dirtied_by(&self, input: &IndexedInput, changed: Partition) -> Vec<Partition> {
        input.correspondence.dirtied_by(changed, input.kind, self.kind)
    }

    /// Returns the key of the object that holds `partition`.
    pub fn output_key(&self, partition: Partition) -> String {
        keys::gold(&self.name, &self.partition, partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_index_is_an_error_that_says_how_to_write_it() {
        let error = ModelIndex::read(Path::new("none/models.json")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read none/models.json: "), "{error}");
        assert!(error.ends_with("write it with `shoplake catalog --models`"), "{error}");
    }
}
