//! Systems that post events to the webhook: what goes into which request, and what becomes of it.

mod dirt;
mod plan;
mod sender;
mod signature;
mod summary;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;

pub(crate) use dirt::{Spoil, spoil};
pub use plan::{Plan, Planned, Purpose, Request};
pub use sender::{Sender, Target};
pub use signature::Secret;
pub use summary::Summary;

/// A system that posts the events of one day.
pub trait Feed {
    /// The dataset that it posts to.
    const DATASET: &'static str;

    /// What it posts.
    type Event: Serialize;

    /// The same seed gives the same events.
    fn seed(&self) -> u64;

    /// The day of most of the events.
    fn day(&self) -> NaiveDate;

    /// The new events, in the order in which they are sent.
    fn events(&self) -> Box<dyn Iterator<Item = Self::Event> + Send>;

    /// When an event happened.
    fn occurred_at(event: &Self::Event) -> DateTime<Utc>;

    /// The events of the `number`-th request, which must be refused: the first is dirty and takes
    /// the others with it. None of them is ever part of another request.
    ///
    /// # Errors
    /// When an event cannot be written as JSON.
    fn dirt(&self, number: u64) -> anyhow::Result<Vec<Value>>;
}

/// Times as the senders write them: in microseconds.
pub(crate) fn rfc3339<S: serde::Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}
