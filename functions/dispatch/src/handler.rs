//! From a batch of messages to executions.

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

/// How many partitions are planned at a time. Planning waits for S3 listings, not for the
/// processor.
const CONCURRENCY: usize = 16;

/// From how many days of a model on it is cheaper to look which of them there are than to look at
/// each.
const MANY_DAYS: usize = 4;

/// The function with its ports.
pub struct Dispatch<L, E, Q, C> {
    /// What is computed from what.
    pub models: Models,
    /// The lake.
    pub lake: L,
    /// Starts state machines.
    pub executions: E,
    /// What computes a job of which size.
    pub engines: Engines,
    /// Takes partitions that have to wait.
    pub queue: Q,
    /// The time.
    pub clock: C,
}

/// A piece of work, the same for all messages that ask for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Conform { bucket: String, key: String },
    Compute { model: String, partition: Partition },
    Reread { table: String },
}

impl<L: Store, E: Executions, Q: DirtyQueue, C: Clock> Dispatch<L, E, Q, C> {
    /// Starts what the messages ask for. Names the messages whose work could not be started, so
    /// that only they come back.
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
                    // Not dropped: after its last attempt the queue moves it to the dead letters,
                    // where somebody looks.
                    tracing::error!(message_id = id, %error, "a message cannot be understood");
                    failed.insert(id);
                }
            }
        }

        let requested = self.without_days_to_come(requested, &mut failed).await;
        let mut outcomes = stream::iter(requested)
            .map(|(work, messages)| async move { (self.start(&work).await, work, messages) })
            .buffer_unordered(CONCURRENCY);
        while let Some((outcome, work, messages)) = outcomes.next().await {
            if let Err(error) = outcome {
                tracing::error!(
                    ?work,
                    error = format!("{error:#}"),
                    "work could not be started; its messages come back"
                );
                failed.extend(messages);
            }
        }
        batch_response(failed)
    }

    /// Leaves out the partitions that have nothing of their own day, where a model has so many that
    /// this is worth a listing.
    async fn without_days_to_come(
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
        let many = days.into_iter().filter(|(_, days)| days.len() >= MANY_DAYS);
        let many = many.filter_map(|(model, days)| Some((self.models.get(model)?, days)));
        let found = many.map(|(model, days)| async move {
            let kept = self.with_own_day(model, &days).await;
            (model.name.clone(), days, kept)
        });
        let found: Vec<_> = stream::iter(found).buffer_unordered(CONCURRENCY).collect().await;
        for (model, days, kept) in found {
            let lost = kept.as_ref().err().map(|error| format!("{error:#}"));
            let kept = kept.unwrap_or_default();
            for partition in days.into_iter().filter(|day| !kept.contains(day)) {
                let work = Work::Compute { model: model.clone(), partition };
                let messages = requested.remove(&work).unwrap_or_default();
                if let Some(error) = &lost {
                    tracing::error!(
                        ?work,
                        error,
                        "the lake could not be listed; its messages come back"
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
            Change::Reference { table } => vec![Work::Reread { table }],
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
                        "there is no model {model:?}: was it removed or renamed while this message waited?"
                    )
                })?;
                self.compute(model, *partition).await
            }
            Work::Reread { table } => self.reread(table).await,
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
    async fn given_many_days_then_only_those_with_something_of_their_own_or_in_gold_are_asked_about()
     {
        let dispatch = dispatch();
        for day in ["2010-12-01", "2010-12-05"] {
            silver(&dispatch, &format!("silver/visits/dt={day}/a.parquet")).await;
        }
        // Somebody has removed this day's objects since it was computed: it has to be computed once
        // more.
        let emptied = "gold/visits_per_day/day=2010-12-08/data.parquet";
        let notes = [("version", "1"), ("inputs", "x"), ("job", "y")]
            .map(|(name, value)| (name.into(), value.into()));
        let rows = "rows".into();
        dispatch
            .lake
            .put(emptied, rows, notes.into(), shoplake_lake::Condition::Always)
            .await
            .unwrap();

        let marks: Vec<_> =
            (1..=9).map(|day| dirty("visits_per_day", &format!("2010-12-0{day}"))).collect();
        let response = dispatch.handle(event(&marks)).await;

        assert!(failures(&response).is_empty());
        dispatch.clock.advance(chrono::Duration::days(20_000));
        let mut days: Vec<_> =
            started(&dispatch).await.iter().map(|job| job.partition.value.to_string()).collect();
        let postponed = dispatch.queue.take_dirty().into_iter().map(|(dirty, _)| dirty.partition);
        days.extend(postponed);
        days.sort();
        assert_eq!(days, ["2010-12-01", "2010-12-05", "2010-12-08"]);
    }

    #[tokio::test]
    async fn given_many_days_and_a_lake_that_does_not_answer_then_all_their_messages_come_back() {
        let dispatch = dispatch();
        dispatch.lake.fail([true]);
        let marks: Vec<_> =
            (1..=9).map(|day| dirty("visits_per_day", &format!("2010-12-0{day}"))).collect();
        assert_eq!(failures(&dispatch.handle(event(&marks)).await).len(), 9);
    }

    #[tokio::test]
    async fn given_many_messages_of_one_partition_then_each_partition_it_dirties_is_computed_once()
    {
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
    async fn given_a_bronze_object_then_it_is_conformed_once() {
        let dispatch = dispatch();
        let key = "bronze/pos/dt=2026-11-21/hour=10/x.gz";
        dispatch.handle(event(&[created(key), created(key)])).await;
        assert_eq!(conformed(&dispatch), [key]);
    }

    #[tokio::test]
    async fn given_a_broken_message_among_good_ones_then_only_it_fails() {
        let dispatch = dispatch();
        let good = created("bronze/pos/dt=2026-11-21/hour=10/x.gz");
        let response =
            dispatch.handle(event(&["{".into(), good, dirty("gone", "2010-12-01")])).await;
        assert_eq!(failures(&response), ["message-0", "message-2"]);
        assert_eq!(conformed(&dispatch).len(), 1);
    }

    #[tokio::test]
    async fn given_a_broken_system_then_the_messages_come_back_and_the_retry_starts_the_same_job() {
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
