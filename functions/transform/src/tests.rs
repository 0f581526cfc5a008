//! The commit protocol over a lake in memory, with writers that race.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use futures::future::join_all;
use lambda_runtime::Diagnostic;
use proptest::prelude::*;
use shoplake_aws::{Fault, MemoryDirtyQueue};
use shoplake_engine::{Gold, Limits, gold};
use shoplake_jobs::{JobDocument, JobOutcome, JobResult, PartitionDirty};
use shoplake_lake::lease::{self, Acquired};
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError, Store, StoreError,
};
use shoplake_models::Plan;
use shoplake_testing::{Lake, Row, row, texts};

use crate::handler::{Request, Transform};

const MODEL: &str = "total_sales_by_region_product";
const DAY: &str = "2010-12-01";
const GOLD: &str = "gold/total_sales_by_region_product/business_date=2010-12-01/data.parquet";

/// Takes the dirty partitions that were sent.
fn taken(queue: &MemoryDirtyQueue) -> Vec<PartitionDirty> {
    queue.take_dirty().into_iter().map(|(dirty, _)| dirty).collect()
}

/// A store where something happens between what a writer read and what it writes to gold.
struct Meddled {
    lake: Arc<Lake>,
    meddling: Mutex<Option<Meddling>>,
}

enum Meddling {
    /// Another writer commits first.
    Commit(Bytes),
    /// The write is done, but its answer is lost; the client sends it again.
    LoseAnswer,
}

#[async_trait]
impl Store for Meddled {
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
        notes: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        let meddling =
            if key.starts_with("gold/") { self.meddling.lock().unwrap().take() } else { None };
        match meddling {
            Some(Meddling::Commit(other)) => {
                self.inner().put(key, other, Metadata::new(), Condition::Always).await?;
            }
            Some(Meddling::LoseAnswer) => {
                self.inner().put(key, bytes.clone(), notes.clone(), condition.clone()).await?;
            }
            None => {}
        }
        self.inner().put(key, bytes, notes, condition).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner().delete(key).await
    }
}

impl Meddled {
    fn inner(&self) -> &MemoryStore {
        &self.lake.store
    }
}

/// A lake, the function over it, and what the function sent.
struct World {
    lake: Arc<Lake>,
    store: Arc<Meddled>,
    events: Arc<MemoryDirtyQueue>,
    queue: Arc<MemoryDirtyQueue>,
    transform: Transform,
}

impl World {
    fn new(lake: Lake) -> Self {
        let lake = Arc::new(lake);
        let store = Arc::new(Meddled { lake: lake.clone(), meddling: Mutex::default() });
        let (events, queue) =
            (Arc::new(MemoryDirtyQueue::default()), Arc::new(MemoryDirtyQueue::default()));
        let transform = Transform {
            store: store.clone(),
            publisher: events.clone(),
            queue: queue.clone(),
            limits: Limits::default(),
        };
        Self { lake, store, events, queue, transform }
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

    /// Plans, and stores the document, as dispatch does.
    async fn plan(&self) -> Option<JobDocument> {
        let Plan::Job(job) = self.lake.plan(MODEL, DAY).await else { return None };
        let document = serde_json::to_vec(&job).unwrap();
        self.lake
            .store
            .put(&key(&job), document.into(), Metadata::new(), Condition::Always)
            .await
            .unwrap();
        Some(*job)
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

fn key(job: &JobDocument) -> String {
    shoplake_lake::keys::job(&job.model, &job.partition.value.to_string(), &job.id)
}

/// A line of one unit at 2.50.
fn sale(line: u32) -> Row {
    row(
        &[
            ("shop_id", "acme"),
            ("transaction_id", "t1"),
            ("store_id", "s1"),
            ("region", "north"),
            ("product_id", "p1"),
            ("quantity", "1"),
            ("unit_price", "2.50"),
            ("discount", "0"),
            ("currency", "GBP"),
            ("sold_at", "2010-12-01T10:00:00Z"),
            ("business_date", DAY),
            ("_received_at", "2010-12-02T00:00:00Z"),
        ],
        &[("line_no", &(line + 1).to_string()), ("_envelope_id", &format!("e{line}"))],
    )
}

fn partitions(messages: &[PartitionDirty]) -> Vec<String> {
    let named = messages.iter().flat_map(|dirty| {
        dirty.partitions().unwrap().map(|partition| format!("{} {partition}", dirty.model))
    });
    named.collect()
}

#[tokio::test]
async fn given_new_rows_then_they_are_committed_with_what_the_load_needs() {
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
    let (rows, notes) = world.gold().await;
    assert_eq!(rows, ["acme|2010-12-01|north|p1|GBP|5.0000|0.0000|5.0000|2|0|1"]);
    assert_eq!(
        (notes["version"].as_str(), notes["rows"].as_str(), &notes["job"]),
        ("1", "1", &job.id)
    );
    assert_eq!(notes["inputs"], job.output.inputs_digest);
    assert_eq!(world.plan().await, None, "and then it is up to date");
}

#[tokio::test]
async fn given_new_events_then_the_result_says_since_when_the_oldest_of_them_waits() {
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

    // What the first commit knows is no news.
    write("c", 3, "2010-12-02T00:00:20Z", "2010-12-02T00:00:30Z").await;
    let second = world.job().await;
    let result = world.run(&second).await;
    assert_eq!(result.received_at.unwrap().to_rfc3339(), "2010-12-02T00:00:20+00:00");
    let again = world.run(&second).await;
    assert_eq!(again.received_at, result.received_at, "a retry finds it in the commit");

    // A model of a model knows it from the commit that it reads.
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

    // The same rows again bring nothing.
    write("d", 3, "2010-12-02T00:00:20Z", "2010-12-02T00:00:50Z").await;
    assert_eq!(received().await, None);
}

#[tokio::test]
async fn given_the_same_rows_then_nothing_is_committed_and_nothing_announced() {
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
async fn given_an_end_between_commit_and_announcement_then_a_retry_announces_and_loads() {
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
    assert_eq!(world.gold().await.1["version"], "1", "it is not committed twice");
}

#[tokio::test]
async fn given_a_commit_that_was_replaced_before_it_was_announced_then_a_retry_announces_all_that_reads_it()
 {
    let world = World::with_downstream();
    world.write("a", &[1]).await;
    let first = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&first) }).await.unwrap_err();
    world.write("b", &[2]).await;
    world.run(&world.job().await).await;
    taken(&world.events);

    assert_eq!(world.run(&first).await.outcome, JobOutcome::Conflict);
    assert_eq!(
        partitions(&taken(&world.events)),
        ["downstream 2010-12-01", "downstream 2010-12-02"]
    );
}

#[tokio::test]
async fn given_another_commit_while_it_ran_then_the_partition_is_marked_dirty_again() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    *world.store.meddling.lock().unwrap() = Some(Meddling::Commit("another".into()));
    let result = world.run(&job).await;

    assert_eq!((result.outcome, result.load), (JobOutcome::Conflict, None));
    let marked = taken(&world.queue);
    assert_eq!(partitions(&marked), [format!("{MODEL} {DAY}")]);
    let event = marked[0].event();
    assert_eq!(
        (event["source"].as_str(), event["detail-type"].as_str()),
        (Some("shoplake"), Some("Partition Dirty"))
    );
    assert_eq!(world.lake.store.get(GOLD).await.unwrap().unwrap().bytes, "another");
}

#[tokio::test]
async fn given_a_write_whose_answer_was_lost_then_it_is_recognised_as_its_own() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    *world.store.meddling.lock().unwrap() = Some(Meddling::LoseAnswer);
    assert_eq!(world.run(&job).await.outcome, JobOutcome::Committed);
    assert_eq!(taken(&world.queue), []);
}

#[tokio::test]
async fn given_an_input_that_is_gone_then_the_partition_is_planned_again() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    world.lake.store.delete("silver/pos_sales/dt=2010-12-01/a.parquet").await.unwrap();
    assert_eq!(world.run(&job).await.outcome, JobOutcome::Conflict);
    assert_eq!(taken(&world.queue).len(), 1);
}

#[tokio::test]
async fn given_a_check_that_stops_then_nothing_is_committed_and_each_run_alerts() {
    let world = with_the_check("error");
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &[gift(1)]).await;
    for _ in 0..2 {
        let result = world.run(&world.job().await).await;
        assert_eq!(result.outcome, JobOutcome::ChecksFailed);
        assert_eq!(alerted(&result), [CHECK]);
        assert_eq!(world.lake.store.get(GOLD).await.unwrap().map(|object| object.head), None);
    }

    world.write("b", &[2]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!(
        (result.outcome, alerted(&result)),
        (JobOutcome::Committed, vec![]),
        "right rows go on"
    );
}

const CHECK: &str = "nothing_is_given_away";

/// The checks that people are alerted to.
fn alerted(result: &JobResult) -> Vec<String> {
    result.alert.iter().flatten().map(|alert| alert.check.clone()).collect()
}

/// Returns the model of total sales without its control totals, which read other datasets.
fn total_sales() -> String {
    let model = include_str!("../../../glue-sql/sales/total_sales_by_region_product.sql");
    let (header, rest) = model.split_once("--\n-- [checks.control_totals]\n").unwrap();
    let (_, query) = rest.split_once("\n\n").unwrap();
    format!("{header}\n{query}")
}

/// A world with a check that does not like what is given away, and lets it pass.
fn with_a_check() -> World {
    with_the_check("warn")
}

fn with_the_check(severity: &str) -> World {
    let model = total_sales();
    let check = r#"-- model = "total_sales_by_region_product"
-- severity = "warn"
-- description = "nothing is given away"

select shop_id, product_id, net_sales from gold.total_sales_by_region_product where net_sales <= 0
"#
    .replace("\"warn\"", &format!("\"{severity}\""));
    World::new(Lake::with_models(&[
        ("sales/total_sales_by_region_product.sql", &model),
        ("checks/nothing_is_given_away.sql", &check),
    ]))
}

/// A line of one unit that is given away.
fn gift(line: u32) -> Row {
    let mut row = sale(line);
    row.insert("discount", "2.50".to_owned());
    row
}

/// A world whose one row of gold is committed although a check does not like it.
async fn with_a_warning() -> World {
    let world = with_a_check();
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &[gift(1)]).await;
    world
}

#[tokio::test]
async fn given_any_run_then_the_result_names_all_checks_and_when_the_job_was_planned() {
    let world = with_a_warning().await;
    let planned_at = "2010-12-02T03:04:05Z".parse().unwrap();
    world.lake.store.set_now(planned_at);
    let job = world.job().await;
    let result = world.run(&job).await;

    assert_eq!(
        (result.outcome, &result.job, result.version, result.planned_at),
        (JobOutcome::Committed, &job.id, 1, planned_at)
    );
    let ran: Vec<_> = result.checks.iter().map(|check| check.name.as_str()).collect();
    let wanted: Vec<_> = job.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(ran, wanted);
    assert!(ran.contains(&"total_sales_by_region_product_key_is_unique"));
    assert!(result.checks.iter().all(|check| !check.description.is_empty()));
    let failed: Vec<_> = result.failed_checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(failed, ["nothing_is_given_away"]);
}

#[tokio::test]
async fn given_an_end_after_the_commit_then_a_retry_still_knows_which_checks_warned() {
    let world = with_a_warning().await;
    let job = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();

    let result = world.run(&job).await;
    let failed = &result.failed_checks[0];
    assert_eq!((failed.name.as_str(), failed.rows), ("nothing_is_given_away", 1));
    assert_eq!(failed.sample[0]["net_sales"].as_deref(), Some("0.0000"));
}

/// A gift, or a line that is paid for, of a shop.
fn line_of(shop: &str, line: u32, is_gift: bool) -> Row {
    let mut row = if is_gift { gift(line) } else { sale(line) };
    row.insert("shop_id", shop.to_owned());
    row
}

#[tokio::test]
async fn a_failed_check_alerts_once_for_each_shop_that_begins_to_fail() {
    let world = with_a_check();
    let write = async |name: &str, rows: &[Row]| {
        world.lake.write("pos_sales", "dt=2010-12-01", name, rows).await;
        let result = world.run(&world.job().await).await;
        let shops =
            result.alert.iter().flatten().map(|alert| alert.shops.join(" ")).collect::<Vec<_>>();
        (result.outcome, shops)
    };
    assert_eq!(
        write("a", &[line_of("acme", 1, true)]).await,
        (JobOutcome::Committed, vec!["acme".into()])
    );
    assert_eq!(write("b", &[line_of("fine", 1, false)]).await, (JobOutcome::Committed, vec![]));
    assert_eq!(
        write("c", &[line_of("other", 1, true)]).await,
        (JobOutcome::Committed, vec!["acme other".into()])
    );
    // The rows of one shop are right now: the other still fails, as people know.
    assert_eq!(write("d", &[line_of("acme", 2, false)]).await, (JobOutcome::Committed, vec![]));
    assert_eq!(write("e", &[line_of("other", 2, false)]).await, (JobOutcome::Committed, vec![]));
    // It has passed in between, so that this failure is a new one.
    let mut another = line_of("acme", 3, true);
    another.insert("product_id", "p2".to_owned());
    assert_eq!(write("f", &[another]).await, (JobOutcome::Committed, vec!["acme".into()]));
}

#[tokio::test]
async fn given_an_end_after_the_commit_then_a_retry_still_alerts_and_the_next_job_does_not() {
    let world = with_a_warning().await;
    let job = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();
    assert_eq!(alerted(&world.run(&job).await), [CHECK]);

    world.lake.write("pos_sales", "dt=2010-12-01", "b", &[gift(1)]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, alerted(&result)), (JobOutcome::Unchanged, vec![]));
}

#[tokio::test]
async fn given_the_same_rows_and_another_failure_then_they_are_committed_with_it_once() {
    let check = r#"-- model = "total_sales_by_region_product"
-- severity = "warn"
-- inputs = ["silver.control_totals"]
-- description = "no totals"

select shop_id from silver.control_totals
"#;
    let model = total_sales().replace("-- every_seconds = 20\n", "");
    let world = World::new(Lake::with_models(&[
        ("sales/total_sales_by_region_product.sql", &model),
        ("checks/no_totals.sql", check),
    ]));
    world.write("a", &[1]).await;
    world.run(&world.job().await).await;

    let totals = async |name: &str, shop: &str| {
        let texts = [
            ("shop_id", shop),
            ("dataset", "pos_sales"),
            ("batch", name),
            ("business_date", DAY),
            ("row_count", "2"),
            ("quantity_sum", "2"),
            ("completed_at", "2010-12-02T00:00:00Z"),
            ("_received_at", "2010-12-02T00:00:00Z"),
            ("_envelope_id", name),
        ];
        world.lake.write("control_totals", "dt=2010-12-01", name, &[row(&texts, &[])]).await;
        let result = world.run(&world.job().await).await;
        (result.outcome, result.version, alerted(&result).len())
    };
    assert_eq!(totals("a", "acme").await, (JobOutcome::Committed, 2, 1));
    assert_eq!(totals("b", "acme").await, (JobOutcome::Unchanged, 3, 0));
    assert_eq!(totals("c", "other").await, (JobOutcome::Committed, 3, 1));
}

/// A check that shows the customers of a model's rows.
#[tokio::test]
async fn no_result_of_a_failed_check_holds_a_customer() {
    let model = r#"-- grain = "one row per shop, day and customer"
-- key = ["shop_id", "business_date", "customer_id"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]

select shop_id, business_date, customer_id, count(*) as lines from silver.pos_sales group by shop_id, business_date, customer_id
"#;
    for severity in ["warn", "error"] {
        let check = format!(
            "-- model = \"total_sales_by_region_product\"\n-- severity = \"{severity}\"\n-- description = \"nothing is sold\"\n\n\
             select shop_id, customer_id from gold.total_sales_by_region_product\n"
        );
        let world = World::new(Lake::with_models(&[
            ("sales/total_sales_by_region_product.sql", model),
            ("checks/nothing_is_sold.sql", &check),
        ]));
        let mut sale = sale(1);
        sale.insert("customer_id", "customer-4711".to_owned());
        world.lake.write("pos_sales", "dt=2010-12-01", "a", &[sale]).await;
        let result = world.run(&world.job().await).await;
        assert_eq!(alerted(&result), ["nothing_is_sold"]);
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.contains("acme") && !text.contains("4711"), "{text}");
    }
}

/// What a commit says of itself, when nobody has its result any more.
async fn told_by_gold(world: &World) -> JobResult {
    let object = world.lake.store.get(GOLD).await.unwrap().unwrap();
    let models = world.lake.models.index();
    gold::committed(models.get(MODEL).unwrap(), DAY.parse().unwrap(), &object).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whether the day's first row, of which each batch adds a line, comes to nothing is up to its
    /// lines.
    #[test]
    fn given_any_commits_then_gold_tells_what_each_of_them_came_to(gifts in prop::collection::vec(any::<bool>(), 1..5)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let world = with_a_check();
            for (line, is_gift) in (1..).zip(gifts) {
                let row = if is_gift { gift(line) } else { sale(line) };
                world.lake.write("pos_sales", "dt=2010-12-01", &line.to_string(), &[row]).await;
                let result = world.run(&world.job().await).await;
                assert_eq!((result.outcome, result.version), (JobOutcome::Committed, line.into()));
                assert!(result.received_at.is_some() && result.load.is_some());
                assert_eq!(told_by_gold(&world).await, JobResult { received_at: None, alert: None, ..result });
            }
        });
    }
}

#[tokio::test]
async fn given_a_conflict_then_no_check_is_said_to_have_run() {
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
async fn given_a_model_with_a_notice_then_people_are_told_of_a_commit_and_of_nothing_else() {
    let source = r#"-- grain = "one row per shop, day and line"
-- key = ["shop_id", "business_date", "transaction_id", "line_no"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]
-- alert = { subject = "{product_id} was sold", started = "sold_at", ended = "ended_at" }

select shop_id, business_date, transaction_id, line_no, product_id, sold_at, cast(null as timestamp) as ended_at
from silver.pos_sales
"#;
    let world = World::new(Lake::with_models(&[(
        "intermediate/total_sales_by_region_product.sql",
        source,
    )]));
    world.write("a", &[1]).await;
    let job = world.job().await;
    let notify = world.run(&job).await.notify.unwrap();
    assert_eq!(
        (notify.partition.as_str(), notify.key.as_str(), notify.notice.started.as_str()),
        (DAY, GOLD, "sold_at")
    );
    assert_eq!(notify.identity, ["shop_id", "business_date", "transaction_id", "line_no"]);
    assert_eq!(
        world.run(&job).await.notify,
        Some(notify),
        "a retry after the commit owes it still"
    );

    world.write("b", &[1]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, result.notify), (JobOutcome::Unchanged, None));
}

#[tokio::test]
async fn given_a_job_that_ended_then_its_lease_is_free_and_another_s_is_not_touched() {
    let world = World::new(Lake::new());
    world.write("a", &[1]).await;
    let job = world.job().await;
    let now = DateTime::UNIX_EPOCH;
    let lease = shoplake_lake::keys::lease(MODEL, DAY);
    let take = async |holder: &str| {
        lease::acquire(&world.lake.store, &lease, holder, now, now + TimeDelta::seconds(310))
            .await
            .unwrap()
    };

    take(&job.id).await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();
    assert!(
        matches!(take("next").await, Acquired::Held(_)),
        "a passing fault: the job is tried again"
    );

    world.run(&job).await;
    assert_eq!(take("next").await, Acquired::Granted);
    world.run(&job).await;
    assert!(matches!(take("third").await, Acquired::Held(held) if held.job == "next"));
}

#[tokio::test]
async fn given_a_job_that_cannot_be_read_then_a_retry_is_not_worth_it() {
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
    assert!(error("jobs/x.json").await.contains("has version 1, expected 2"));
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
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// However arrivals, plans and runs interleave, no commit ever shows less than the one before
    /// it, and once everything that was marked is done, gold is what the newest listing says.
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
            // What was marked on the way is planned and run until nothing is left to do.
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
