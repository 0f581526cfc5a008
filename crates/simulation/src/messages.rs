//! Messages of the dirty queue as Lambda passes them to dispatch.

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};

/// Returns the event of a batch of messages. The id of each message is its index.
pub(crate) fn batch(bodies: &[String]) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = bodies
        .iter()
        .enumerate()
        .map(|(place, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(place.to_string());
            message.body = Some(body.clone());
            message
        })
        .collect();
    event
}
