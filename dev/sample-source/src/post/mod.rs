//! Systems that post events to the webhook: planning requests, sending them, counting answers.

mod invalid;
mod plan;
mod sender;
mod signature;
mod summary;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;

pub(crate) use invalid::{Corruption, corrupt};
pub use plan::{Plan, Planned, Purpose, Request};
pub use sender::{Sender, Target};
pub use signature::Secret;
pub use summary::Summary;

/// A system that posts the events of one day.
pub trait EventSource {
    /// The dataset that it posts to.
    const DATASET: &'static str;

    /// The type of its events.
    type Event: Serialize;

    /// Returns the seed; the same seed gives the same events.
    fn seed(&self) -> u64;

    /// Returns the day of most of the events.
    fn day(&self) -> NaiveDate;

    /// Returns the new events, in the order in which they are sent.
    fn events(&self) -> Box<dyn Iterator<Item = Self::Event> + Send>;

    /// Returns when an event happened.
    fn occurred_at(event: &Self::Event) -> DateTime<Utc>;

    /// Returns the events of the `number`-th request, which must be refused: the first event is
    /// invalid, and the others are refused with it. No other request has any of them.
    ///
    /// # Errors
    /// When an event cannot be written as JSON.
    fn invalid_events(&self, number: u64) -> anyhow::Result<Vec<Value>>;
}

/// Serializes a time in microseconds.
pub(crate) fn rfc3339<S: serde::Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}
