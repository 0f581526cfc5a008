//! Fixtures that tests of several crates share. Only dev-dependencies use this crate.
#![allow(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod envelopes;
#[cfg(feature = "lake")]
mod lake;
mod repository;
pub mod standard_webhooks;
pub mod visits;

pub use envelopes::{STREAM, envelope, kinesis_event, page_view};
#[cfg(feature = "lake")]
pub use lake::{Lake, Row, row, sale, texts};
#[cfg(feature = "lake")]
pub use repository::definitions;
pub use repository::{contracts, read, repository, schema};
