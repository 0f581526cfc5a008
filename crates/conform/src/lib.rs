//! From envelope lines to silver Parquet, and to quarantine for lines that can't be silver. Pure:
//! the same input gives the same objects, byte for byte and under the same keys, so that a retry
//! overwrites its own objects.

mod bronze;
mod conformer;
mod envelope;
mod kinesis;
mod output;
mod quarantine;
mod sort;
mod table;

pub use conformer::{Conformer, Layout};
pub use output::{ConformError, Counts, Output, OutputObject};
