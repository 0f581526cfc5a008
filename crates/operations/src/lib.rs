//! What operators do with an installation, as typed [requests](Request) and
//! [responses](response::Response): shops and their secrets, backfills, reloads, reference tables,
//! redrives, freshness, sweeps and the migrations of the warehouse.
//!
//! The control function serves them; the command line and other programs build requests and read
//! responses with the same types.

mod alerts;
mod backfill;
mod failure;
mod failures;
mod freshness;
mod incomplete;
mod operations;
mod partitions;
mod redrive;
mod references;
mod reload;
mod request;
pub mod response;
mod secret;
mod shop_list;
mod shops;
mod sweep;
#[cfg(test)]
mod testing;

pub use alerts::send as send_alert;
pub use failures::record as record_failure;
pub use freshness::Freshness;
pub use operations::Operations;
pub use redrive::Redrive;
pub use request::{FailedQueue, RedriveTarget, Request};
pub use sweep::Sweep;
