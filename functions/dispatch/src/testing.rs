//! A small lake for tests: a dataset of visits, and a model that counts them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::DateTime;
use shoplake_aws::{DirtyQueue, Execution, GlueRun, MemoryDirtyQueue, MemoryExecutions, PortError};
use shoplake_jobs::{JobDocument, JobOutcome, PartitionDirty, Withheld};
use shoplake_lake::state::{self, Completion, runs};
use shoplake_lake::{Condition, MemoryStore, Store, shops};
use shoplake_models::Models;
use shoplake_platform::clock::{Clock, ManualClock};
use shoplake_platform::metrics::{MemorySink, Metrics};

use crate::engine::Engines;
use crate::handler::Dispatch;

const MODEL: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.visits"]
-- lookback_days = 1
-- every_seconds = 20
with final as (
    select
        shop_id,
        cast(occurred_at as date) as day,
        count(*) as visits
    from silver.visits
    group by shop_id, cast(occurred_at as date)
)

select
    shop_id,
    day,
    visits
from final
"#;

const WEIGHTED: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["gold.visits_per_day", "reference.weights"]
-- lookback_days = 6
select
    visits_per_day.shop_id,
    visits_per_day.day,
    visits_per_day.visits * weights.weight as weighted
from gold.visits_per_day as visits_per_day
join reference.weights as weights
on visits_per_day.shop_id = weights.shop_id
"#;

const WEIGHTS: &str = r#"# description = "What a visit weighs."
# key = ["shop_id"]
# columns = { shop_id = "string", weight = "bigint" }
shop_id,weight
a,1
"#;

pub(crate) type TestDispatch =
    Dispatch<MemoryStore, MemoryExecutions, Deferrals, MemoryDirtyQueue, ManualClock>;

/// A queue that records which messages were put off, and for how many seconds.
#[derive(Default)]
pub(crate) struct Deferrals(Mutex<Vec<(String, u64)>>);

#[async_trait]
impl DirtyQueue for Deferrals {
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError> {
        panic!("dispatch sends nothing to its own queue: {bodies:?}")
    }

    async fn defer(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        self.0.lock().unwrap().push((receipt.to_owned(), delay.as_secs()));
        Ok(())
    }
}

/// Takes the messages that were put off, with the seconds.
pub(crate) fn deferred(dispatch: &TestDispatch) -> Vec<(String, u64)> {
    std::mem::take(&mut *dispatch.queue.0.lock().unwrap())
}

/// An empty lake at 1970-01-01.
pub(crate) fn dispatch() -> TestDispatch {
    let contracts = shoplake_testing::visits::contracts();
    let sources = [
        ("marketing/visits_per_day.sql", MODEL),
        ("intermediate/weighted_visits.sql", WEIGHTED),
        ("reference/weights.csv", WEIGHTS),
    ];
    Dispatch {
        models: Models::from_sources(&contracts, sources).unwrap(),
        lake: MemoryStore::default(),
        executions: MemoryExecutions::default(),
        engines: Engines { lambda_runs: 20, glue_runs: 3, glue_above_bytes: 1000 },
        old_days_per_hour: None,
        queue: Deferrals::default(),
        publisher: MemoryDirtyQueue::default(),
        clock: ManualClock::new(DateTime::UNIX_EPOCH),
        metrics: Metrics::new("dispatch", Arc::new(MemorySink::default())),
    }
}

/// A batch of messages, `message-0` and so on, received for the first time.
pub(crate) fn event(bodies: &[String]) -> SqsEvent {
    redelivered(bodies, 1)
}

/// A batch of messages that were received so many times.
pub(crate) fn redelivered(bodies: &[String], receives: u32) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(format!("message-{index}"));
            message.receipt_handle = Some(format!("message-{index}"));
            let name = "ApproximateReceiveCount".to_owned();
            message.attributes.insert(name, receives.to_string());
            message.body = Some(body.clone());
            message
        })
        .collect();
    event
}

/// The message about a new object.
pub(crate) fn created(key: &str) -> String {
    serde_json::json!({
        "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "lake"}, "object": {"key": key}},
    })
    .to_string()
}

/// The message about a dirty partition.
pub(crate) fn dirty(model: &str, partition: &str) -> String {
    PartitionDirty::one(model, partition.parse().unwrap(), "test".into()).event().to_string()
}

pub(crate) fn failures(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

/// Writes an object whose content is its key.
pub(crate) async fn silver(dispatch: &TestDispatch, key: &str) {
    silver_of(dispatch, key, &[]).await;
}

/// Writes an object with rows of these shops.
pub(crate) async fn silver_of(dispatch: &TestDispatch, key: &str, shops: &[&str]) {
    let names: Vec<_> = shops.iter().map(|shop| (*shop).to_owned()).collect();
    let bytes = key.to_owned().into();
    dispatch.lake.put(key, bytes, shops::metadata(&names), Condition::Always).await.unwrap();
}

/// Takes the keys of the jobs that were started on Lambda.
pub(crate) fn take_jobs(dispatch: &TestDispatch) -> Vec<String> {
    take(dispatch, |execution| match execution {
        Execution::SilverToGold { job } => Ok(job),
        other => Err(other),
    })
}

/// Takes the jobs that were started on Glue.
pub(crate) fn take_glue_runs(dispatch: &TestDispatch) -> Vec<GlueRun> {
    take(dispatch, |execution| match execution {
        Execution::SilverToGoldGlue(run) => Ok(run),
        other => Err(other),
    })
}

/// Takes the keys of the bronze objects whose conforming was started.
pub(crate) fn conformed(dispatch: &TestDispatch) -> Vec<String> {
    take(dispatch, |execution| match execution {
        Execution::BronzeToSilver { key, .. } => Ok(key),
        other => Err(other),
    })
}

/// Takes the executions of one kind, and leaves the others.
fn take<T>(dispatch: &TestDispatch, of_kind: impl Fn(Execution) -> Result<T, Execution>) -> Vec<T> {
    let mut taken = Vec::new();
    for execution in dispatch.executions.take_all() {
        match of_kind(execution) {
            Ok(found) => taken.push(found),
            Err(other) => dispatch.executions.add(other),
        }
    }
    taken
}

/// Takes the jobs that were started on Lambda.
pub(crate) async fn started(dispatch: &TestDispatch) -> Vec<JobDocument> {
    let mut jobs = Vec::new();
    for key in take_jobs(dispatch) {
        jobs.push(job(dispatch, &key).await);
    }
    jobs
}

pub(crate) async fn job(dispatch: &TestDispatch, key: &str) -> JobDocument {
    serde_json::from_slice(&dispatch.lake.get(key).await.unwrap().unwrap().bytes).unwrap()
}

/// Writes the gold object of the job, as transform does before it publishes.
pub(crate) async fn put_gold(dispatch: &TestDispatch, job: &JobDocument) {
    let metadata = [
        ("version", job.output.version.to_string()),
        ("inputs", job.output.inputs_digest.clone()),
        ("job", job.id.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    dispatch
        .lake
        .put(&job.output.key, job.id.clone().into(), metadata, Condition::Always)
        .await
        .unwrap();
}

/// Ends a job as transform does, and returns whether its partition is dirty again.
pub(crate) async fn end(dispatch: &TestDispatch, job: &JobDocument, outcome: JobOutcome) -> bool {
    let version = match outcome {
        JobOutcome::Committed => job.output.version,
        _ => job.output.version - 1,
    };
    let completion = Completion {
        job: job.id.clone(),
        outcome,
        inputs: job.output.inputs_digest.clone(),
        gold: job.output.expected_etag.clone(),
        version,
        notifies: job.alert.is_some(),
        withheld: Withheld::default(),
        alert: vec![],
        at: dispatch.clock.now(),
    };
    let (is_dirty, slot) =
        state::update(&dispatch.lake, &job.model, job.partition.value, |state| {
            let slot = state.lease.as_ref().and_then(|lease| lease.slot);
            (state.complete(completion.clone()), slot)
        })
        .await
        .unwrap();
    if let Some(slot) = slot {
        runs::free(&dispatch.lake, slot, &job.id).await.unwrap();
    }
    is_dirty
}

/// Commits as transform and load do. Returns whether the partition is dirty again.
pub(crate) async fn commit(dispatch: &TestDispatch, job: &JobDocument) -> bool {
    put_gold(dispatch, job).await;
    let is_dirty = end(dispatch, job, JobOutcome::Committed).await;
    let load = |state: &mut state::PartitionState| state.load(job.output.version);
    state::update(&dispatch.lake, &job.model, job.partition.value, load).await.unwrap();
    is_dirty
}
