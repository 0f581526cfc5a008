//! Migrations: ordered changes of the warehouse, each applied once, and the views of the marts.

mod apply;
mod definition;
mod views;

pub use apply::{Applied, MigrationError, migrate};
pub use definition::{DefinitionError, Migration};
pub use views::{ReplacedViews, replace_views};
