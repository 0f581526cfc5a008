//! What every function and connector needs around its own logic: configuration, logs, metrics, AWS
//! clients, the stream that events are put to, the topics that alerts are published to, the list of
//! shops and their secrets.
//!
//! Every port has an implementation in memory, so that code which depends on one is tested without
//! a cloud.

pub mod aws;
pub mod clock;
pub mod config;
pub mod failure;
pub mod metrics;
pub mod secrets;
pub mod shops;
pub mod stream;
pub mod telemetry;
pub mod topic;
