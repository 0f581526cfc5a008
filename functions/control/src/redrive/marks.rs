//! Dirty marks from the dead letters back to their queue.

use serde_json::{Value, json};
use shoplake_aws::{DeadLetterQueue, DirtyQueue};
use shoplake_platform::failure::Failure;

use super::{MAX_LETTERS, retryable};

/// Sends each letter to the queue and deletes it only then: one that is sent twice is computed
/// once, or twice with the same answer. SQS could move the letters itself, but not those that
/// EventBridge could not deliver, which never were in the queue that they are for.
pub(crate) async fn redrive(
    dead_letters: &dyn DeadLetterQueue,
    queue: &dyn DirtyQueue,
) -> Result<Value, Failure> {
    let mut moved = 0;
    let mut is_empty = false;
    while moved < MAX_LETTERS {
        let received = dead_letters.receive().await.map_err(retryable)?;
        is_empty = received.is_empty();
        if is_empty {
            break;
        }
        let bodies: Vec<_> = received.iter().map(|message| message.body.clone()).collect();
        queue.send_bodies(&bodies).await.map_err(retryable)?;
        for message in &received {
            dead_letters.delete(message).await.map_err(retryable)?;
        }
        moved += received.len();
    }
    tracing::info!(moved, is_empty, "redrive of dirty marks");
    Ok(json!({"queue": "dirty", "moved": moved, "more": !is_empty}))
}

#[cfg(test)]
mod tests {
    use shoplake_aws::{Fault, MemoryDeadLetterQueue, MemoryDirtyQueue};

    use super::*;

    fn marks(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("mark {number}")).collect()
    }

    #[tokio::test]
    async fn given_dead_letters_then_all_of_them_are_in_the_queue_and_none_is_left() {
        let letters = MemoryDeadLetterQueue::with_bodies(marks(23));
        let queue = MemoryDirtyQueue::default();
        let answer = redrive(&letters, &queue).await.unwrap();
        assert_eq!(answer, json!({"queue": "dirty", "moved": 23, "more": false}));
        assert_eq!(queue.take_bodies(), marks(23));
        assert!(letters.bodies().is_empty());
    }

    #[tokio::test]
    async fn given_no_dead_letters_then_the_answer_says_so() {
        let answer =
            redrive(&MemoryDeadLetterQueue::default(), &MemoryDirtyQueue::default()).await.unwrap();
        assert_eq!(answer, json!({"queue": "dirty", "moved": 0, "more": false}));
    }

    #[tokio::test]
    async fn given_a_queue_that_takes_nothing_then_no_letter_is_lost() {
        let queue = MemoryDirtyQueue::default();
        queue.fail([Some(Fault::Refused)]);
        let letters = MemoryDeadLetterQueue::with_bodies(marks(3));
        let failure = redrive(&letters, &queue).await.unwrap_err();
        assert!(
            !failure.is_permanent() && failure.to_string().contains("run the same redrive again"),
            "{failure}"
        );
        assert_eq!(letters.bodies(), marks(3));

        letters.reappear();
        assert_eq!(redrive(&letters, &MemoryDirtyQueue::default()).await.unwrap()["moved"], 3);
    }
}
