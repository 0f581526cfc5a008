//! The transform function: runs one job document and commits its rows to gold.
//!
//! A library besides the function, so that the simulation runs the very same protocol.

mod error;
mod handler;
#[cfg(test)]
mod tests;

pub use error::TransformError;
pub use handler::{Request, Transform};
