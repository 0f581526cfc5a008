//! What was sent and what became of it.

use serde::Serialize;

use super::{Purpose, Request};

/// Counts, in events unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Everything that was sent: new events, second copies and dirt.
    pub sent: u64,
    /// Taken by the API, second copies included.
    pub accepted: u64,
    /// In requests that the API refused.
    pub rejected: u64,
    /// Second copies, each in a later request than the first.
    pub duplicates_sent: u64,
    /// Events that no contract accepts; they are to be rejected.
    pub dirty_sent: u64,
    /// New events of the day before.
    pub late_sent: u64,
    /// Requests that got an answer.
    pub requests: u64,
    /// Of them, those that were refused.
    pub requests_refused: u64,
    /// Attempts beyond the first, after throttling and outages.
    pub retries: u64,
    /// Requests whose answer was not the expected one: good events refused, or dirt accepted.
    pub surprises: u64,
}

impl Summary {
    pub(super) fn count(&mut self, request: &Request) {
        let events = request.events.len() as u64;
        self.sent += events;
        match request.purpose {
            Purpose::Fresh => {
                self.late_sent += request.events.iter().filter(|event| event.late).count() as u64
            }
            Purpose::Duplicates => self.duplicates_sent += events,
            Purpose::Dirt => self.dirty_sent += events,
        }
    }
}
