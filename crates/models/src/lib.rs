//! What the SQL models under `glue-sql/` say: which tables exist, what each is computed from, and
//! what has to be computed again when something changes. Pure but for [`Models::load`]: listings go
//! in, job documents come out.

mod dataset;
mod definition;
mod header;
mod models;
mod plan;
mod query;
mod reference;
mod render;
#[cfg(test)]
mod testing;

pub use definition::{DefinitionError, Reason};
pub use models::{Check, InputPrefix, InputRange, Model, Models};
pub use plan::{GoldHead, GoldHeadError, Listing, Plan};
pub use query::QueryError;
pub use reference::{ReferenceError, ReferenceTable, References};
