//! The notify function: notifies people of the new rows of a gold partition, of each once.

mod claim;
mod episode;
mod handler;
mod message;
mod partitions;
mod progress;
mod rows;
#[cfg(test)]
mod tests;

pub use handler::{Notify, NotifyPolicy, Response};
