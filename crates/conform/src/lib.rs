//! From envelope lines to silver Parquet, and to quarantine what cannot be silver. Pure: the same
//! input gives the same objects, byte for byte and under the same keys, so that a retry overwrites
//! itself.

mod bronze;
mod conformer;
mod envelope;
mod kinesis;
mod outcome;
mod quarantine;
mod sort;
mod table;

pub use conformer::{Conformer, Layout};
pub use outcome::{ConformError, Counts, Outcome, OutputObject};
