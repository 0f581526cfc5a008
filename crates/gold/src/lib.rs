//! The objects of gold: each is one partition of a model, a Parquet file with the metadata of its
//! commit.

mod commit;
mod file;
mod types;

pub use commit::{UnreadableCommit, committed};
pub use file::{Footer, Gold, columns, encode};
pub use types::portable;
