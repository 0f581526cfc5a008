//! What every function and connector needs besides its own logic: configuration, logs, metrics, the
//! time, errors that tell a caller whether to retry, and faults of services in memory.

pub mod clock;
pub mod config;
pub mod failure;
pub mod faults;
pub mod metrics;
pub mod telemetry;
