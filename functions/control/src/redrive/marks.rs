//! Dirty marks from the dead letters back to their queue.

use serde_json::{Value, json};
use shoplake_platform::failure::Failure;

use super::{MAX_LETTERS, retryable};
use crate::letters::Letters;
use crate::queue::Queue;

/// Sends each letter to the queue and deletes it only then: one that is sent twice is computed
/// once, or twice with the same answer. SQS could move the letters itself, but not those that
/// EventBridge could not deliver, which never were in the queue that they are for.
pub(crate) async fn redrive(letters: &dyn Letters, queue: &dyn Queue) -> Result<Value, Failure> {
    let mut moved = 0;
    let mut is_empty = false;
    while moved < MAX_LETTERS {
        let received = letters.receive().await.map_err(retryable)?;
        is_empty = received.is_empty();
        if is_empty {
            break;
        }
        let bodies: Vec<_> = received.iter().map(|letter| letter.body.clone()).collect();
        queue.send(&bodies).await.map_err(retryable)?;
        for letter in &received {
            letters.delete(letter).await.map_err(retryable)?;
        }
        moved += received.len();
    }
    tracing::info!(moved, is_empty, "redrive of dirty marks");
    Ok(json!({"queue": "dirty", "moved": moved, "more": !is_empty}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letters::memory::MemoryLetters;
    use crate::queue::memory::MemoryQueue;

    fn marks(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("mark {number}")).collect()
    }

    #[tokio::test]
    async fn given_dead_letters_then_all_of_them_are_in_the_queue_and_none_is_left() {
        let letters = MemoryLetters::of(marks(23));
        let queue = MemoryQueue::default();
        let answer = redrive(&letters, &queue).await.unwrap();
        assert_eq!(answer, json!({"queue": "dirty", "moved": 23, "more": false}));
        assert_eq!(queue.0.lock().unwrap().concat(), marks(23));
        assert!(letters.bodies().is_empty());
    }

    #[tokio::test]
    async fn given_no_dead_letters_then_the_answer_says_so() {
        let answer = redrive(&MemoryLetters::default(), &MemoryQueue::default()).await.unwrap();
        assert_eq!(answer, json!({"queue": "dirty", "moved": 0, "more": false}));
    }

    #[tokio::test]
    async fn given_a_queue_that_takes_nothing_then_no_letter_is_lost() {
        struct Full;
        #[async_trait::async_trait]
        impl Queue for Full {
            async fn send(&self, _: &[String]) -> anyhow::Result<()> {
                anyhow::bail!("throttled")
            }
        }
        let letters = MemoryLetters::of(marks(3));
        let failure = redrive(&letters, &Full).await.unwrap_err();
        assert!(
            !failure.is_permanent() && failure.to_string().contains("run the same redrive again"),
            "{failure}"
        );
        assert_eq!(letters.bodies(), marks(3));

        letters.reappear();
        assert_eq!(redrive(&letters, &MemoryQueue::default()).await.unwrap()["moved"], 3);
    }
}
