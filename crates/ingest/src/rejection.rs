//! What a request results in: receipts, or why it was not accepted.

use serde::Serialize;
use shoplake_contracts::Reason;

use crate::accepted_ids::ReusedId;
use crate::events::BodyError;
use crate::partition_limit::TooManyPartitions;

/// One event that was accepted (or not), by its position in the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The event's position in the request, from 0.
    pub index: usize,
    /// The id of the event's envelope.
    pub id: String,
}

/// What is wrong with one field of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventError {
    /// The event's position in the request, from 0.
    pub index: usize,
    /// The field, what was expected there and what was found.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why the stream did not accept events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFailure {
    /// More events arrive than its throughput allows: the sender can help by slowing down.
    Throttled,
    /// It does not accept events, and the sender cannot help.
    Unavailable,
}

/// Why a request was not accepted. The stream has none of its events, except after
/// [`Unaccepted`](Self::Unaccepted).
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The body is not a list of events.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The request's id belongs to another request.
    #[error("the id belongs to a request with another body")]
    ReusedId(ReusedId),
    /// Events violate the contract, or name another shop.
    #[error("expected {events} event(s) that fulfil the contract, got {} error(s)", .errors.len())]
    InvalidEvents {
        /// The number of events in the request.
        events: usize,
        /// Everything that is wrong with them.
        errors: Vec<EventError>,
    },
    /// Events are larger than a record of the stream: sending them again can't succeed.
    #[error("{} event(s) are larger than a record of the stream", .errors.len())]
    EventsTooLarge {
        /// One error for each of them.
        errors: Vec<EventError>,
    },
    /// The events belong to more old or future partitions than the shop may use in an hour.
    #[error("{} old or future partitions are more than an hour's limit of {}", .0.new, .0.limit)]
    TooManyPartitions(TooManyPartitions),
    /// Events could not be wrapped: a defect.
    #[error("the envelopes of the events could not be written: {0}")]
    Envelope(#[from] serde_json::Error),
    /// The stream did not accept all events. Sending the same request again is safe: accepted
    /// events keep their ids and count once.
    #[error(
        "the stream accepted {} event(s) and did not accept {}",
        .accepted.len(),
        .unaccepted.len()
    )]
    Unaccepted {
        /// Why.
        failure: StreamFailure,
        /// The events that are in the stream.
        accepted: Vec<Receipt>,
        /// The events that may have to be sent again; one whose acknowledgement was lost is here
        /// although it is in the stream.
        unaccepted: Vec<Receipt>,
    },
}
