//! Moves dead-letter messages of the dirty queue back to it.

use std::collections::BTreeSet;

use shoplake_aws::{DeadLetterMessage, DeadLetterQueue, DirtyQueue, PortError};
use shoplake_platform::failure::Failure;

use crate::failure::Failures;
use crate::response::Redriven;

use super::{MAX_MESSAGES, unavailable};

/// Sends each message to the dirty queue, and deletes it only then. A partition that is sent twice
/// is computed once, or twice with the same result. A message that cannot be moved stays, and keeps
/// no other message back.
///
/// SQS could move the messages itself, but not those that EventBridge could not deliver: they never
/// were in the dirty queue.
pub(crate) async fn redrive(
    dead_letter_queue: &dyn DeadLetterQueue,
    queue: &dyn DirtyQueue,
) -> Result<Redriven, Failure> {
    let mut seen = BTreeSet::new();
    let mut failures = Failures::default();
    let mut moved = 0;
    let mut is_empty = false;
    while seen.len() < MAX_MESSAGES && !is_empty && !failures.show_an_outage() {
        let mut received = dead_letter_queue.receive().await.map_err(unavailable)?;
        // A message that stays becomes visible again, perhaps before this run ends.
        received.retain(|message| seen.insert(message.id.clone()));
        is_empty = received.is_empty();
        let bodies: Vec<_> = received.iter().map(|message| message.body.clone()).collect();
        // One message that is not accepted fails the request of all of them.
        let are_sent = is_empty || queue.send_bodies(&bodies).await.is_ok();
        for message in &received {
            match move_one(dead_letter_queue, queue, message, are_sent).await {
                Ok(()) => {
                    moved += 1;
                    failures.succeeded();
                }
                Err(error) => {
                    failures.add(format!("message {}", message.id), unavailable(error));
                }
            }
        }
    }
    tracing::info!(moved, is_empty, "redrive of dirty partitions");
    failures.or(Redriven::Dirty { queue: "dirty".to_owned(), moved, more: !is_empty })
}

/// Sends a message unless it is sent, and deletes it.
async fn move_one(
    dead_letter_queue: &dyn DeadLetterQueue,
    queue: &dyn DirtyQueue,
    message: &DeadLetterMessage,
    is_sent: bool,
) -> Result<(), PortError> {
    if !is_sent {
        queue.send_bodies(std::slice::from_ref(&message.body)).await?;
    }
    dead_letter_queue.delete(message).await
}

#[cfg(test)]
mod tests {
    use shoplake_aws::{Fault, MemoryDeadLetterQueue, MemoryDirtyQueue};

    use super::*;

    fn redriven(moved: usize) -> Redriven {
        Redriven::Dirty { queue: "dirty".to_owned(), moved, more: false }
    }

    fn messages(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("message {number}")).collect()
    }

    #[tokio::test]
    async fn all_dead_letter_messages_are_moved() {
        let dead_letter_queue = MemoryDeadLetterQueue::with_bodies(messages(23));
        let queue = MemoryDirtyQueue::default();
        assert_eq!(redrive(&dead_letter_queue, &queue).await.unwrap(), redriven(23));
        assert_eq!(queue.take_bodies(), messages(23));
        assert!(dead_letter_queue.bodies().is_empty());
    }

    #[tokio::test]
    async fn an_empty_queue_moves_nothing() {
        let answer =
            redrive(&MemoryDeadLetterQueue::default(), &MemoryDirtyQueue::default()).await.unwrap();
        assert_eq!(answer, redriven(0));
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_sent_is_not_deleted() {
        let queue = MemoryDirtyQueue::default();
        // The request of all three, then one for each.
        queue.fail([Some(Fault::Refused); 4]);
        let dead_letter_queue = MemoryDeadLetterQueue::with_bodies(messages(3));
        let failure = redrive(&dead_letter_queue, &queue).await.unwrap_err();
        assert!(
            !failure.is_permanent() && failure.to_string().contains("run the same redrive again"),
            "{failure}"
        );
        assert_eq!(dead_letter_queue.bodies(), messages(3));

        dead_letter_queue.reappear();
        assert_eq!(
            redrive(&dead_letter_queue, &MemoryDirtyQueue::default()).await.unwrap(),
            redriven(3)
        );
    }
    #[tokio::test]
    async fn a_message_that_cannot_be_sent_keeps_no_other_back() {
        let queue = MemoryDirtyQueue::default();
        // The request of the first ten, then that of the second message alone.
        queue.fail([Some(Fault::Refused), None, Some(Fault::Refused)]);
        let dead_letter_queue = MemoryDeadLetterQueue::with_bodies(messages(12));

        let failure = redrive(&dead_letter_queue, &queue).await.unwrap_err();

        assert!(failure.to_string().starts_with("message "), "{failure}");
        assert_eq!(dead_letter_queue.bodies(), ["message 1"]);
        assert_eq!(queue.take_bodies().len(), 11);
    }
}
