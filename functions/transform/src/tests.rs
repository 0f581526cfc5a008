//! The commit protocol over a lake in memory, with writers that race.

mod buckets;
mod checks;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use lambda_runtime::Diagnostic;
use proptest::prelude::*;
use shoplake_aws::{Fault, MemoryDirtyQueue};
use shoplake_engine::{DataFusion, Gold};
use shoplake_jobs::{JobDocument, JobOutcome, JobResult, PartitionDirty};
use shoplake_lake::state::{self, Lease, PartitionState, runs};
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError, Store, StoreError,
};
use shoplake_models::Plan;
use shoplake_platform::clock::ManualClock;
use shoplake_testing::{Lake, Row, texts};

use crate::handler::{Request, Transform};

const MODEL: &str = "total_sales_by_region_product";
const DAY: &str = "2010-12-01";
const GOLD: &str = "gold/total_sales_by_region_product/business_date=2010-12-01/data.parquet";

/// Takes the dirty partitions that were sent.
fn taken(queue: &MemoryDirtyQueue) -> Vec<PartitionDirty> {
    queue.take_dirty()
}

/// A store with a race between a writer's read of gold and its write.
struct RacingStore {
    lake: Arc<Lake>,
    race: Mutex<Option<Race>>,
}

enum Race {
    /// Another writer commits first.
    Commit(Bytes),
    /// The response to the write is lost, so the client sends it again.
    LoseResponse,
}

#[async_trait]
impl Store for RacingStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.inner().get(key).await
    }
    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.inner().head(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.inner().list(prefix).await
    }
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        let race = if key.starts_with("gold/") { self.race.lock().unwrap().take() } else { None };
        match race {
            Some(Race::Commit(other)) => {
                self.inner().put(key, other, Metadata::new(), Condition::Always).await?;
            }
            Some(Race::LoseResponse) => {
                self.inner().put(key, bytes.clone(), metadata.clone(), condition.clone()).await?;
            }
            None => {}
        }
        self.inner().put(key, bytes, metadata, condition).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner().delete(key).await
    }
}

impl RacingStore {
    fn inner(&self) -> &MemoryStore {
        &self.lake.store
    }
}

/// A lake, the function over it, and what the function sent.
struct World {
    lake: Arc<Lake>,
    store: Arc<RacingStore>,
    events: Arc<MemoryDirtyQueue>,
    transform: Transform,
}

impl World {
    fn new(lake: Lake) -> Self {
        let lake = Arc::new(lake);
        let store = Arc::new(RacingStore { lake: lake.clone(), race: Mutex::default() });
        let events = Arc::new(MemoryDirtyQueue::default());
        let transform = Transform {
            store: store.clone(),
            publisher: events.clone(),
            clock: Arc::new(ManualClock::new(now())),
            engine: Arc::new(DataFusion::default()),
        };
        Self { lake, store, events, transform }
    }

    /// With a model that reads the totals of two days.
    fn with_downstream() -> Self {
        let upstream = total_sales().replace("-- every_seconds = 20\n", "");
        let downstream = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "business_date"]
-- partition = "business_date"
-- inputs = ["gold.total_sales_by_region_product"]
-- lookback_days = 1

select shop_id, business_date, region from gold.total_sales_by_region_product
"#;
        Self::new(Lake::with_models(&[
            ("sales/total_sales_by_region_product.sql", &upstream),
            ("intermediate/downstream.sql", downstream),
        ]))
    }

    async fn write(&self, name: &str, lines: &[u32]) {
        let rows: Vec<_> = lines.iter().map(|line| sale(*line)).collect();
        self.lake.write("pos_sales", "dt=2010-12-01", name, &rows).await;
    }

    /// Plans, takes the lease and stores the document, as dispatch does.
    async fn plan(&self) -> Option<JobDocument> {
        let Plan::Job(job) = self.lake.plan(MODEL, DAY).await else { return None };
        let document = serde_json::to_vec(&job).unwrap();
        self.lake
            .store
            .put(&key(&job), document.into(), Metadata::new(), Condition::Always)
            .await
            .unwrap();
        self.change(|state| state.compute(lease(&job))).await;
        Some(*job)
    }

    /// Takes the lease and writes the document again, as dispatch does when a load is owed.
    async fn resume(&self, job: &JobDocument) {
        let document = serde_json::to_vec(job).unwrap();
        let always = Condition::Always;
        self.lake.store.put(&key(job), document.into(), Metadata::new(), always).await.unwrap();
        self.change(|state| state.resume(lease(job))).await;
    }

    /// Changes the state of the partition.
    async fn change<T>(&self, change: impl FnMut(&mut PartitionState) -> T) -> T {
        state::update(&self.lake.store, MODEL, DAY.parse().unwrap(), change).await.unwrap()
    }

    async fn state(&self) -> PartitionState {
        self.change(|state| state.clone()).await
    }

    async fn job(&self) -> JobDocument {
        self.plan().await.expect("there is something to do")
    }

    async fn run(&self, job: &JobDocument) -> JobResult {
        self.transform.handle(&Request { job: key(job) }).await.unwrap()
    }

    async fn gold(&self) -> (Vec<String>, Metadata) {
        let object = self.lake.store.get(GOLD).await.unwrap().unwrap();
        (texts(&Gold::decode(object.bytes).unwrap().rows), object.head.metadata)
    }
}

/// Returns the model of total sales.
fn total_sales() -> String {
    shoplake_testing::read("glue-sql/sales/total_sales_by_region_product.sql")
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn lease(job: &JobDocument) -> Lease {
    Lease {
        job: job.id.clone(),
        until: now() + TimeDelta::seconds(310),
        since: now(),
        planned_at: now(),
        recompute: false,
        resumes: false,
        slot: None,
    }
}

fn key(job: &JobDocument) -> String {
    shoplake_lake::keys::job(&job.model, job.partition.value, &job.id)
}

/// A line of one unit at 2.50.
fn sale(line: u32) -> Row {
    shoplake_testing::sale(&[("line_no", &(line + 1).to_string()), ("unit_price", "2.50")])
}

/// Takes the events, and returns how many of them are about the job's own partition.
fn own(world: &World) -> usize {
    taken(&world.events).iter().filter(|dirty| dirty.model == MODEL).count()
}

fn partitions(messages: &[PartitionDirty]) -> Vec<String> {
    let named = messages.iter().flat_map(|dirty| {
        dirty.partitions().unwrap().map(|partition| format!("{} {partition}", dirty.model))
    });
    named.collect()
}

#[tokio::test]
async fn new_rows_are_committed_with_a_load_request() {
    let world = World::new(Lake::new());
    world.write("a", &[1, 2]).await;
    let job = world.job().await;
    let result = world.run(&job).await;

    assert_eq!((result.outcome, result.rows), (JobOutcome::Committed, 1));
    let load = serde_json::to_value(result.load.unwrap()).unwrap();
    assert_eq!(load["warehouse"], "sales.total_sales_by_region_product");
    assert_eq!(
        load["partition"],
        serde_json::json!({"column": "business_date", "type": "date", "value": DAY})
    );
    assert_eq!((load["key"].as_str(), load["version"].as_u64()), (Some(GOLD), Some(1)));
    assert_eq!(
        load["columns"][5],
        serde_json::json!({"name": "gross_sales", "type": "decimal(38,4)"})
    );
    let (rows, metadata) = world.gold().await;
    assert_eq!(rows, ["acme|2010-12-01|north|p1|GBP|5.0000|0.0000|5.0000|2|0|1"]);
    assert_eq!(
        (metadata["version"].as_str(), metadata["rows"].as_str(), &metadata["job"]),
        ("1", "1", &job.id)
    );
    assert_eq!(metadata["inputs"], job.output.inputs_digest);
    assert_eq!(world.plan().await, None, "the partition is up to date");
}

#[tokio::test]
async fn the_result_has_the_receipt_of_the_oldest_unseen_event() {
    let world = World::with_downstream();
    let write = async |name: &str, line: u32, received_at: &str, written_at: &str| {
        world.lake.store.set_now(written_at.parse().unwrap());
        let sale = Row::from_iter(
            sale(line).into_iter().chain([("_received_at", received_at.to_owned())]),
        );
        world.lake.write("pos_sales", "dt=2010-12-01", name, &[sale]).await;
    };
    let received =
        async || world.run(&world.job().await).await.received_at.map(|moment| moment.to_rfc3339());

    write("a", 1, "2010-12-02T00:00:00.5Z", "2010-12-02T00:00:10Z").await;
    write("b", 2, "2010-12-02T00:00:07Z", "2010-12-02T00:00:11Z").await;
    world.lake.store.set_now("2010-12-02T00:00:12Z".parse().unwrap());
    assert_eq!(received().await.unwrap(), "2010-12-02T00:00:00.500+00:00");

    // The events of the first commit do not count again.
    write("c", 3, "2010-12-02T00:00:20Z", "2010-12-02T00:00:30Z").await;
    let second = world.job().await;
    let result = world.run(&second).await;
    assert_eq!(result.received_at.unwrap().to_rfc3339(), "2010-12-02T00:00:20+00:00");
    let again = world.run(&second).await;
    assert_eq!(again.received_at, result.received_at, "a retry finds it in the commit");

    // A model of a model reads it from the commit of its input.
    let Plan::Job(job) = world.lake.plan("downstream", DAY).await else {
        panic!("there is something to do")
    };
    let document = serde_json::to_vec(&job).unwrap();
    world
        .lake
        .store
        .put(&key(&job), document.into(), Metadata::new(), Condition::Always)
        .await
        .unwrap();
    assert_eq!(world.run(&job).await.received_at, result.received_at);

    // Unchanged rows have no receipt.
    write("d", 3, "2010-12-02T00:00:20Z", "2010-12-02T00:00:50Z").await;
    assert_eq!(received().await, None);
}

#[tokio::test]
async fn unchanged_rows_are_neither_committed_nor_published() {
    let world = World::with_downstream();
    world.write("a", &[1]).await;
    world.run(&world.job().await).await;
    assert_eq!(
        partitions(&taken(&world.events)),
        ["downstream 2010-12-01", "downstream 2010-12-02"]
    );

    world.write("b", &[1]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, result.load), (JobOutcome::Unchanged, None));
    assert_eq!(taken(&world.events), []);
    assert_eq!(world.gold().await.1["version"], "1");
}

#[tokio::test]
async fn a_retry_after_the_commit_publishes_and_loads() {
    let world = World::with_downstream();
    world.write("a", &[1]).await;
    let job = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    let error = world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();
    assert_eq!(Diagnostic::from(error).error_type, "Shoplake.Retryable");

    let result = world.run(&job).await;
    assert_eq!(result.outcome, JobOutcome::Committed);
    assert_eq!(result.load.unwrap().version, 1);
    assert_eq!(
        partitions(&taken(&world.events)),
        ["downstream 2010-12-01", "downstream 2010-12-02"]
    );
    assert_eq!(world.gold().await.1["version"], "1", "it is committed once");
}

#[tokio::test]
async fn the_next_job_publishes_what_the_replaced_commit_owes() {
    let world = World::with_downstream();
    world.write("a", &[1]).await;
    let first = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&first) }).await.unwrap_err();
    assert_eq!(world.state().await.published, 0);

    // The rows are the same, so the next job commits nothing and dirties nothing by itself.
    world.write("b", &[1]).await;
    assert_eq!(world.run(&world.job().await).await.outcome, JobOutcome::Unchanged);
    assert_eq!(
        partitions(&taken(&world.events)),
        ["downstream 2010-12-01", "downstream 2010-12-02"]
    );
    let state = world.state().await;
    assert_eq!((state.committed, state.published), (1, 1));

    world.write("c", &[1]).await;
    world.run(&world.job().await).await;
    assert_eq!(taken(&world.events), [], "it is published once");
}

#[tokio::test]
async fn a_published_commit_is_resumed_without_its_events() {
    let world = World::with_downstream();
    world.write("a", &[1]).await;
    let job = world.job().await;
    world.lake.store.set_now("2010-12-02T00:00:00Z".parse().unwrap());
    let first = world.run(&job).await;
    taken(&world.events);
    world.resume(&job).await;

    let again = world.run(&job).await;
    assert_eq!(taken(&world.events), []);
    assert_eq!((&again.load, again.planned_at), (&first.load, first.planned_at));
}

#[tokio::test]
async fn a_lost_race_publishes_the_partition_again() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    *world.store.race.lock().unwrap() = Some(Race::Commit("another".into()));
    let result = world.run(&job).await;

    assert_eq!((result.outcome, result.load), (JobOutcome::Conflict, None));
    let marked = taken(&world.events);
    assert_eq!(partitions(&marked), [format!("{MODEL} {DAY}")]);
    let event = marked[0].event();
    assert_eq!(
        (event["source"].as_str(), event["detail-type"].as_str()),
        (Some("shoplake"), Some("Partition Dirty"))
    );
    assert_eq!(world.lake.store.get(GOLD).await.unwrap().unwrap().bytes, "another");
    let state = world.state().await;
    assert!(state.lease.is_none() && state.dirty_since.is_some());
}

#[tokio::test]
async fn a_commit_with_a_lost_response_is_recognized() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    *world.store.race.lock().unwrap() = Some(Race::LoseResponse);
    assert_eq!(world.run(&job).await.outcome, JobOutcome::Committed);
    assert_eq!(own(&world), 0);
}

#[tokio::test]
async fn a_deleted_input_publishes_the_partition_again() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    world.lake.store.delete("silver/pos_sales/dt=2010-12-01/a.parquet").await.unwrap();
    assert_eq!(world.run(&job).await.outcome, JobOutcome::Conflict);
    assert_eq!(taken(&world.events).len(), 1);
}

#[tokio::test]
async fn a_conflict_names_no_checks() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    world.run(&job).await;
    world.write("b", &[2]).await;
    world.run(&world.job().await).await;
    let result = world.run(&job).await;
    assert_eq!((result.outcome, result.checks), (JobOutcome::Conflict, vec![]));
}

#[tokio::test]
async fn only_a_commit_of_an_alerting_model_notifies() {
    let source = r#"-- grain = "one row per shop, day and line"
-- key = ["shop_id", "business_date", "transaction_id", "line_no"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- alert = { subject = "{product_id} was sold", started = "sold_at", ended = "ended_at" }

select shop_id, business_date, transaction_id, line_no, product_id, sold_at,
    cast(null as timestamp) as ended_at
from silver.pos_sales
"#;
    let world = World::new(Lake::with_models(&[(
        "intermediate/total_sales_by_region_product.sql",
        source,
    )]));
    world.write("a", &[1]).await;
    let job = world.job().await;
    let notify = world.run(&job).await.notify.unwrap();
    assert_eq!(notify.partition.to_string(), DAY);
    assert_eq!((notify.key.as_str(), notify.alert.started.as_str()), (GOLD, "sold_at"));
    assert_eq!(notify.identity, ["shop_id", "business_date", "transaction_id", "line_no"]);
    assert_eq!(world.run(&job).await.notify, Some(notify), "a retry after the commit notifies");

    world.write("b", &[1]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, result.notify), (JobOutcome::Unchanged, None));
}

#[tokio::test]
async fn the_end_of_a_job_is_recorded_in_the_state() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    let slot = runs::Run {
        model: MODEL.to_owned(),
        partition: DAY.parse().unwrap(),
        job: job.id.clone(),
        until: now() + TimeDelta::seconds(310),
    };
    let slot = runs::take(&world.lake.store, &slot, 0..2, true, now()).await.unwrap();
    world.change(|state| state.lease.as_mut().unwrap().slot = slot).await;
    world.change(|state| state.note_dirty(now(), false)).await;

    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();
    assert!(world.state().await.is_held_by(&job.id), "a retry runs the same job");

    world.run(&job).await;
    let state = world.state().await;
    assert_eq!((&state.lease, state.committed, state.published), (&None, 1, 1));
    assert_eq!((state.loaded, state.notified), (0, 1), "the model has a table and no alert");
    let computed = state.computed.unwrap();
    assert_eq!(
        (computed.outcome, computed.inputs),
        (JobOutcome::Committed, job.output.inputs_digest)
    );
    assert_eq!(own(&world), 1, "it is dirty again");
    assert!(world.lake.store.list("state/runs/").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_commit_of_a_model_without_a_table_owes_its_check_results() {
    let source = total_sales().replace("-- every_seconds = 20\n", "");
    let path = "intermediate/total_sales_by_region_product.sql";
    let world = World::new(Lake::with_models(&[(path, &source)]));
    world.write("a", &[1]).await;
    let result = world.run(&world.job().await).await;
    assert!(result.load.is_none() && !result.checks.is_empty());
    let state = world.state().await;
    assert_eq!((state.committed, state.loaded, state.notified), (1, 0, 1));
    assert!(!state.is_settled());
}

#[tokio::test]
async fn a_job_that_has_lost_its_lease_records_only_its_commit() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    world.change(|state| state.lease.as_mut().unwrap().job = "next".to_owned()).await;
    world.run(&job).await;
    let state = world.state().await;
    assert!(state.is_held_by("next") && state.computed.is_none());
    assert_eq!((state.committed, state.published), (1, 1));
}

#[tokio::test]
async fn an_invalid_job_document_fails_permanently() {
    let world = World::new(Lake::new());
    let error = async |key: &str| {
        let error = world.transform.handle(&Request { job: key.to_owned() }).await.unwrap_err();
        let diagnostic = Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "Shoplake.Permanent");
        diagnostic.error_message
    };
    assert!(error("jobs/none.json").await.contains("no job document"));

    world
        .lake
        .store
        .put("jobs/x.json", "{}".into(), Metadata::new(), Condition::Always)
        .await
        .unwrap();
    assert!(error("jobs/x.json").await.contains("missing field"));

    world.write("a", &[1]).await;
    let mut job = world.job().await;
    job.version = 1;
    let document = serde_json::to_vec(&job).unwrap();
    world
        .lake
        .store
        .put("jobs/x.json", document.into(), Metadata::new(), Condition::Always)
        .await
        .unwrap();
    assert!(error("jobs/x.json").await.contains("has version 1, expected 3"));
}

#[derive(Clone, Debug)]
enum Step {
    /// An object arrives.
    Arrive(Vec<u32>),
    /// Dispatch plans.
    Plan,
    /// All jobs that were planned so far run at once.
    Run,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        prop::collection::vec(0..20_u32, 1..5).prop_map(Step::Arrive),
        Just(Step::Plan),
        Just(Step::Plan),
        Just(Step::Run),
    ];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// However arrivals, plans and runs interleave, no commit has fewer units than the one before
    /// it, and gold ends with the units of the newest listing.
    #[test]
    fn concurrent_recomputations_end_with_the_newest_answer(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let world = World::new(Lake::new());
            let mut arrived: BTreeSet<u32> = BTreeSet::new();
            let mut planned: Vec<JobDocument> = Vec::new();
            let mut seen = 0;
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Step::Arrive(lines) => {
                        world.write(&number.to_string(), lines).await;
                        arrived.extend(lines);
                    }
                    Step::Plan => planned.extend(world.plan().await),
                    Step::Run => {
                        join_all(planned.iter().map(|job| world.run(job))).await;
                        planned.clear();
                        if world.lake.store.head(GOLD).await.unwrap().is_some() {
                            let units = units(&world.gold().await.0);
                            assert!(units >= seen, "{units} after {seen}");
                            seen = units;
                        }
                    }
                }
            }
            join_all(planned.iter().map(|job| world.run(job))).await;
            // Plans and runs the partitions that conflicts sent to the queue.
            while let Some(job) = world.plan().await {
                if world.run(&job).await.outcome == JobOutcome::Unchanged {
                    break;
                }
            }
            if !arrived.is_empty() {
                assert_eq!(units(&world.gold().await.0), arrived.len());
            }
        });
    }
}

/// The units sold in all rows.
fn units(rows: &[String]) -> usize {
    rows.iter()
        .filter_map(|row| row.split('|').nth(8))
        .filter_map(|units| units.parse::<usize>().ok())
        .sum()
}
