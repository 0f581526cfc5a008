//! Computes a range of partitions again, whether or not their inputs have changed.

use shoplake_aws::DirtyQueue;
use shoplake_index::ModelIndex;
use shoplake_jobs::{Partition, PartitionDirty};
use shoplake_platform::failure::Failure;

use crate::partitions;
use crate::response::Backfilled;

/// The most partitions of one backfill, ten years of days: a mistyped year must not keep the lake
/// busy for a week.
const MAX_PARTITIONS: usize = 3_660;

/// Sends each of the model's partitions to the dirty queue, both ends included. Run it again if it
/// fails half way.
pub(crate) async fn backfill(
    models: &ModelIndex,
    queue: &dyn DirtyQueue,
    model: String,
    from: Partition,
    to: Partition,
) -> Result<Backfilled, Failure> {
    let partitions =
        partitions::range(partitions::model(models, &model)?, from, to, MAX_PARTITIONS)?;
    let dirty = partitions.iter().map(|partition| {
        let reason = format!("backfill of {from} to {to}");
        let dirty = PartitionDirty::one(&model, *partition, reason);
        PartitionDirty { recompute: true, ..dirty }
    });
    queue.send(&dirty.collect::<Vec<_>>()).await.map_err(Failure::retryable)?;
    tracing::info!(model, %from, %to, partitions = partitions.len(), "backfill");
    Ok(Backfilled { model, partitions: partitions.len() })
}

#[cfg(test)]
mod tests {
    use shoplake_aws::MemoryDirtyQueue;

    use super::*;

    fn models() -> ModelIndex {
        shoplake_testing::definitions().1.index()
    }

    const MODEL: &str = "total_sales_by_region_product";

    fn day(text: &str) -> Partition {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn each_day_of_a_backfill_is_sent_once() {
        let queue = MemoryDirtyQueue::default();

        let sent =
            backfill(&models(), &queue, MODEL.to_owned(), day("2010-12-25"), day("2011-01-05"))
                .await
                .unwrap();

        assert_eq!(sent.partitions, 12);
        let messages = queue.take_dirty();
        assert!(messages.iter().all(|dirty| dirty.recompute), "even if nothing has changed");
        let days: Vec<_> = messages.iter().map(|dirty| dirty.partition.to_string()).collect();
        assert_eq!(
            (days.len(), days[0].as_str(), days[11].as_str()),
            (12, "2010-12-25", "2011-01-05")
        );
    }

    #[tokio::test]
    async fn an_invalid_range_of_a_backfill_sends_nothing() {
        let queue = MemoryDirtyQueue::default();
        for (from, to) in [
            ("2010-12-02", "2010-12-01"),
            ("1910-12-01", "2010-12-01"),
            ("0000", "0001"),
            ("2010-12-01", "2010-12-01T09"),
        ] {
            assert!(
                backfill(&models(), &queue, MODEL.to_owned(), day(from), day(to))
                    .await
                    .unwrap_err()
                    .is_permanent()
            );
        }
        assert!(queue.take_bodies().is_empty());
    }

    #[tokio::test]
    async fn an_unknown_model_of_a_backfill_lists_the_known_ones() {
        let day = day("2010-12-01");
        let failure =
            backfill(&models(), &MemoryDirtyQueue::default(), "totals".to_owned(), day, day)
                .await
                .unwrap_err();
        assert!(failure.is_permanent() && failure.to_string().contains(MODEL), "{failure}");
    }
}
