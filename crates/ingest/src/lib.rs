//! From the events of an authenticated sender to receipts: checks the events against their
//! dataset's contract, wraps them into envelopes and puts those on a stream. Without HTTP and
//! without signatures, so that every way of receiving events shares one path.

mod accepted_ids;
mod copies;
mod envelopes;
mod events;
mod ingest;
mod partition_limit;
pub mod quote;
mod rejection;
mod request;
#[cfg(test)]
mod tests;
mod validation;

pub use accepted_ids::{ID_LIFETIME, ReusedId};
pub use events::{BodyError, MAX_EVENTS};
pub use ingest::{Dataset, Ingest};
pub use partition_limit::{DEFAULT_LIMIT, TooManyPartitions};
pub use rejection::{EventError, Receipt, Rejection, StreamFailure};
pub use request::AuthenticatedRequest;
