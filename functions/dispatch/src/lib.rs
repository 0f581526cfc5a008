//! The dispatch function: dirty partitions in, state machine executions out.
//!
//! The simulation uses this library to plan with the same code.

mod change;
mod compute;
mod engine;
mod handler;
mod old_days;
mod reference;
#[cfg(test)]
mod testing;
mod turn;

pub use engine::{Engine, Engines};
pub use handler::Dispatch;
