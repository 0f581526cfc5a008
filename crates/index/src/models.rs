//! The index of the models.

use serde::{Deserialize, Serialize};
use shoplake_jobs::{CheckRun, Partition};
use shoplake_lake::keys;

use crate::reference::{ReferenceTable, References};

/// All models and reference tables of a package. The packaging writes it as `models.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIndex {
    /// The models, each after everything that it reads.
    pub models: Vec<IndexedModel>,
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
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The warehouse table that shows it, as `schema.table`; none if it only serves other models.
    pub warehouse: Option<String>,
    /// Its checks.
    pub checks: Vec<CheckRun>,
    /// The reference tables that it or its checks read.
    pub references: Vec<String>,
}

impl ModelIndex {
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
    /// Returns the key of the object that holds `partition`.
    pub fn output_key(&self, partition: Partition) -> String {
        keys::gold(&self.name, &self.partition, partition)
    }
}
