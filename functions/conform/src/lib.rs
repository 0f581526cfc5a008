//! The conform function: Kinesis batches and bronze objects in, silver and quarantine objects out.
//!
//! A library besides the function, so that the simulation conforms with the very same code.

mod handler;
#[cfg(test)]
mod simulator;

pub use handler::{Answer, BatchItemFailure, Conform, LAYOUT};
