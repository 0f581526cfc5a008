//! Runs a job document with DataFusion: reads its objects, runs its SQL and its checks, withholds
//! the rows of shops that fail, and compares the rows with the last commit.
//!
//! This crate commits nothing: the caller does, with an [`Output`]. So a job may run any number of
//! times.

mod cache;
mod checks;
mod compute;
mod difference;
mod error;
mod fetch;
mod functions;
mod inputs;
mod rows;
mod run;
mod session;
mod shops;
mod types;

pub use cache::Cache;
pub use compute::DataFusion;
pub use error::EngineError;
pub use inputs::Arrival;
pub use run::{Computed, Engine, Output, run};
pub use session::Limits;
pub use shoplake_gold::{self as gold, Gold};
