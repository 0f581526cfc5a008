//! What operators do with an installation, as typed [requests](Request) and
//! [responses](response::Response): shops and their secrets, backfills, reloads, reference tables,
//! redrives, freshness and the migrations of the warehouse.
//!
//! The control function serves them; the command line and other programs build requests and read
//! responses with the same types.

mod backfill;
mod days;
mod failure;
mod freshness;
mod operations;
mod redrive;
mod references;
mod reload;
mod request;
pub mod response;
mod secret;
mod shop_list;
mod shops;
#[cfg(test)]
mod testing;

pub use freshness::Freshness;
pub use operations::Operations;
pub use redrive::Redrive;
pub use request::{FailedQueue, RedriveTarget, Request};
