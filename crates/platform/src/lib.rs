//! What every function and connector needs besides its own logic: configuration, logs, metrics, the
//! time, and errors that tell a caller whether to retry.

pub mod clock;
pub mod config;
pub mod failure;
pub mod metrics;
pub mod telemetry;
