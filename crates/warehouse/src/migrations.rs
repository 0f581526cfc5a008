//! Migrations: ordered changes of the warehouse, each applied once.

mod apply;
mod definition;

pub use apply::{Applied, MigrationError, migrate};
pub use definition::{DefinitionError, Migration};
