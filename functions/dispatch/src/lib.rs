//! The dispatch function: dirty partitions in, state machine executions out.
//!
//! A library besides the function, so that the simulation decides what to compute with the very
//! same code.

mod change;
mod compute;
mod engine;
mod handler;
mod reference;
#[cfg(test)]
mod testing;

pub use engine::{Engine, Engines};
pub use handler::Dispatch;
