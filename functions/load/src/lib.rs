//! The load function: copies a committed gold partition to its table in the warehouse, and records
//! the results of the job's checks.

mod handler;

pub use handler::{CheckResponse, CopyResponse, Load, Response};
