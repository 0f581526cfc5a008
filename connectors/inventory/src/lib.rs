//! Takes hourly snapshots of a shop's stock from its inventory API to the stream of its source.

mod hours;
mod level;
mod snapshots;

pub use hours::{Hour, Hours};
pub use level::describe;
pub use snapshots::Snapshots;
