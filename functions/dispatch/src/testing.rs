//! A small lake for tests: a dataset of visits, and a model that counts them.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::DateTime;
use shoplake_aws::{Execution, GlueRun, MemoryDirtyQueue, MemoryExecutions};
use shoplake_jobs::{JobDocument, PartitionDirty};
use shoplake_lake::{Condition, MemoryStore, Metadata, Store};
use shoplake_models::Models;
use shoplake_platform::clock::ManualClock;

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
    Dispatch<MemoryStore, MemoryExecutions, MemoryDirtyQueue, ManualClock>;

/// An empty lake at 1970-01-01.
pub(crate) fn dispatch() -> TestDispatch {
    let contracts = shoplake_testing::visits();
    let sources = [
        ("marketing/visits_per_day.sql", MODEL),
        ("intermediate/weighted_visits.sql", WEIGHTED),
        ("reference/weights.csv", WEIGHTS),
    ];
    Dispatch {
        models: Models::from_sources(&contracts, sources).unwrap(),
        lake: MemoryStore::default(),
        executions: MemoryExecutions::default(),
        engines: Engines { glue_above_bytes: 1000, glue: true },
        queue: MemoryDirtyQueue::default(),
        clock: ManualClock::new(DateTime::UNIX_EPOCH),
    }
}

/// A batch of messages, `message-0` and so on.
pub(crate) fn event(bodies: &[String]) -> SqsEvent {
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
    dispatch
        .lake
        .put(key, key.to_owned().into(), Metadata::new(), Condition::Always)
        .await
        .unwrap();
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

/// Commits as transform does, with the effects that dispatch can see.
pub(crate) async fn commit(dispatch: &TestDispatch, job: &JobDocument) {
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
    let lease = shoplake_lake::keys::lease(&job.model, job.partition.value);
    assert!(shoplake_lake::lease::release(&dispatch.lake, &lease, &job.id).await.unwrap());
}
