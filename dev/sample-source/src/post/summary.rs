//! Counts of sent events and of answers.

use serde::Serialize;

use super::{Purpose, Request};

/// Counts, of events unless the field says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All sent events: new events, copies and invalid events.
    pub sent: u64,
    /// Accepted by the API, copies included.
    pub accepted: u64,
    /// In requests that the API refused.
    pub rejected: u64,
    /// Copies, each in a later request than the original.
    pub duplicates_sent: u64,
    /// Events of requests that must be refused.
    pub invalid_sent: u64,
    /// New events of the day before.
    pub late_sent: u64,
    /// Requests that got an answer.
    pub requests: u64,
    /// Of them, those that were refused.
    pub requests_refused: u64,
    /// Attempts beyond the first, after throttling and outages.
    pub retries: u64,
    /// Requests with an unexpected answer: valid events refused, or invalid events accepted.
    pub unexpected_responses: u64,
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
            Purpose::Invalid => self.invalid_sent += events,
        }
    }
}
