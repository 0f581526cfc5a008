//! The SQL models below `glue-sql/`: which tables exist, what each is computed from, and what is
//! computed again after a change. Pure except for [`Models::load`]: listings go in, job documents
//! come out.

mod checks;
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
mod view;

pub use definition::{DefinitionError, Reason};
pub use models::{Check, InputRange, Model, Models};
pub use plan::{Listing, Plan};
pub use query::QueryError;
pub use shoplake_index::{
    Description, GoldHead, GoldHeadError, ReferenceError, ReferenceTable, References,
};
pub use view::MartView;
