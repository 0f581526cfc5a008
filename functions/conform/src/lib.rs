//! The conform function: Kinesis batches and bronze objects in, silver and quarantine objects out.
//!
//! A library as well, so that the simulation runs the same code.

mod handler;
#[cfg(test)]
mod tests;

pub use handler::{Answer, BatchItemFailure, Conform, LAYOUT};
