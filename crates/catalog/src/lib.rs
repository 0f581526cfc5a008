//! The tables of the lake for queries in place: databases, tables, columns and partitions.
//!
//! One description for Athena, Spark and Lake Formation, derived from the contracts and models that
//! the pipeline runs. Terraform makes the Glue Data Catalog of it. [`dictionary`] prints it for
//! people.

mod derive;
mod dictionary;
mod envelopes;
mod table;

pub use derive::{CatalogError, catalog};
pub use dictionary::dictionary;
pub use table::{Catalog, CatalogView, Format, HiveColumn, PartitionKey, Projection, Table};
