//! Takes hourly snapshots of a shop's stock from its inventory API to the stream of its source.

mod hours;
mod snapshots;

pub use hours::{Hour, Hours};
pub use snapshots::Snapshots;
