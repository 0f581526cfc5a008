//! Starts executions for a batch of messages.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::{Context, ensure};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use shoplake_aws::{DirtyQueue, EventPublisher, Executions};
use shoplake_jobs::{Partition, PartitionKind};
use shoplake_lake::Store;
use shoplake_models::Models;
use shoplake_platform::clock::Clock;
use shoplake_platform::metrics::Metrics;

use crate::change::Change;
use crate::compute::Ended;
use crate::engine::Engines;
use crate::old_days::is_old;
use crate::turn::Request;

/// The number of partitions that are planned concurrently. Planning waits for S3 listings.
pub(crate) const CONCURRENCY: usize = 16;

/// The number of partitions of a model from which one listing is cheaper than one for each.
const MANY_PARTITIONS: usize = 4;

/// The longest time that a message waits on the queue. A partition that waits longer is sent again
/// by the sweep, so that no message is in flight for hours.
pub(crate) const MAX_DELAY: TimeDelta = TimeDelta::minutes(15);

/// How often a message is received at most. The queue moves it to the dead-letter queue after 25
/// receives (`infra/modules/dirty-queue`), which is for messages that fail. One that only waits is
/// dropped before: its partition's state says what is owed, and the sweep sends it again.
const MAX_RECEIVES: u32 = 20;

/// How long messages wait at first if too many jobs run. It doubles with each receive.
const FIRST_SLOT_DELAY: TimeDelta = TimeDelta::seconds(5);

/// The function with its ports.
pub struct Dispatch<L, E, Q, P, C> {
    /// The models.
    pub models: Models,
    /// The lake.
    pub lake: L,
    /// Starts executions.
    pub executions: E,
    /// The available engines, and how many jobs they run at the same time.
    pub engines: Engines,
    /// The most old days that a shop makes the pipeline compute in an hour; none for no limit.
    /// Further days wait for their turn.
    pub old_days_per_hour: Option<NonZeroU16>,
    /// The dirty queue, on which messages wait.
    pub queue: Q,
    /// The bus for partitions that an edited reference table dirties.
    pub publisher: P,
    /// The time.
    pub clock: C,
    /// Counts old days that have to wait.
    pub metrics: Metrics,
}

/// A unit of work. Several messages may ask for the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Conform { bucket: String, key: String },
    Compute { model: String, partition: Partition },
    RecomputeReaders { table: String },
}

/// A received message.
#[derive(Clone, Debug)]
struct Message {
    id: String,
    receipt: String,
    receives: u32,
    sent_at: Option<DateTime<Utc>>,
}

/// A unit of work, and what asked for it.
#[derive(Clone, Debug)]
struct Asked {
    /// The indices of the messages.
    messages: BTreeSet<usize>,
    request: Request,
}

/// What becomes of the messages of a batch.
#[derive(Default)]
struct Outcomes {
    /// The indices of the messages that failed.
    failed: BTreeSet<usize>,
    /// The messages that wait, and until when.
    waiting: BTreeMap<usize, DateTime<Utc>>,
}

impl<L, E, Q, P, C> Dispatch<L, E, Q, P, C>
where
    L: Store,
    E: Executions,
    Q: DirtyQueue,
    P: EventPublisher,
    C: Clock,
{
    /// Starts the work of the messages. The response names the messages that the queue delivers
    /// again: those whose work could not be started, and those that wait.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let mut outcomes = Outcomes::default();
        let (mut messages, mut changes) = (Vec::new(), Vec::new());
        let mut requested: BTreeMap<Work, Asked> = BTreeMap::new();
        for (index, record) in event.records.into_iter().enumerate() {
            let body = record.body.clone().unwrap_or_default();
            let message = Message::new(record);
            match Change::parse(&body) {
                Ok(change) => changes.push((index, change)),
                Err(error) => {
                    // After its last attempt the queue moves the message to the dead-letter queue.
                    tracing::error!(message_id = message.id, %error, "invalid message");
                    outcomes.failed.insert(index);
                }
            }
            messages.push(message);
        }
        let turns = self.turns(&changes, &mut outcomes.failed).await;
        for (index, change) in changes {
            if outcomes.failed.contains(&index) {
                continue;
            }
            let recompute = matches!(change, Change::Dirty { recompute: true, .. });
            for work in self.work(change) {
                let asked = requested.entry(work).or_insert_with(Asked::first);
                asked.add(index, &messages[index], recompute, turns.get(&index).copied());
            }
        }

        let requested = self.without_empty_partitions(requested, &mut outcomes.failed).await;
        let requested = live_first(requested, self.clock.now());
        let messages = &messages;
        let mut ends =
            stream::iter(requested)
                .map(|(work, asked)| async move {
                    (self.start(&work, &asked, messages).await, work, asked)
                })
                .buffer_unordered(CONCURRENCY);
        while let Some((end, work, asked)) = ends.next().await {
            match end {
                Ok(Ended::Done) => {}
                Ok(Ended::Waits { until, is_known }) => {
                    for index in asked.waiting(messages, is_known) {
                        let earliest = outcomes.waiting.entry(index).or_insert(until);
                        *earliest = until.min(*earliest);
                    }
                }
                Err(error) => {
                    tracing::error!(
                        ?work,
                        error = format!("{error:#}"),
                        "could not start work; the queue delivers its messages again"
                    );
                    outcomes.failed.extend(asked.messages);
                }
            }
        }
        self.respond(messages, outcomes).await
    }

    /// Hides the messages that wait, and returns them with those that failed.
    async fn respond(&self, messages: &[Message], outcomes: Outcomes) -> SqsBatchResponse {
        let Outcomes { failed, waiting } = outcomes;
        let now = self.clock.now();
        let mut returned = failed.clone();
        for (index, until) in waiting.into_iter().filter(|(index, _)| !failed.contains(index)) {
            let message = &messages[index];
            let delay = until - now;
            if delay > MAX_DELAY || message.receives >= MAX_RECEIVES {
                continue;
            }
            // Rounded up, and a second more: a message that is early has to wait again.
            let seconds = u64::try_from(delay.num_milliseconds()).unwrap_or(0).div_ceil(1000) + 1;
            let hidden = self.queue.defer(&message.receipt, Duration::from_secs(seconds)).await;
            if let Err(error) = hidden {
                tracing::warn!(message_id = message.id, %error, "the message waits for too long");
            }
            returned.insert(index);
        }
        batch_response(returned.into_iter().map(|index| messages[index].id.clone()))
    }

    /// Removes empty days: those without gold, a state, and an input of their own. It looks only at
    /// models with [`MANY_PARTITIONS`], for which one listing finds them.
    async fn without_empty_partitions(
        &self,
        mut requested: BTreeMap<Work, Asked>,
        failed: &mut BTreeSet<usize>,
    ) -> BTreeMap<Work, Asked> {
        let mut days: BTreeMap<&str, Vec<Partition>> = BTreeMap::new();
        for work in requested.keys() {
            if let Work::Compute { model, partition } = work {
                days.entry(model).or_default().push(*partition);
            }
        }
        let many = days.into_iter().filter(|(_, days)| days.len() >= MANY_PARTITIONS);
        let many = many.filter_map(|(model, days)| Some((self.models.get(model)?, days)));
        let many = many
            .filter(|(model, _)| model.kind() == PartitionKind::Day && !model.reads_by_column());
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
                let asked = requested.remove(&work);
                if let Some(error) = &failure {
                    tracing::error!(
                        ?work,
                        error,
                        "could not list the lake; the queue delivers the messages again"
                    );
                    failed.extend(asked.into_iter().flat_map(|asked| asked.messages));
                }
            }
        }
        requested
    }

    fn work(&self, change: Change) -> Vec<Work> {
        match change {
            Change::Bronze { bucket, key } => vec![Work::Conform { bucket, key }],
            Change::Dirty { model, partitions, .. } => {
                let work = |partition| Work::Compute { model: model.clone(), partition };
                partitions.into_iter().map(work).collect()
            }
            Change::Reference { table } => vec![Work::RecomputeReaders { table }],
            Change::Silver { dataset, partition, .. } => self
                .models
                .dirtied_by(&dataset, partition)
                .into_iter()
                .map(|(model, partition)| Work::Compute { model, partition })
                .collect(),
        }
    }

    async fn start(
        &self,
        work: &Work,
        asked: &Asked,
        messages: &[Message],
    ) -> anyhow::Result<Ended> {
        match work {
            Work::Conform { bucket, key } => {
                tracing::info!(key, "conforming");
                self.executions.start_bronze_to_silver(bucket, key).await?;
                Ok(Ended::Done)
            }
            Work::Compute { model, partition } => {
                let model = self.models.get(model).with_context(|| {
                    format!(
                        "no model {model:?}: it was removed or renamed while the message waited"
                    )
                })?;
                let kind = model.kind();
                ensure!(
                    kind.has(*partition),
                    "invalid partition \"{partition}\" of model {:?}: expected a {kind}",
                    model.name
                );
                let receives = asked.messages.iter().map(|index| messages[*index].receives).max();
                let doubled = receives.unwrap_or(1).saturating_sub(1).min(6);
                let slot_delay = FIRST_SLOT_DELAY * (1 << doubled);
                self.compute(model, *partition, asked.request, slot_delay).await
            }
            Work::RecomputeReaders { table } => {
                self.recompute_readers(table).await?;
                Ok(Ended::Done)
            }
        }
    }
}

impl Message {
    fn new(record: SqsMessage) -> Self {
        let attribute = |name: &str| record.attributes.get(name)?.parse::<i64>().ok();
        let receives = attribute("ApproximateReceiveCount");
        Self {
            receives: receives.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
            sent_at: attribute("SentTimestamp").and_then(DateTime::from_timestamp_millis),
            id: record.message_id.unwrap_or_default(),
            receipt: record.receipt_handle.unwrap_or_default(),
        }
    }
}

impl Asked {
    /// Returns what no message has asked for yet: anything that was sent before now will do, at any
    /// time.
    fn first() -> Self {
        let (sent_at, turn) = (Some(DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MAX_UTC));
        let request = Request { recompute: false, sent_at, turn };
        Self { messages: BTreeSet::new(), request }
    }

    fn add(
        &mut self,
        index: usize,
        message: &Message,
        recompute: bool,
        turn: Option<DateTime<Utc>>,
    ) {
        self.messages.insert(index);
        let turns = self.request.turn.zip(turn);
        self.request.turn = turns.map(|(one, other)| one.min(other));
        self.request.recompute |= recompute;
        let sent_at = self.request.sent_at.zip(message.sent_at);
        self.request.sent_at = sent_at.map(|(one, other)| one.max(other));
    }

    /// Returns the messages that wait for the partition: those that have waited before, and one if
    /// none waits for it. The state keeps what the others report.
    fn waiting(&self, messages: &[Message], is_known: bool) -> Vec<usize> {
        let again = self.messages.iter().copied().filter(|index| messages[*index].receives > 1);
        let again: Vec<_> = again.collect();
        if again.is_empty() && !is_known {
            return self.messages.first().copied().into_iter().collect();
        }
        again
    }
}

/// Returns the work of a batch with live data before backfills and old days, which would otherwise
/// delay it by the time that they take.
fn live_first(requested: BTreeMap<Work, Asked>, now: DateTime<Utc>) -> Vec<(Work, Asked)> {
    let mut requested: Vec<_> = requested.into_iter().collect();
    requested.sort_by_key(|(work, asked)| match work {
        Work::Compute { partition, .. } => asked.request.recompute || is_old(*partition, now),
        Work::Conform { .. } | Work::RecomputeReaders { .. } => false,
    });
    requested
}

fn batch_response(returned: impl Iterator<Item = String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = returned
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
        conformed, created, deferred, dirty, dispatch, end, event, failures, job, silver, started,
        take_jobs,
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
        let mut days: Vec<_> =
            started(&dispatch).await.iter().map(|job| job.partition.value.to_string()).collect();
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
    async fn a_message_waits_for_the_first_of_its_partitions() {
        let dispatch = dispatch();
        let key = "silver/visits/dt=2010-12-01/a.parquet";
        let next_day = "silver/visits/dt=2010-12-02/a.parquet";
        for key in [key, next_day] {
            silver(&dispatch, key).await;
        }
        dispatch.handle(event(&[dirty("visits_per_day", "2010-12-01")])).await;
        let [first] = started(&dispatch).await.try_into().unwrap();
        end(&dispatch, &first, shoplake_jobs::JobOutcome::Unchanged).await;
        dispatch.clock.advance(TimeDelta::seconds(8));
        dispatch.handle(event(&[dirty("visits_per_day", "2010-12-02")])).await;
        let [second] = started(&dispatch).await.try_into().unwrap();
        end(&dispatch, &second, shoplake_jobs::JobOutcome::Unchanged).await;

        // The object dirties both days: the first may be computed at 20 s, the second at 28 s.
        let response = dispatch.handle(event(&[created(key)])).await;
        assert_eq!(failures(&response), ["message-0"]);
        assert_eq!(deferred(&dispatch), [("message-0".to_owned(), 13)]);
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
