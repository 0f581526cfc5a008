//! Moves dead-letter messages of the dirty queue back to it.

use shoplake_aws::{DeadLetterQueue, DirtyQueue};
use shoplake_platform::failure::Failure;

use crate::response::Redriven;

use super::{MAX_MESSAGES, unavailable};

/// Sends each message to the dirty queue, and deletes it only then. A partition that is sent twice
/// is computed once, or twice with the same result.
///
/// SQS could move the messages itself, but not those that EventBridge could not deliver: they never
/// were in the dirty queue.
pub(crate) async fn redrive(
    dead_letter_queue: &dyn DeadLetterQueue,
    queue: &dyn DirtyQueue,
) -> Result<Redriven, Failure> {
    let mut moved = 0;
    let mut is_empty = false;
    while moved < MAX_MESSAGES {
        let received = dead_letter_queue.receive().await.map_err(unavailable)?;
        is_empty = received.is_empty();
        if is_empty {
            break;
        }
        let bodies: Vec<_> = received.iter().map(|message| message.body.clone()).collect();
        queue.send_bodies(&bodies).await.map_err(unavailable)?;
        for message in &received {
            dead_letter_queue.delete(message).await.map_err(unavailable)?;
        }
        moved += received.len();
    }
    tracing::info!(moved, is_empty, "redrive of dirty partitions");
    Ok(Redriven::Dirty { queue: "dirty".to_owned(), moved, more: !is_empty })
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
        queue.fail([Some(Fault::Refused)]);
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
}
