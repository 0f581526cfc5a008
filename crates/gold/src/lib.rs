//! The objects of gold: a partition of a model as a Parquet file that knows which commit it is.

mod commit;
mod file;
mod types;

pub use commit::{UnreadableCommit, committed};
pub use file::{Gold, columns, encode};
pub use types::portable;
