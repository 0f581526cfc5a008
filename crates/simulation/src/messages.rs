//! Messages of the dirty queue as Lambda passes them to dispatch.

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use shoplake_aws::ReceivedMessage;

/// Returns the event of a batch of messages. The id of each message is its index.
pub(crate) fn batch(received: &[ReceivedMessage]) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = received
        .iter()
        .enumerate()
        .map(|(place, received)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(place.to_string());
            message.receipt_handle = Some(received.receipt.clone());
            message.body = Some(received.body.clone());
            message.attributes = [
                ("ApproximateReceiveCount", received.receives.to_string()),
                ("SentTimestamp", received.sent_at.timestamp_millis().to_string()),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
            message
        })
        .collect();
    event
}
