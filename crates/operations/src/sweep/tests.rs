//! Sweeps of a lake in memory.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use shoplake_aws::topic::MemoryTopic;
use shoplake_aws::{Execution, Fault, MemoryDirtyQueue, MemoryExecutions};
use shoplake_jobs::{Buckets, CheckAlert, Correspondence, JobOutcome, Severity, Window, Withheld};
use shoplake_lake::state::{Completion, Lease, Step};
use shoplake_lake::{ETag, Entry, Head, MemoryStore, Object};

use super::*;

const MODEL: &str = "daily";
const SILVER: &str = "silver/visits/dt=2010-12-01/a.parquet";

/// The time of the sweep, in seconds after midnight of 2010-12-02.
fn at(second: i64) -> DateTime<Utc> {
    "2010-12-02T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(second)
}

fn day(text: &str) -> Partition {
    text.parse().unwrap()
}

/// A model of visits with a reference table, and one that reads three days of it. A model of orders
/// by bucket, whose number was doubled, and one that reads its days.
fn models() -> ModelIndex {
    let model = |name: &str, input: &str, kinds: [PartitionKind; 2], read: Correspondence| {
        let [kind, kind_of_input] = kinds;
        let input =
            IndexedInput { name: input.to_owned(), kind: kind_of_input, correspondence: read };
        of_input(name, kind, input)
    };
    let days = |lookback_days| Correspondence::Days(Window { lookback_days, lookahead_days: 0 });
    let by_day = Correspondence::ByColumn { column: "day".to_owned(), window: Window::default() };
    let (day, buckets) = (PartitionKind::Day, PartitionKind::Bucket(Buckets::new(4)));
    let doubled = PartitionKind::Bucket(Buckets { count: 4, oldest: 2 });
    let daily = model(MODEL, "silver.visits", [day, day], days(0));
    let models = vec![
        IndexedModel { references: vec!["weights".to_owned()], ..daily },
        model("weekly", "gold.daily", [day, day], days(2)),
        model("orders_clean", "silver.orders", [buckets, doubled], Correspondence::Same),
        model("order_days", "gold.orders_clean", [day, buckets], by_day),
    ];
    let table = json!({"name": "weights", "description": "Weights.", "key": ["shop_id"],
        "columns": {"shop_id": "string"}, "csv": "shop_id\nacme\n"});
    let references = serde_json::from_value(json!({"weights": table})).unwrap();
    ModelIndex { models, references, ..ModelIndex::default() }
}

fn of_input(name: &str, kind: PartitionKind, input: IndexedInput) -> IndexedModel {
    IndexedModel {
        name: name.to_owned(),
        partition: "day".to_owned(),
        kind,
        first: vec![input.name.clone()],
        inputs: vec![input],
        every_seconds: 20,
        key: vec![],
        warehouse: None,
        checks: vec![],
        references: vec![],
        grain: "one row per shop and day".to_owned().try_into().unwrap(),
        columns: BTreeMap::new(),
    }
}

/// A lake that fails to read an object, or to list a folder or a day of one.
struct Unreadable<'a> {
    lake: &'a MemoryStore,
    key: &'a str,
}

impl Unreadable<'_> {
    fn check(&self, key: &str) -> Result<(), StoreError> {
        let cause = "AccessDenied".to_owned();
        let error = StoreError { action: "read", key: key.to_owned(), cause };
        if key == self.key { Err(error) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Unreadable<'_> {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.check(key)?;
        self.lake.get(key).await
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.lake.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.check(prefix)?;
        self.lake.list(prefix).await
    }

    async fn newest(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.check(&format!("{prefix}{first}"))?;
        self.lake.newest(prefix, first, last).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        self.lake.put(key, bytes, metadata, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.lake.delete(key).await
    }
}

#[derive(Default)]
struct World {
    contracts: Contracts,
    lake: MemoryStore,
    queue: MemoryDirtyQueue,
    executions: MemoryExecutions,
    topic: MemoryTopic,
}

impl World {
    async fn write(&self, key: &str, second: i64) {
        self.lake.set_now(at(second));
        let put = self.lake.put(key, "x".into(), Metadata::new(), Condition::Always);
        put.await.unwrap();
    }

    async fn change(&self, day: &str, change: impl FnMut(&mut PartitionState)) {
        state::update(&self.lake, MODEL, day.parse().unwrap(), change).await.unwrap();
    }

    /// A job computes the partition, planned and ended at this time, and commits nothing.
    async fn compute(&self, day: &str, second: i64) {
        self.end(day, second, JobOutcome::Unchanged, 0, vec![]).await;
    }

    async fn end(
        &self,
        day: &str,
        second: i64,
        outcome: JobOutcome,
        version: u64,
        alert: Vec<CheckAlert>,
    ) {
        self.lake.set_now(at(second));
        self.change(day, |state| {
            state.compute(Lease {
                job: "a".to_owned(),
                until: at(second + 310),
                since: at(second),
                planned_at: at(second),
                recompute: false,
                resumes: false,
                slot: None,
            });
            state.complete(Completion {
                job: "a".to_owned(),
                outcome,
                inputs: String::new(),
                gold: None,
                version,
                notifies: false,
                withheld: Withheld::default(),
                alert: alert.clone(),
                at: at(second),
            });
            state.load(version);
            state.record_checks("a");
        })
        .await;
    }

    /// Sweeps, and returns what was sent.
    async fn sweep(&self, second: i64) -> (Swept, Vec<String>) {
        let (swept, sent) = self.sweep_through(&self.lake, second).await;
        (swept.unwrap(), sent)
    }

    /// Sweeps a lake that cannot read what has this key. Returns the failure, and what was sent.
    async fn sweep_without(&self, key: &str, second: i64) -> (Failure, Vec<String>) {
        let lake = Unreadable { lake: &self.lake, key };
        let (swept, sent) = self.sweep_through(&lake, second).await;
        (swept.unwrap_err(), sent)
    }

    async fn sweep_through(
        &self,
        lake: &dyn Store,
        second: i64,
    ) -> (Result<Swept, Failure>, Vec<String>) {
        self.lake.set_now(at(second));
        let sweep = Sweep {
            models: &models(),
            contracts: &self.contracts,
            lake,
            bucket: "lake",
            queue: &self.queue,
            executions: &self.executions,
            topic: &self.topic,
            now: at(second),
        };
        let swept = sweep.run().await;
        let sent = self.queue.take_dirty().into_iter();
        let sent = sent.map(|dirty| format!("{} {}", dirty.model, dirty.partition)).collect();
        (swept, sent)
    }
}

#[tokio::test]
async fn a_lost_message_about_tomorrow_is_found_at_once() {
    let world = World::default();
    world.write("silver/visits/dt=2010-12-03/a.parquet", 0).await;
    // The comparison of all days has ended.
    world.sweep(0).await;
    let (swept, sent) = world.sweep(120).await;
    assert_eq!((swept.found, sent), (1, vec!["daily 2010-12-03".to_owned()]));
}

#[tokio::test]
async fn a_lost_message_is_found_and_sent() {
    let world = World::default();
    world.write(SILVER, 0).await;
    let (swept, sent) = world.sweep(119).await;
    assert_eq!((swept.found, sent.len()), (0, 0), "its message may be on its way");
    let (swept, sent) = world.sweep(120).await;
    assert_eq!((swept.found, swept.owed, sent), (1, 1, vec!["daily 2010-12-01".to_owned()]));
    let (swept, sent) = world.sweep(180).await;
    assert_eq!(
        (swept.found, sent),
        (0, vec!["daily 2010-12-01".to_owned()]),
        "until it is planned"
    );

    world.compute("2010-12-01", 200).await;
    let (swept, sent) = world.sweep(400).await;
    assert_eq!((swept.found, swept.owed, sent.len()), (0, 0, 0));
}

#[tokio::test]
async fn an_object_after_the_last_plan_is_found() {
    let world = World::default();
    world.write(SILVER, 0).await;
    world.compute("2010-12-01", 3).await;
    assert_eq!(world.sweep(300).await.0.found, 0);
    world.write("silver/visits/dt=2010-12-01/b.parquet", 301).await;
    assert_eq!(world.sweep(500).await.0.found, 1);
    // dispatch finds it up to date.
    world.change("2010-12-01", |state| state.up_to_date(at(510))).await;
    assert_eq!(world.sweep(900).await.0.found, 0);
}

#[tokio::test]
async fn an_object_is_found_although_the_clocks_differ() {
    let world = World::default();
    world.compute("2010-12-01", 3).await;
    // It was written at second 1.9 by the clock of S3, which is 2 seconds behind the clock of
    // dispatch.
    world.write(SILVER, 1).await;
    assert_eq!(world.sweep(300).await.0.found, 1);
}

#[tokio::test]
async fn gold_that_the_state_does_not_know_is_found() {
    let world = World::default();
    world.write("gold/daily/day=2010-12-01/data.parquet", 0).await;
    let (swept, _) = world.sweep(200).await;
    // The partition itself, and that of the model that reads it on its own day.
    assert_eq!(swept.found, 2);
    let owed = world.lake.list(keys::OWED).await.unwrap();
    let keys: Vec<_> = owed.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["state/owed/daily/2010-12-01", "state/owed/weekly/2010-12-01"]);
}

#[tokio::test]
async fn buckets_are_compared_once_a_day() {
    let world = World::default();
    // Its rows may be those of the bucket 3 as well, from before the number was doubled.
    world.write("silver/orders/bucket=0001/a.parquet", 0).await;
    let (swept, sent) = world.sweep(120).await;
    assert_eq!(
        (swept.found, sent),
        (2, vec!["orders_clean 0003".into(), "orders_clean 0001".into()])
    );
    for bucket in ["0001", "0003"] {
        let planned = |state: &mut PartitionState| state.up_to_date(at(200));
        let bucket = bucket.parse().unwrap();
        state::update(&world.lake, "orders_clean", bucket, planned).await.unwrap();
    }
    world.write("silver/orders/bucket=0003/b.parquet", 300).await;
    assert_eq!(world.sweep(600).await.0.found, 0);
    let (swept, sent) = world.sweep(120 + 24 * 3_600).await;
    assert_eq!((swept.found, sent), (1, vec!["orders_clean 0003".to_owned()]));
}

#[tokio::test]
async fn a_bucket_in_gold_dirties_no_day() {
    let world = World::default();
    world.write("gold/orders_clean/day=0001/data.parquet", 0).await;
    assert_eq!(world.sweep(120).await.1, ["orders_clean 0001"]);
}

#[tokio::test]
async fn what_is_due_is_sent_newest_first() {
    let world = World::default();
    for day in ["2010-11-28", "2010-12-01", "2010-11-30"] {
        world.change(day, |state| state.note_dirty(at(0), false)).await;
    }
    world
        .change("2010-11-30", |state| {
            state.fail(Step::Compute, "a", "broken", at(0));
        })
        .await;
    world.change("2010-11-20", |state| state.wait(at(0), at(500))).await;
    let (swept, sent) = world.sweep(59).await;
    assert_eq!((swept.owed, sent.len()), (4, 0), "their messages may be on their way");
    let (_, sent) = world.sweep(60).await;
    assert_eq!(sent, ["daily 2010-12-01", "daily 2010-11-30", "daily 2010-11-28"]);
    assert_eq!(world.sweep(560).await.1.last().unwrap(), "daily 2010-11-20");
}

#[tokio::test]
async fn at_most_so_many_messages_are_sent_at_once() {
    let world = World::default();
    let first: NaiveDate = "2009-01-01".parse().unwrap();
    for day in first.iter_days().take(MAX_SENT + 3) {
        world.change(&day.to_string(), |state| state.note_dirty(at(0), false)).await;
    }
    let (swept, _) = world.sweep(100).await;
    assert_eq!((swept.owed, swept.sent), (MAX_SENT + 3, MAX_SENT));
}

#[tokio::test]
async fn many_partitions_that_fail_keep_no_other_one_back() {
    let world = World::default();
    let newest: NaiveDate = "2010-12-01".parse().unwrap();
    for day in newest.iter_days().rev().take(MAX_SENT + 50) {
        let fail = |state: &mut PartitionState| {
            state.note_dirty(at(500), true);
            state.fail(Step::Compute, "a", "broken", at(500));
        };
        world.change(&day.to_string(), fail).await;
    }
    world.change("2009-01-01", |state| state.found_commit(1)).await;
    let (swept, sent) = world.sweep(600).await;
    assert_eq!((swept.owed, sent.len()), (MAX_SENT + 51, MAX_SENT));
    assert!(sent.contains(&"daily 2010-12-01".to_owned()));
    assert!(sent.contains(&"daily 2009-01-01".to_owned()), "its commit is due for longer");
}

#[tokio::test]
async fn markers_of_quiet_partitions_are_deleted() {
    let world = World::default();
    world.change("2010-12-01", |state| state.note_dirty(at(0), false)).await;
    world.compute("2010-12-01", 0).await;
    state::mark(&world.lake, "removed", day("2010-12-01")).await.unwrap();
    assert_eq!(world.sweep(599).await.0.settled, 1, "that of a model that was removed");
    assert_eq!(world.sweep(600).await.0.settled, 1);
    assert!(world.lake.list(keys::OWED).await.unwrap().is_empty());
    assert!(!state::read(&world.lake, MODEL, day("2010-12-01")).await.unwrap().state.marked);
}

#[tokio::test]
async fn a_missing_marker_is_written_again() {
    let world = World::default();
    world.write("silver/visits/dt=2009-01-01/a.parquet", -90_000).await;
    world.change("2009-01-01", |state| state.note_dirty(at(0), false)).await;
    world.lake.delete("state/owed/daily/2009-01-01").await.unwrap();
    let (swept, sent) = world.sweep(100).await;
    assert_eq!((swept.found, sent), (1, vec!["daily 2009-01-01".to_owned()]));
}

#[tokio::test]
async fn all_days_are_compared_once_a_day() {
    let world = World::default();
    let first: NaiveDate = "2009-01-01".parse().unwrap();
    for day in first.iter_days().take(15) {
        world.write(&format!("silver/visits/dt={day}/a.parquet"), -90_000).await;
    }
    let mut found = Vec::new();
    for sweep in 0..4 {
        found.push(world.sweep(sweep * 60).await.0.found);
    }
    assert_eq!(found, [10, 5, 0, 0]);
    world.write("silver/visits/dt=2009-01-03/b.parquet", 300).await;
    world.compute("2009-01-03", 300).await;
    world.write("silver/visits/dt=2009-01-03/c.parquet", 302).await;
    assert_eq!(world.sweep(1_000).await.0.found, 0, "not before the next day");
    assert_eq!(world.sweep(24 * 3_600).await.0.found, 1);
}

#[tokio::test]
async fn the_alert_of_an_execution_that_died_is_sent_once() {
    let world = World::default();
    let alert = CheckAlert {
        check: "reconciles".to_owned(),
        severity: Severity::Error,
        description: String::new(),
        rows: 1,
        shops: vec!["acme".to_owned()],
    };
    world.end("2010-12-01", 0, JobOutcome::Committed, 1, vec![alert]).await;
    let (swept, sent) = world.sweep(309).await;
    assert_eq!((swept.owed, swept.alerts, sent.len()), (1, 0, 0), "its execution may send it");
    world.topic.fail([Some(Fault::Refused)]);
    assert_eq!(world.sweep(310).await.0.alerts, 0);
    let (swept, sent) = world.sweep(370).await;
    assert_eq!((swept.alerts, sent.len()), (1, 0), "dispatch cannot send it");
    let (swept, _) = world.sweep(430).await;
    assert_eq!((swept.owed, swept.alerts, world.topic.messages().len()), (0, 0, 1));
}

#[tokio::test]
async fn the_alert_of_a_failed_step_that_control_did_not_send_is_sent_once() {
    let world = World::default();
    world.lake.set_now(at(0));
    let fail =
        |state: &mut PartitionState| assert!(state.fail(Step::Compute, "a", "broken", at(0)));
    world.change("2010-12-01", fail).await;
    assert_eq!(world.sweep(309).await.0.alerts, 0);
    world.topic.fail([Some(Fault::Refused)]);
    assert_eq!(world.sweep(310).await.0.alerts, 0);
    assert_eq!((world.sweep(370).await.0.alerts, world.sweep(430).await.0.alerts), (1, 0));
    assert_eq!(world.topic.messages().len(), 1);
}

#[tokio::test]
async fn an_edited_reference_table_reaches_computed_days_without_its_event() {
    let world = World::default();
    for day in ["2009-01-01", "2010-12-01"] {
        world.write(&format!("silver/visits/dt={day}/a.parquet"), -90_000).await;
        world.compute(day, -80_000).await;
    }
    world.write("reference/weights.csv", 0).await;
    assert_eq!(world.sweep(100).await.0.found, 0, "its event may be on its way");
    let (swept, sent) = world.sweep(200).await;
    assert_eq!((swept.found, &sent[..]), (1, &["daily 2010-12-01".to_owned()][..]));
    world.change("2010-12-01", |state| state.up_to_date(at(210))).await;
    let (swept, sent) = world.sweep(25 * 3_600).await;
    assert_eq!((swept.found, &sent[..]), (1, &["daily 2009-01-01".to_owned()][..]));
    world.change("2009-01-01", |state| state.up_to_date(at(25 * 3_600))).await;
    assert_eq!(world.sweep(50 * 3_600).await.0.found, 0, "all days have seen it");
}

const BRONZE: &str = "bronze/pos/dt=2010-12-02/hour=00/a.gz";

/// The bronze objects whose executions were started since the last call.
fn conforming(world: &World) -> Vec<String> {
    let key = |execution| match execution {
        Execution::BronzeToSilver { key, is_retry: true, .. } => key,
        other => panic!("unexpected {other:?}"),
    };
    world.executions.take_all().into_iter().map(key).collect()
}

#[tokio::test]
async fn a_bronze_object_without_a_receipt_is_conformed() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    let old = "bronze/pos/dt=2010-11-29/hour=00/old.gz";
    for key in [BRONZE, "bronze/web/dt=2010-12-02/hour=00/stream.gz", old] {
        world.write(key, 0).await;
    }
    assert_eq!(world.sweep(599).await.0.unconformed, 0, "its execution may be running");
    let swept = world.sweep(600).await.0;
    assert_eq!((swept.unconformed, swept.conforming), (1, 1));
    assert_eq!(conforming(&world), [BRONZE], "streams and older days are left out");

    world.sweep(1_799).await;
    assert!(world.executions.is_empty(), "the next attempt is later");
    world.sweep(1_800).await;
    world.sweep(1_800 + 2_399).await;
    assert_eq!(conforming(&world), [BRONZE]);
    world.sweep(1_800 + 2_400).await;
    assert_eq!(conforming(&world), [BRONZE]);

    world.write(&keys::conformed(BRONZE).unwrap(), 4_300).await;
    let swept = world.sweep(100_000).await.0;
    assert_eq!((swept.unconformed, swept.conforming), (0, 0));
}

/// The subjects of all alerts, and the bronze objects that they name.
fn reported(world: &World) -> Vec<(String, Vec<String>)> {
    let named = |message: shoplake_aws::topic::Message| {
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        let objects = body["objects"].as_array().unwrap().iter();
        let keys = objects.map(|object| object["key"].as_str().unwrap().to_owned()).collect();
        (message.subject, keys)
    };
    world.topic.messages().into_iter().map(named).collect()
}

#[tokio::test]
async fn an_object_that_stays_unconformed_alerts_once_by_name() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    world.write(BRONZE, 0).await;
    for second in [600, 1_800, 4_200, 8_999] {
        assert_eq!(world.sweep(second).await.0.reported, 0, "the third attempt may succeed");
    }
    world.topic.fail([Some(Fault::Refused)]);
    assert_eq!(world.sweep(9_000).await.0.reported, 0);
    assert_eq!(world.sweep(9_300).await.0.reported, 1, "the alert was refused before");
    let expected = ("Shoplake: a bronze object was not conformed".to_owned(), vec![BRONZE.into()]);
    assert_eq!(reported(&world), [expected]);
    let alerted = "state/unconformed/pos/dt=2010-12-02/hour=00/a.gz";
    assert!(world.lake.keys().iter().any(|key| key == alerted));

    // A sweep that has lost its progress counts the attempts again.
    world.lake.delete(keys::SWEEP).await.unwrap();
    for second in [10_000, 20_000, 40_000, 80_000, 100_000, 300_000] {
        assert_eq!(world.sweep(second).await.0.reported, 0);
    }
    assert_eq!(reported(&world).len(), 1);
}

#[tokio::test]
async fn an_object_that_becomes_too_old_alerts_whatever_its_attempts() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    let late = "bronze/pos/dt=2010-12-02/hour=00/conformed.gz";
    for key in [BRONZE, late] {
        world.write(key, 0).await;
    }
    world.executions.fail([Some(Fault::Refused), Some(Fault::Refused)]);
    assert_eq!(world.sweep(600).await.0.conforming, 0);
    world.write(&keys::conformed(late).unwrap(), 700).await;

    let day = 24 * 3_600;
    let swept = world.sweep(3 * day).await.0;
    assert_eq!((swept.unconformed, swept.reported), (0, 1));
    assert_eq!(reported(&world)[0].1, [BRONZE]);
    assert_eq!(world.sweep(3 * day + 300).await.0.reported, 0);
}

#[tokio::test]
async fn many_unconformed_objects_are_named_by_several_sweeps() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    for number in 0..150 {
        world.write(&format!("bronze/pos/dt=2010-12-02/hour=00/{number:03}.gz"), 0).await;
    }
    let mut second = 600;
    let mut named = Vec::new();
    while named.iter().sum::<usize>() < 150 {
        named.push(world.sweep(second).await.0.reported);
        second += 300;
    }
    named.retain(|count| *count > 0);
    assert!(named.len() >= 2 && named.iter().all(|count| *count <= 100), "{named:?}");
    let mut keys: Vec<_> = reported(&world).into_iter().flat_map(|(_, keys)| keys).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 150);
}

#[tokio::test]
async fn without_step_functions_a_sweep_does_the_rest() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    world.write(BRONZE, 0).await;
    world.change("2010-12-01", |state| state.note_dirty(at(0), false)).await;
    world.executions.fail([Some(Fault::Refused)]);
    let (swept, sent) = world.sweep(600).await;
    assert_eq!((swept.unconformed, swept.conforming, sent.len()), (1, 0, 1));
    assert_eq!(world.sweep(660).await.0.conforming, 1, "a start that failed is no attempt");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_keeps_no_other_back() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    world.write(BRONZE, 0).await;
    for day in ["2010-11-30", "2010-12-01"] {
        world.write(&format!("silver/visits/dt={day}/a.parquet"), 0).await;
        world.change(day, |state| state.note_dirty(at(0), false)).await;
    }

    let key = "state/partitions/daily/2010-12-01.json";
    let (failure, sent) = world.sweep_without(key, 600).await;

    let text = failure.to_string();
    assert!(!failure.is_permanent() && text.contains("daily 2010-12-01: "), "{text}");
    assert_eq!(sent, ["daily 2010-11-30"]);
    assert_eq!(conforming(&world), [BRONZE]);
}

#[tokio::test]
async fn a_day_that_cannot_be_listed_is_compared_again() {
    let world = World::default();
    let days = ["2009-01-01", "2009-01-02"];
    for day in days {
        world.write(&format!("silver/visits/dt={day}/a.parquet"), -90_000).await;
    }
    let dirty = async |day: &str| {
        let partition = day.parse().unwrap();
        state::read(&world.lake, MODEL, partition).await.unwrap().state.dirty_since
    };

    let (failure, _) = world.sweep_without("silver/visits/dt=2009-01-01", 0).await;
    assert!(failure.to_string().starts_with("silver.visits 2009-01-01: "), "{failure}");
    assert_eq!((dirty(days[0]).await, dirty(days[1]).await), (None, Some(at(-90_000))));

    let swept = world.sweep(300).await.0;
    assert_eq!((swept.found, swept.compared_days), (1, 4));
    assert_eq!(dirty(days[0]).await, Some(at(-90_000)), "when it was written");
    assert_eq!(world.sweep(600).await.0.compared_days, 3, "once");
}

#[tokio::test]
async fn a_source_that_cannot_be_listed_keeps_no_other_back() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    let other = "bronze/inventory/dt=2010-12-02/hour=00/a.gz";
    for key in [BRONZE, other] {
        world.write(key, 0).await;
    }
    world.sweep(600).await;
    assert_eq!(conforming(&world), [BRONZE, other]);

    let (failure, _) = world.sweep_without("bronze/inventory/dt=", 1_800).await;
    assert!(failure.to_string().starts_with("bronze/inventory/: "), "{failure}");
    assert_eq!(conforming(&world), [BRONZE]);
    world.sweep(1_900).await;
    assert_eq!(conforming(&world), [other]);
    assert_eq!(world.sweep(3_200).await.0.conforming, 0, "its attempts are not forgotten");
}

#[tokio::test]
async fn an_object_that_cannot_be_started_keeps_no_other_back() {
    let world = World { contracts: shoplake_testing::contracts(), ..World::default() };
    for number in 0..10 {
        world.write(&format!("bronze/pos/dt=2010-12-02/hour=00/{number}.gz"), 0).await;
    }
    world.executions.fail([Some(Fault::Refused)]);
    assert_eq!(world.sweep(600).await.0.conforming, 9);
    world.executions.fail([Some(Fault::Refused); 10]);
    assert_eq!(world.sweep(660).await.0.conforming, 0);
}
