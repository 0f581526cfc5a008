//! What the lake's tables look like to whoever queries them in place: databases, tables, columns,
//! partitions.
//!
//! One description for Athena, Spark and Lake Formation, derived from what the pipeline itself runs
//! on: contracts and models. Terraform makes the Glue Data Catalog of it.

mod derive;
mod envelopes;
mod table;

pub use derive::{CatalogError, catalog};
pub use table::{Catalog, Column, Format, PartitionKey, Projection, Table};
