//! Has a range of days computed again.

use chrono::NaiveDate;
use shoplake_jobs::{Partition, PartitionDirty};
use shoplake_models::Models;
use shoplake_platform::failure::Failure;

use crate::days;
use crate::queue::{MAX_BATCH, Queue};

/// The most days of one backfill, ten years: a mistyped year should not keep the lake busy for a
/// week.
const MAX_DAYS: usize = 3_660;

/// Marks each of the model's days dirty, both ends included; answers how many. Should it fail half
/// way, run it again.
pub(crate) async fn backfill(
    models: &Models,
    queue: &dyn Queue,
    model: &str,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<usize, Failure> {
    days::model(models, model)?;
    let days = days::range(from, to, MAX_DAYS)?;
    for days in days.chunks(MAX_BATCH) {
        let events = days.iter().map(|day| {
            let reason = format!("backfill of {from} to {to}");
            PartitionDirty::one(model, Partition::Day(*day), reason).event().to_string()
        });
        queue
            .send(&events.collect::<Vec<_>>())
            .await
            .map_err(|error| Failure::retryable(format!("{error:#}")))?;
    }
    tracing::info!(model, %from, %to, partitions = days.len(), "backfill");
    Ok(days.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::memory::MemoryQueue;
    use crate::testing::models;

    const MODEL: &str = "total_sales_by_region_product";

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn given_a_range_when_backfilled_then_each_day_is_sent_once_in_batches() {
        let queue = MemoryQueue::default();

        let sent =
            backfill(&models(), &queue, MODEL, day("2010-12-25"), day("2011-01-05")).await.unwrap();

        assert_eq!(sent, 12);
        let batches = queue.0.into_inner().unwrap();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 2]);
        let partition = |event: &str| {
            let event: serde_json::Value = serde_json::from_str(event).unwrap();
            event["detail"]["partition"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            [partition(&batches[0][0]), partition(&batches[1][1])],
            ["2010-12-25", "2011-01-05"]
        );
    }

    #[tokio::test]
    async fn given_a_range_that_is_none_or_too_long_when_backfilled_then_nothing_is_sent() {
        let queue = MemoryQueue::default();
        for (from, to) in [("2010-12-02", "2010-12-01"), ("1910-12-01", "2010-12-01")] {
            assert!(
                backfill(&models(), &queue, MODEL, day(from), day(to))
                    .await
                    .unwrap_err()
                    .is_permanent()
            );
        }
        assert!(queue.0.into_inner().unwrap().is_empty());
    }

    #[tokio::test]
    async fn given_an_unknown_model_when_backfilled_then_the_error_lists_the_known_ones() {
        let day = day("2010-12-01");
        let failure =
            backfill(&models(), &MemoryQueue::default(), "totals", day, day).await.unwrap_err();
        assert!(failure.is_permanent() && failure.to_string().contains(MODEL), "{failure}");
    }
}
