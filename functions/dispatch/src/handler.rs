//! Starts executions for a batch of messages.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use futures::{StreamExt, stream};
use shoplake_aws::{DirtyQueue, Executions};
use shoplake_jobs::Partition;
use shoplake_lake::Store;
use shoplake_models::Models;
use shoplake_platform::clock::Clock;

use crate::change::Change;
use crate::engine::Engines;

/// The number of partitions that are planned concurrently. Planning waits for S3 listings.
const CONCURRENCY: usize = 16;

/// The number of partitions of a model from which one listing is cheaper than one for each.
const MANY_PARTITIONS: usize = 4;

/// The function with its ports.
pub struct Dispatch<L, E, Q, C> {
    /// The models.
    pub models: Models,
    /// The lake.
    pub lake: L,
    /// Starts executions.
    pub executions: E,
    /// The available engines.
    pub engines: Engines,
    /// The dirty queue.
    pub queue: Q,
    /// The time.
    pub clock: C,
}

/// A unit of work. Several messages may ask for the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Conform { bucket: String, key: String },
    Compute { model: String, partition: Partition },
    RecomputeReaders { table: String },
}

impl<L: Store, E: Executions, Q: DirtyQueue, C: Clock> Dispatch<L, E, Q, C> {
    /// Starts the work of the messages. The response names the messages whose work could not be
    /// started, so that the queue delivers only them again.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let mut failed = BTreeSet::new();
        let mut requested: BTreeMap<Work, BTreeSet<String>> = BTreeMap::new();
        for message in event.records {
            let id = message.message_id.unwrap_or_default();
            match Change::parse(message.body.as_deref().unwrap_or_default()) {
                Ok(change) => {
                    for work in self.work(change) {
                        requested.entry(work).or_default().insert(id.clone());
                    }
                }
                Err(error) => {
                    // After its last attempt the queue moves the message to the dead-letter queue.
                    tracing::error!(message_id = id, %error, "invalid message");
                    failed.insert(id);
                }
            }
        }

        let requested = self.without_empty_partitions(requested, &mut failed).await;
        let mut outcomes = stream::iter(requested)
            .map(|(work, messages)| async move { (self.start(&work).await, work, messages) })
            .buffer_unordered(CONCURRENCY);
        while let Some((outcome, work, messages)) = outcomes.next().await {
            if let Err(error) = outcome {
                tracing::error!(
                    ?work,
                    error = format!("{error:#}"),
                    "could not start work; the queue delivers its messages again"
                );
                failed.extend(messages);
            }
        }
        batch_response(failed)
    }

    /// Removes empty partitions: those without gold and without an input of their own day. It looks
    /// only at models with [`MANY_PARTITIONS`], for which one listing finds them.
    async fn without_empty_partitions(
        &self,
        mut requested: BTreeMap<Work, BTreeSet<String>>,
        failed: &mut BTreeSet<String>,
    ) -> BTreeMap<Work, BTreeSet<String>> {
        let mut days: BTreeMap<&str, Vec<Partition>> = BTreeMap::new();
        for work in requested.keys() {
            if let Work::Compute { model, partition } = work {
                days.entry(model).or_default().push(*partition);
            }
        }
        let many = days.into_iter().filter(|(_, days)| days.len() >= MANY_PARTITIONS);
        let many = many.filter_map(|(model, days)| Some((self.models.get(model)?, days)));
        let found = many.map(|(model, days)| async move {
            let kept = self.non_empty(model, &days).await;
            (model.name.clone(), days, kept)
        });
        let found: Vec<_> = stream::iter(found).buffer_unordered(CONCURRENCY).collect().await;
        for (model, days, kept) in found {
            let failure = kept.as_ref().err().map(|error| format!("{error:#}"));
            let kept = kept.unwrap_or_default();
            for partition in days.into_iter().filter(|day| !kept.contains(day)) {
                let work = Work::Compute { model: model.clone(), partition };
                let messages = requested.remove(&work).unwrap_or_default();
                if let Some(error) = &failure {
                    tracing::error!(
                        ?work,
                        error,
                        "could not list the lake; the queue delivers the messages again"
                    );
                    failed.extend(messages);
                }
            }
        }
        requested
    }

    fn work(&self, change: Change) -> Vec<Work> {
        match change {
            Change::Bronze { bucket, key } => vec![Work::Conform { bucket, key }],
            Change::SilverBucket => Vec::new(),
            Change::Dirty { model, partitions } => {
                let work = |partition| Work::Compute { model: model.clone(), partition };
                partitions.into_iter().map(work).collect()
            }
            Change::Reference { table } => vec![Work::RecomputeReaders { table }],
            Change::Silver { dataset, partition } => self
                .models
                .dirtied_by(&dataset, partition)
                .into_iter()
                .map(|(model, partition)| Work::Compute { model, partition })
                .collect(),
        }
    }

    async fn start(&self, work: &Work) -> anyhow::Result<()> {
        match work {
            Work::Conform { bucket, key } => {
                tracing::info!(key, "conforming");
                Ok(self.executions.start_bronze_to_silver(bucket, key).await?)
            }
            Work::Compute { model, partition } => {
                let model = self.models.get(model).with_context(|| {
                    format!(
                        "no model {model:?}: it was removed or renamed while the message waited"
                    )
                })?;
                self.compute(model, *partition).await
            }
            Work::RecomputeReaders { table } => self.recompute_readers(table).await,
        }
    }
}

fn batch_response(failed: BTreeSet<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

#[cfg(test)]
mod tests {
    use shoplake_aws::Fault;

    use super::*;
    use crate::testing::{
        conformed, created, dirty, dispatch, event, failures, job, silver, started, take_jobs,
    };

    #[tokio::test]
    async fn of_many_days_only_those_with_inputs_or_gold_are_planned() {
        let dispatch = dispatch();
        for day in ["2010-12-01", "2010-12-05"] {
            silver(&dispatch, &format!("silver/visits/dt={day}/a.parquet")).await;
        }
        // The inputs of this day were deleted after its commit, so it has to be computed again.
        let emptied = "gold/visits_per_day/day=2010-12-08/data.parquet";
        let metadata = [("version", "1"), ("inputs", "x"), ("job", "y")]
            .map(|(name, value)| (name.into(), value.into()));
        let rows = "rows".into();
        dispatch
            .lake
            .put(emptied, rows, metadata.into(), shoplake_lake::Condition::Always)
            .await
            .unwrap();

        let messages: Vec<_> =
            (1..=9).map(|day| dirty("visits_per_day", &format!("2010-12-0{day}"))).collect();
        let response = dispatch.handle(event(&messages)).await;

        assert!(failures(&response).is_empty());
        dispatch.clock.advance(chrono::Duration::days(20_000));
        let mut days: Vec<_> =
            started(&dispatch).await.iter().map(|job| job.partition.value.to_string()).collect();
        let delayed =
            dispatch.queue.take_dirty().into_iter().map(|(dirty, _)| dirty.partition.to_string());
        days.extend(delayed);
        days.sort();
        assert_eq!(days, ["2010-12-01", "2010-12-05", "2010-12-08"]);
    }

    #[tokio::test]
    async fn a_failed_listing_returns_all_messages_to_the_queue() {
        let dispatch = dispatch();
        dispatch.lake.fail([true]);
        let messages: Vec<_> =
            (1..=9).map(|day| dirty("visits_per_day", &format!("2010-12-0{day}"))).collect();
        assert_eq!(failures(&dispatch.handle(event(&messages)).await).len(), 9);
    }

    #[tokio::test]
    async fn many_messages_of_a_day_start_one_job_per_dirty_day() {
        let dispatch = dispatch();
        let keys =
            ["a", "b", "c"].map(|name| format!("silver/visits/dt=2010-12-01/{name}.parquet"));
        let next_day = "silver/visits/dt=2010-12-02/a.parquet";
        for key in keys.iter().map(String::as_str).chain([next_day]) {
            silver(&dispatch, key).await;
        }

        let response = dispatch.handle(event(&keys.clone().map(|key| created(&key)))).await;

        assert!(failures(&response).is_empty());
        let mut jobs = take_jobs(&dispatch);
        jobs.sort();
        let [first, second] = jobs.as_slice() else { panic!("expected two jobs, got {jobs:?}") };
        // With a lookback of one day, the day itself and the day after it read the new objects.
        assert!(first.starts_with("jobs/visits_per_day/2010-12-01/"), "{first}");
        assert!(second.starts_with("jobs/visits_per_day/2010-12-02/"), "{second}");
        assert_eq!(job(&dispatch, first).await.inputs[0].objects, keys);
        let [a, b, c] = keys;
        assert_eq!(job(&dispatch, second).await.inputs[0].objects, [a, b, c, next_day.to_owned()]);
    }

    #[tokio::test]
    async fn a_bronze_object_is_conformed_once() {
        let dispatch = dispatch();
        let key = "bronze/pos/dt=2026-11-21/hour=10/x.gz";
        dispatch.handle(event(&[created(key), created(key)])).await;
        assert_eq!(conformed(&dispatch), [key]);
    }

    #[tokio::test]
    async fn only_invalid_messages_return_to_the_queue() {
        let dispatch = dispatch();
        let good = created("bronze/pos/dt=2026-11-21/hour=10/x.gz");
        let response =
            dispatch.handle(event(&["{".into(), good, dirty("gone", "2010-12-01")])).await;
        assert_eq!(failures(&response), ["message-0", "message-2"]);
        assert_eq!(conformed(&dispatch).len(), 1);
    }

    #[tokio::test]
    async fn a_retry_after_a_fault_starts_the_same_job() {
        let dispatch = dispatch();
        let key = "silver/visits/dt=2010-12-01/a.parquet";
        silver(&dispatch, key).await;
        dispatch.executions.fail([Some(Fault::Refused)]);
        let response = dispatch.handle(event(&[created(key)])).await;
        assert_eq!(failures(&response), ["message-0"]);

        dispatch.lake.fail([true]);
        assert_eq!(failures(&dispatch.handle(event(&[created(key)])).await), ["message-0"]);

        assert!(failures(&dispatch.handle(event(&[created(key)])).await).is_empty());
        let started: BTreeSet<_> = take_jobs(&dispatch).into_iter().collect();
        assert_eq!(started.len(), 1, "the same job, however often it is started: {started:?}");
    }
}
