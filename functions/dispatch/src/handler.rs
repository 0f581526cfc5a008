//! From a batch of messages to executions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use shoplake_lake::{Condition, Metadata, Store, keys};
use shoplake_models::{GoldHead, Listing, Model, Models, PartitionDirty, PartitionValue, Plan};
use shoplake_platform::clock::Clock;

use crate::change::Change;
use crate::ports::{Delay, Machines};

/// How many partitions are planned at a time. Planning waits for S3 listings, not for the processor.
const CONCURRENCY: usize = 16;

/// The function with its ports.
pub(crate) struct Dispatch<L, M, D, C> {
    pub(crate) models: Models,
    pub(crate) lake: L,
    pub(crate) machines: M,
    pub(crate) queue: D,
    pub(crate) clock: C,
}

/// A piece of work, the same for all messages that ask for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Conform { bucket: String, key: String },
    Compute { model: String, partition: PartitionValue },
}

impl<L: Store, M: Machines, D: Delay, C: Clock> Dispatch<L, M, D, C> {
    /// Starts what the messages ask for. Names the messages whose work could not be started, so that only they come back.
    pub(crate) async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
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
                    // Not dropped: after its last attempt the queue moves it to the dead letters, where somebody looks.
                    tracing::error!(message_id = id, %error, "a message cannot be understood");
                    failed.insert(id);
                }
            }
        }

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

    fn work(&self, change: Change) -> Vec<Work> {
        match change {
            Change::Bronze { bucket, key } => vec![Work::Conform { bucket, key }],
            Change::Dirty { model, partition } => vec![Work::Compute { model, partition }],
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
                self.machines.bronze_to_silver(bucket, key).await
            }
            Work::Compute { model, partition } => {
                let model = self.models.get(model).with_context(|| {
                    format!(
                        "there is no model {model:?}: was it removed or renamed while this message waited?"
                    )
                })?;
                self.compute(model, *partition).await
            }
        }
    }

    async fn compute(&self, model: &Model, partition: PartitionValue) -> anyhow::Result<()> {
        // The order is the protocol: first the version that the commit will replace, then the inputs. So whoever commits
        // on top of that version has seen at least the inputs that its writer saw.
        let head = self.lake.head(&model.output_key(partition)).await?;
        let gold = head.as_ref().map(GoldHead::try_from).transpose()?;
        let listing = self.list(model, partition).await?;

        let Plan::Job(job) = self.models.plan(model, partition, &listing, gold.as_ref()) else {
            tracing::info!(model = model.name, %partition, "up to date");
            return Ok(());
        };
        if let Some(delay) = head.and_then(|head| self.remaining(model, head.last_modified)) {
            let dirty = PartitionDirty {
                model: model.name.clone(),
                partition: partition.to_string(),
                reason: format!("computed less than {} seconds ago", model.every_seconds),
            };
            tracing::info!(model = model.name, %partition, delay_seconds = delay.as_secs(), "postponed");
            return self.queue.postpone(&dirty, delay).await;
        }
        let key = keys::job(&model.name, &partition.to_string(), &job.id);
        let document = serde_json::to_vec(&job)?;
        self.lake.put(&key, document.into(), Metadata::new(), Condition::Always).await?;
        tracing::info!(model = model.name, %partition, job = key, "computing");
        self.machines.silver_to_gold(&key).await
    }

    async fn list(&self, model: &Model, partition: PartitionValue) -> anyhow::Result<Listing> {
        let mut listing = Listing::new();
        for input in self.models.input_prefixes(model, partition) {
            let entries = listing.entry(input.input).or_default();
            for prefix in &input.prefixes {
                entries.extend(self.lake.list(prefix).await?);
            }
        }
        Ok(listing)
    }

    /// What is left of the time for which a partition is not computed again, in whole seconds, at least one.
    fn remaining(&self, model: &Model, computed: DateTime<Utc>) -> Option<Duration> {
        let rest = computed + chrono::Duration::seconds(model.every_seconds.into()) - self.clock.now();
        rest.to_std().ok().filter(|rest| !rest.is_zero()).map(|rest| Duration::from_secs(rest.as_secs() + 1))
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
    use std::sync::atomic::Ordering;

    use aws_lambda_events::event::sqs::SqsMessage;
    use shoplake_contracts::Contracts;
    use shoplake_lake::MemoryStore;
    use shoplake_models::JobDocument;
    use shoplake_platform::clock::ManualClock;

    use super::*;
    use crate::ports::memory::{MemoryDelay, MemoryMachines};

    const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Visits", "description": "d", "type": "object",
        "x-dataset": {"source": "web", "delivery": "stream", "key": ["shop_id", "visit_id"], "version": null,
                      "event_time": "at", "partition": "day(at)", "sort": ["shop_id"], "personal": []},
        "required": ["visit_id", "at"],
        "properties": {"shop_id": {"type": "string", "description": "d"}, "visit_id": {"type": "string", "description": "d"},
                       "at": {"type": "string", "format": "date-time", "description": "d"}}
    }"#;
    const MODEL: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.visits"]
-- lookback_days = 1
-- every_seconds = 20
-- warehouse = "marketing.visits"
with final as (
    select
        shop_id,
        cast(at as date) as day,
        count(*) as visits
    from silver.visits
    group by shop_id, cast(at as date)
)

select
    shop_id,
    day,
    visits
from final
"#;

    type TestDispatch = Dispatch<MemoryStore, MemoryMachines, MemoryDelay, ManualClock>;

    fn dispatch() -> TestDispatch {
        let contracts = Contracts::from_sources([("visits", SCHEMA)]).unwrap();
        Dispatch {
            models: Models::from_sources(&contracts, [("gold/visits_per_day.sql", MODEL)]).unwrap(),
            lake: MemoryStore::default(),
            machines: MemoryMachines::default(),
            queue: MemoryDelay::default(),
            clock: ManualClock::new(DateTime::UNIX_EPOCH),
        }
    }

    fn event(bodies: &[String]) -> SqsEvent {
        let mut event = SqsEvent::default();
        event.records = bodies
            .iter()
            .enumerate()
            .map(|(index, body)| {
                let mut message = SqsMessage::default();
                message.message_id = Some(format!("message-{index}"));
                message.body = Some(body.clone());
                message
            })
            .collect();
        event
    }

    fn created(key: &str) -> String {
        serde_json::json!({
            "source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "lake"}, "object": {"key": key}},
        })
        .to_string()
    }

    fn failures(response: &SqsBatchResponse) -> Vec<&str> {
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
    }

    async fn silver(dispatch: &TestDispatch, key: &str) {
        dispatch.lake.put(key, key.to_owned().into(), Metadata::new(), Condition::Always).await.unwrap();
    }

    async fn job(dispatch: &TestDispatch, key: &str) -> JobDocument {
        serde_json::from_slice(&dispatch.lake.get(key).await.unwrap().unwrap().bytes).unwrap()
    }

    /// What transform does, as far as dispatch can see it.
    async fn commit(dispatch: &TestDispatch, job: &JobDocument) {
        let metadata = [
            ("version", job.output.version.to_string()),
            ("inputs", job.output.inputs_digest.clone()),
            ("job", job.id.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        dispatch.lake.put(&job.output.key, "rows".into(), metadata, Condition::Always).await.unwrap();
    }

    #[tokio::test]
    async fn given_many_messages_of_one_partition_then_each_partition_it_dirties_is_computed_once() {
        let dispatch = dispatch();
        let keys = ["a", "b", "c"].map(|name| format!("silver/visits/dt=2010-12-01/{name}.parquet"));
        for key in &keys {
            silver(&dispatch, key).await;
        }

        let response = dispatch.handle(event(&keys.clone().map(|key| created(&key)))).await;

        assert!(failures(&response).is_empty());
        let mut jobs = dispatch.machines.jobs.lock().unwrap().clone();
        jobs.sort();
        let [first, second] = jobs.as_slice() else { panic!("expected two jobs, got {jobs:?}") };
        // With a lookback of one day, the day itself and the day after it read the new objects.
        assert!(first.starts_with("jobs/visits_per_day/2010-12-01/"), "{first}");
        assert!(second.starts_with("jobs/visits_per_day/2010-12-02/"), "{second}");
        assert_eq!(job(&dispatch, first).await.inputs[0].objects, keys);
    }

    #[tokio::test]
    async fn given_a_partition_that_gold_is_up_to_date_with_then_nothing_happens() {
        let dispatch = dispatch();
        let key = "silver/visits/dt=2010-12-01/a.parquet";
        silver(&dispatch, key).await;
        dispatch.handle(event(&[created(key)])).await;
        let started = std::mem::take(&mut *dispatch.machines.jobs.lock().unwrap());
        for key in started {
            let job = job(&dispatch, &key).await;
            commit(&dispatch, &job).await;
        }

        let response = dispatch.handle(event(&[created(key)])).await;

        assert!(failures(&response).is_empty());
        assert!(dispatch.machines.jobs.lock().unwrap().is_empty());
        assert!(dispatch.queue.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn given_a_partition_computed_a_moment_ago_then_it_waits_for_the_rest_of_its_time() {
        let dispatch = dispatch();
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        let dirty = PartitionDirty {
            model: "visits_per_day".into(),
            partition: "2010-12-01".into(),
            reason: "test".into(),
        };
        let message = dirty.event().to_string();
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        let first = dispatch.machines.jobs.lock().unwrap().pop().unwrap();
        let first = job(&dispatch, &first).await;
        commit(&dispatch, &first).await;
        silver(&dispatch, "silver/visits/dt=2010-12-01/b.parquet").await;

        dispatch.clock.advance(chrono::Duration::seconds(5));
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        assert!(dispatch.machines.jobs.lock().unwrap().is_empty());
        assert_eq!(dispatch.queue.0.lock().unwrap()[0].1, Duration::from_secs(16));

        dispatch.clock.advance(chrono::Duration::seconds(16));
        dispatch.handle(event(&[message])).await;
        let second = dispatch.machines.jobs.lock().unwrap().pop().unwrap();
        let second = job(&dispatch, &second).await;
        assert_eq!(second.output.version, 2);
        assert!(second.output.expected_etag.is_some());
    }

    #[tokio::test]
    async fn given_a_bronze_object_then_it_is_conformed_once() {
        let dispatch = dispatch();
        let key = "bronze/pos/dt=2026-11-21/hour=10/x.gz";
        dispatch.handle(event(&[created(key), created(key)])).await;
        assert_eq!(*dispatch.machines.conformed.lock().unwrap(), [key]);
    }

    #[tokio::test]
    async fn given_a_broken_message_among_good_ones_then_only_it_fails() {
        let dispatch = dispatch();
        let good = created("bronze/pos/dt=2026-11-21/hour=10/x.gz");
        let gone =
            PartitionDirty { model: "gone".into(), partition: "2010-12-01".into(), reason: String::new() };
        let response = dispatch.handle(event(&["{".into(), good, gone.event().to_string()])).await;
        assert_eq!(failures(&response), ["message-0", "message-2"]);
        assert_eq!(dispatch.machines.conformed.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn given_a_broken_system_then_the_messages_come_back_and_the_retry_starts_the_same_job() {
        let dispatch = dispatch();
        let key = "silver/visits/dt=2010-12-01/a.parquet";
        silver(&dispatch, key).await;
        dispatch.machines.out_of_order.store(true, Ordering::Relaxed);
        let response = dispatch.handle(event(&[created(key)])).await;
        assert_eq!(failures(&response), ["message-0"]);

        dispatch.lake.fail([true]);
        dispatch.machines.out_of_order.store(false, Ordering::Relaxed);
        assert_eq!(failures(&dispatch.handle(event(&[created(key)])).await), ["message-0"]);

        assert!(failures(&dispatch.handle(event(&[created(key)])).await).is_empty());
        let started: BTreeSet<_> = dispatch.machines.jobs.lock().unwrap().iter().cloned().collect();
        assert_eq!(started.len(), 2, "the same jobs, however often they are started: {started:?}");
    }
}
