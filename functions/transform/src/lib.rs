//! The transform function: runs one job document and commits its rows to gold.
//!
//! The library has no Lambda events, so that the simulation runs the same commit protocol.

mod error;
mod handler;
#[cfg(test)]
mod tests;

pub use error::TransformError;
pub use handler::{Request, Transform};
