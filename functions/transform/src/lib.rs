//! The transform function: runs one job document and commits its rows to gold.
//!
//! A library besides the function, so that the simulation runs the very same protocol.

mod aws;
mod error;
mod handler;
mod ports;
#[cfg(test)]
mod tests;

pub use aws::{DirtyQueue, EventBridge};
pub use error::TransformError;
pub use handler::{Request, Transform};
pub use ports::{Announcer, PortError, Queue};
