//! A row is notified at most once, and exactly once if nothing fails.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use arrow::array::{
    ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::{Value, json};
use shoplake_aws::Fault;
use shoplake_aws::topic::{MemoryTopic, Message, PublishError, Topic};
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError, Store, StoreError, keys,
};
use shoplake_platform::clock::{Clock, ManualClock};
use shoplake_platform::failure::Failure;

use crate::handler::{Notify, NotifyPolicy, Response};

const GOLD: &str = "gold/stockout_alerts/alert_date=2026-11-21/data.parquet";

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A stock-out of `product`: its start and end in hours before noon.
#[derive(Clone, Copy)]
struct Alert {
    shop: &'static str,
    product: u8,
    started: i64,
    ended: Option<i64>,
}

fn out(product: u8, started: i64) -> Alert {
    Alert { shop: "acme", product, started, ended: None }
}

fn over(product: u8, started: i64, ended: i64) -> Alert {
    Alert { shop: "acme", product, started, ended: Some(ended) }
}

fn gold(alerts: &[Alert]) -> Bytes {
    let hours_ago = |hours: i64| (noon() - TimeDelta::hours(hours)).timestamp_micros();
    let texts = |text: &dyn Fn(&Alert) -> String| -> ArrayRef {
        Arc::new(alerts.iter().map(|alert| Some(text(alert))).collect::<StringArray>())
    };
    let times = |time: &dyn Fn(&Alert) -> Option<i64>| -> ArrayRef {
        Arc::new(alerts.iter().map(time).collect::<TimestampMicrosecondArray>())
    };
    let on_hand: ArrayRef = Arc::new(alerts.iter().map(|_| Some(0)).collect::<Int64Array>());
    let cost = alerts.iter().map(|_| Some(25_000)).collect::<Decimal128Array>();
    let cost: ArrayRef = Arc::new(cost.with_precision_and_scale(18, 4).unwrap());
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("shop_id", texts(&|alert| alert.shop.to_owned()), false),
        ("product_id", texts(&|alert| format!("p{}", alert.product)), false),
        ("state", texts(&|_| "out".to_owned()), false),
        ("started_at", times(&|alert| Some(hours_ago(alert.started))), true),
        ("ended_at", times(&|alert| alert.ended.map(hours_ago)), true),
        ("on_hand", on_hand, true),
        ("unit_cost", cost, true),
    ])
    .unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    file.into()
}

fn gold_of(day: &str) -> String {
    format!("gold/stockout_alerts/alert_date={day}/data.parquet")
}

/// Returns the day of a time in hours before noon.
fn day_of(hours_ago: i64) -> String {
    (noon() - TimeDelta::hours(hours_ago)).date_naive().to_string()
}

const TODAY: &str = "2026-11-21";
const YESTERDAY: &str = "2026-11-20";

fn event() -> Value {
    json!({
        "model": "stockout_alerts",
        "partition": "2026-11-21",
        "key": GOLD,
        "identity": ["shop_id", "product_id", "state"],
        "alert": {
            "subject": "{product_id} is {state}", "started": "started_at", "ended": "ended_at",
        },
    })
}

/// Yields before and after each step, so that concurrent runs interleave, and so that a run can be
/// killed at any step.
struct Stepwise<T>(Arc<T>);

#[async_trait]
impl Store for Stepwise<MemoryStore> {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        tokio::task::yield_now().await;
        self.0.get(key).await
    }
    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.0.head(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        tokio::task::yield_now().await;
        self.0.list(prefix).await
    }
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        tokio::task::yield_now().await;
        let written = self.0.put(key, bytes, metadata, condition).await;
        tokio::task::yield_now().await;
        written
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

/// Takes 10 ms for each object that is read.
struct Slow {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Store for Slow {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.clock.advance(TimeDelta::milliseconds(10));
        self.store.get(key).await
    }
    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.store.head(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.store.list(prefix).await
    }
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        self.store.put(key, bytes, metadata, condition).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await
    }
}

#[async_trait]
impl Topic for Stepwise<MemoryTopic> {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        tokio::task::yield_now().await;
        let published = self.0.publish(message).await;
        tokio::task::yield_now().await;
        published
    }
}

struct Fixture {
    store: Arc<MemoryStore>,
    topic: Arc<MemoryTopic>,
    clock: Arc<ManualClock>,
    notify: Notify,
}

impl Fixture {
    fn new() -> Self {
        Self::with(NotifyPolicy { within: TimeDelta::hours(48), ended: false })
    }

    fn with(policy: NotifyPolicy) -> Self {
        let (store, topic) = (Arc::new(MemoryStore::default()), Arc::new(MemoryTopic::default()));
        let clock = Arc::new(ManualClock::new(noon()));
        let notify = Notify {
            store: Arc::new(Stepwise(store.clone())),
            topic: Arc::new(Stepwise(topic.clone())),
            clock: clock.clone(),
            policy,
        };
        Self { store, topic, clock, notify }
    }

    fn with_ends() -> Self {
        Self::with(NotifyPolicy { within: TimeDelta::hours(48), ended: true })
    }

    async fn commit(&self, alerts: &[Alert]) {
        self.store.put(GOLD, gold(alerts), Metadata::new(), Condition::Always).await.unwrap();
    }

    async fn run(&self) -> Result<Response, Failure> {
        self.notify.handle(event(), DateTime::<Utc>::MAX_UTC).await
    }

    /// Commits the rows of a day, without notifying people.
    async fn commit_day(&self, day: &str, alerts: &[Alert]) {
        self.store
            .put(&gold_of(day), gold(alerts), Metadata::new(), Condition::Always)
            .await
            .unwrap();
    }

    /// Notifies people of the rows that a day has now.
    async fn run_day(&self, day: &str) {
        let mut event = event();
        event["partition"] = json!(day);
        event["key"] = json!(gold_of(day));
        self.notify.handle(event, DateTime::<Utc>::MAX_UTC).await.unwrap();
    }

    async fn commit_and_run(&self, day: &str, alerts: &[Alert]) {
        self.commit_day(day, alerts).await;
        self.run_day(day).await;
    }

    /// Moves all claims to the keys that they had before the rename.
    async fn move_claims_to_former_keys(&self) {
        for entry in self.store.list(keys::ALERTS).await.unwrap() {
            let bytes = self.store.get(&entry.key).await.unwrap().unwrap().bytes;
            let key = keys::former_alerts(&entry.key);
            self.store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();
            self.store.delete(&entry.key).await.unwrap();
        }
    }

    /// Returns the starts that were notified, in hours before noon.
    fn starts(&self) -> Vec<i64> {
        let since = |message: Message| {
            let body: Value = serde_json::from_str(&message.body).unwrap();
            let since: DateTime<Utc> = body["since"].as_str().unwrap().parse().unwrap();
            (body["event"] == "started").then(|| (noon() - since).num_hours())
        };
        self.topic.messages().into_iter().filter_map(since).collect()
    }

    fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<_> =
            self.topic.messages().into_iter().map(|message| message.subject).collect();
        subjects.sort();
        subjects
    }
}

fn span(alert: &Alert) -> (i64, Option<i64>) {
    (alert.started, alert.ended)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Runs `future` for `polls` steps and drops it, as the end of a process does. Returns whether it
/// completed before.
async fn killed_after(polls: usize, future: impl Future<Output = impl Sized>) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

#[tokio::test]
async fn a_row_is_notified_once_in_repeated_runs() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 2)]).await;
    let first = fixture.run().await.unwrap();
    assert_eq!((first.rows, first.sent), (1, 1));
    for _ in 0..3 {
        assert_eq!(fixture.run().await.unwrap().sent, 0);
    }
    fixture.commit(&[out(1, 2), out(2, 1)]).await;
    assert_eq!(fixture.run().await.unwrap().sent, 1);
    assert_eq!(fixture.subjects(), ["p1 is out", "p2 is out"]);
}

#[tokio::test]
async fn a_message_has_all_columns_of_its_row() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 2)]).await;
    fixture.run().await.unwrap();
    let message = &fixture.topic.messages()[0];
    assert_eq!(
        message.attributes,
        [
            ("model", "stockout_alerts".to_owned()),
            ("event", "started".to_owned()),
            ("shop_id", "acme".to_owned()),
        ]
    );
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(
        body,
        json!({
            "event": "started",
            "title": "p1 is out",
            "shop": "acme",
            "since": "2026-11-21T10:00:00Z",
            "until": null,
            "model": "stockout_alerts",
            "partition": "2026-11-21",
            "row": {
                "shop_id": "acme",
                "product_id": "p1",
                "state": "out",
                "started_at": "2026-11-21T10:00:00Z",
                "ended_at": null,
                "on_hand": 0,
                "unit_cost": "2.5000",
            },
        })
    );
}

#[tokio::test]
async fn an_expired_row_is_not_notified_under_a_longer_limit() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 49), out(2, 48)]).await;
    let response = fixture.run().await.unwrap();
    assert_eq!((response.sent, response.expired), (1, 1));
    assert_eq!(fixture.subjects(), ["p2 is out"]);
    assert_eq!(fixture.run().await.unwrap().expired, 0, "it is recorded once");

    let longer = Notify {
        policy: NotifyPolicy { within: TimeDelta::days(30), ended: true },
        ..fixture.notify
    };
    let response = longer.handle(event(), DateTime::<Utc>::MAX_UTC).await.unwrap();
    assert_eq!((response.sent, response.ended), (0, 0));
}

#[tokio::test]
async fn a_corrected_start_is_the_same_episode() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 5)]).await;
    fixture.run().await.unwrap();
    fixture.commit(&[out(1, 6)]).await;
    assert_eq!(fixture.run().await.unwrap().sent, 0);
    assert_eq!(fixture.subjects(), ["p1 is out"]);
}

#[tokio::test]
async fn an_end_is_notified_once_and_only_on_request() {
    let silent = Fixture::new();
    silent.commit(&[over(1, 5, 3)]).await;
    silent.run().await.unwrap();
    assert_eq!(silent.subjects(), ["p1 is out"]);

    let fixture = Fixture::with_ends();
    fixture.commit(&[out(1, 5)]).await;
    fixture.run().await.unwrap();
    fixture.commit(&[over(1, 5, 3)]).await;
    assert_eq!(fixture.run().await.unwrap().ended, 1);
    for _ in 0..3 {
        assert_eq!(fixture.run().await.unwrap().ended, 0);
    }
    assert_eq!(fixture.subjects(), ["Over: p1 is out", "p1 is out"]);
    let body: Value = serde_json::from_str(&fixture.topic.messages()[1].body).unwrap();
    assert_eq!(
        (body["event"].as_str(), body["until"].as_str()),
        (Some("ended"), Some("2026-11-21T09:00:00Z"))
    );
}

#[tokio::test]
async fn the_end_of_an_expired_row_is_not_notified() {
    let fixture = Fixture::with_ends();
    fixture.commit(&[over(1, 60, 3)]).await;
    let response = fixture.run().await.unwrap();
    assert_eq!((response.expired, response.ended), (1, 0));
    assert_eq!(fixture.run().await.unwrap().ended, 0);
}

#[tokio::test]
async fn an_old_end_is_not_notified_after_ends_are_enabled() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 5)]).await;
    fixture.run().await.unwrap();
    fixture.commit(&[over(1, 5, 3)]).await;
    fixture.clock.advance(TimeDelta::hours(60));
    let late =
        Notify { policy: NotifyPolicy { ended: true, ..fixture.notify.policy }, ..fixture.notify };
    assert_eq!(late.handle(event(), DateTime::<Utc>::MAX_UTC).await.unwrap().ended, 0);
}

#[tokio::test]
async fn a_retry_after_a_refusal_notifies_once() {
    for fixture in [Fixture::new(), Fixture::with_ends()] {
        fixture.commit(&[over(1, 5, 3)]).await;
        fixture.topic.fail([
            Some(Fault::Refused),
            Some(Fault::Refused),
            None,
            Some(Fault::Refused),
        ]);
        for _ in 0..2 {
            assert!(!fixture.run().await.unwrap_err().is_permanent());
        }
        assert!(fixture.subjects().is_empty());
        let _ = fixture.run().await;
        let _ = fixture.run().await;
        let wanted: &[_] = if fixture.notify.policy.ended {
            &["Over: p1 is out", "p1 is out"]
        } else {
            &["p1 is out"]
        };
        assert_eq!(fixture.subjects(), wanted);
    }
}

#[tokio::test]
async fn a_message_without_an_answer_is_not_repeated() {
    for (fault, notified) in [(Fault::Lost, 0), (Fault::AnswerLost, 1)] {
        let fixture = Fixture::new();
        fixture.commit(&[out(1, 2)]).await;
        fixture.topic.fail([Some(fault)]);
        assert_eq!(fixture.run().await.unwrap().unknown, 1, "{fault:?}");
        for _ in 0..3 {
            assert_eq!(fixture.run().await.unwrap().sent, 0, "{fault:?}");
        }
        assert_eq!(fixture.subjects().len(), notified, "{fault:?}");
    }
}

#[tokio::test]
async fn a_run_killed_after_its_claim_is_reported_not_repeated() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 2)]).await;
    // Steps: the rows that wait at the former folder and the folder, the gold object, the rows that
    // are left, the claim at its key and its former key, the claim before and after it is written;
    // then comes the message.
    assert!(!killed_after(8, fixture.run()).await);
    assert_eq!(fixture.store.list(keys::ALERTS).await.unwrap().len(), 1, "it is claimed");
    assert_eq!(fixture.subjects().len(), 0, "and not published");

    let soon = fixture.run().await.unwrap();
    assert_eq!(
        (soon.sent, soon.unknown),
        (0, 0),
        "the run that claimed it may still be publishing"
    );
    fixture.clock.advance(TimeDelta::minutes(3));
    let later = fixture.run().await.unwrap();
    assert_eq!((later.sent, later.unknown), (0, 1));
    assert_eq!(fixture.subjects().len(), 0);
}

#[tokio::test]
async fn a_writer_recognizes_its_claim_after_a_lost_answer() {
    /// Loses the answer to a write, which the S3 client then sends again.
    struct Forgetful(Arc<MemoryStore>, AtomicUsize);

    #[async_trait]
    impl Store for Forgetful {
        async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
            self.0.get(key).await
        }
        async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
            self.0.head(key).await
        }
        async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
            self.0.list(prefix).await
        }
        async fn put(
            &self,
            key: &str,
            bytes: Bytes,
            metadata: Metadata,
            condition: Condition,
        ) -> Result<ETag, PutError> {
            if self.1.fetch_add(1, Ordering::Relaxed) == 0 {
                self.0.put(key, bytes.clone(), metadata.clone(), condition.clone()).await?;
            }
            self.0.put(key, bytes, metadata, condition).await
        }
        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.0.delete(key).await
        }
    }

    let fixture = Fixture::new();
    fixture.commit(&[out(1, 2)]).await;
    let store = Arc::new(Forgetful(fixture.store.clone(), AtomicUsize::new(0)));
    let notify = Notify { store, ..fixture.notify };
    let response = notify.handle(event(), DateTime::<Utc>::MAX_UTC).await.unwrap();
    assert_eq!((response.sent, fixture.topic.messages().len()), (1, 1));
}

#[tokio::test]
async fn the_state_has_the_version_that_people_are_notified_of() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 1)]).await;
    let mut event = event();
    event["version"] = json!(3);
    let notified = async || {
        let partition = TODAY.parse().unwrap();
        let stored =
            shoplake_lake::state::read(fixture.store.as_ref(), "stockout_alerts", partition);
        stored.await.unwrap().state.notified
    };
    fixture.notify.handle(event.clone(), DateTime::<Utc>::MIN_UTC).await.unwrap_err();
    assert_eq!(notified().await, 0, "a row is left");
    fixture.notify.handle(event, DateTime::<Utc>::MAX_UTC).await.unwrap();
    assert_eq!(notified().await, 3);
}

/// Forty rows, of which the first is that of product 0.
async fn commit_forty(fixture: &Fixture) {
    let alerts: Vec<_> = (0..40).map(|product| out(product, 1)).collect();
    fixture.commit(&alerts).await;
}

#[tokio::test]
async fn an_unreadable_claim_keeps_no_other_row_back() {
    let newer = json!({"episodes": [{"state": "snoozed"}]}).to_string();
    for unreadable in ["{\"episodes\": [", newer.as_str()] {
        let fixture = Fixture::new();
        fixture.commit(&[out(0, 1)]).await;
        fixture.run().await.unwrap();
        let key = fixture.store.list(keys::ALERTS).await.unwrap().remove(0).key;
        let bytes = Bytes::from(unreadable.to_owned());
        fixture.store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();
        commit_forty(&fixture).await;

        let failure = fixture.run().await.unwrap_err();

        assert_eq!(fixture.subjects().len(), 40, "the other 39 are notified");
        let text = failure.to_string();
        assert!(failure.is_permanent() && text.contains("1 rows are left"), "{text}");
        assert!(text.contains(&key) && text.contains("delete it"), "{text}");
        assert_eq!(fixture.run().await.unwrap_err(), failure, "it is reported until it is mended");
    }
}

#[tokio::test]
async fn a_refused_message_keeps_no_other_row_back() {
    let fixture = Fixture::new();
    commit_forty(&fixture).await;
    fixture.topic.fail([Some(Fault::Refused)]);
    assert!(!fixture.run().await.unwrap_err().is_permanent());
    assert_eq!(fixture.subjects().len(), 39);
    assert_eq!(fixture.run().await.unwrap().sent, 1);
}

#[tokio::test]
async fn an_unreadable_waiting_row_is_reported() {
    let fixture = Fixture::new();
    fixture.commit(&[out(1, 2)]).await;
    let key = keys::waiting_alert("stockout_alerts", TODAY.parse().unwrap(), "00");
    let bytes = Bytes::from_static(b"?");
    fixture.store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();
    let failure = fixture.run().await.unwrap_err();
    assert!(failure.is_permanent() && failure.to_string().contains(&key), "{failure}");
    assert_eq!(fixture.subjects().len(), 1);
}

#[tokio::test]
async fn rows_left_at_the_deadline_are_for_another_run() {
    let fixture = Fixture::new();
    let alerts: Vec<_> = (0..40).map(|product| out(product, 1)).collect();
    fixture.commit(&alerts).await;
    let failure = fixture.notify.handle(event(), noon()).await.unwrap_err();
    assert!(!failure.is_permanent());
    assert!(failure.to_string().contains("40 of 40 rows left"), "{failure}");
    assert_eq!(fixture.run().await.unwrap().sent, 40);
}

/// The rows of a shop with many products, and after them that of a shop with one.
fn many_and_one(started: i64) -> Vec<Alert> {
    let many = (0..200).map(|product| Alert { shop: "aaa", ..out(product, started) });
    many.chain([Alert { shop: "zzz", ..out(250, started) }]).collect()
}

/// Runs notify for `day` with a store that takes 10 ms for each object that it reads, until no row
/// is left. A run reads for a second. Returns the run that notified people of the row of `zzz`, and
/// the number of all runs.
async fn slow_runs(fixture: &Fixture, day: &str) -> (Option<usize>, usize) {
    let slow = Notify {
        store: Arc::new(Slow { store: fixture.store.clone(), clock: fixture.clock.clone() }),
        topic: fixture.topic.clone(),
        clock: fixture.clock.clone(),
        policy: fixture.notify.policy,
    };
    let mut event = event();
    (event["partition"], event["key"]) = (json!(day), json!(gold_of(day)));
    let of_one = || fixture.subjects().iter().filter(|subject| *subject == "p250 is out").count();
    let (before, mut notified, mut runs) = (of_one(), None, 0);
    loop {
        runs += 1;
        let until = fixture.clock.now() + TimeDelta::seconds(1);
        let result = slow.handle(event.clone(), until).await;
        if notified.is_none() && of_one() > before {
            notified = Some(runs);
        }
        if result.is_ok() || runs == 50 {
            return (notified, runs);
        }
    }
}

#[tokio::test]
async fn a_shop_with_many_rows_delays_no_other_shop() {
    let fixture = Fixture::new();
    fixture.commit(&many_and_one(1)).await;
    let (notified, runs) = slow_runs(&fixture, TODAY).await;
    assert_eq!(notified, Some(1));
    assert!((2..20).contains(&runs), "{runs}: each run continues where the last one ended");
    assert_eq!(fixture.subjects().len(), 201);
}

#[tokio::test]
async fn waiting_rows_of_a_shop_delay_no_other_shop() {
    let first = "2026-11-19";
    let fixture = Fixture::new();
    fixture.commit_and_run(first, &many_and_one(47)).await;
    fixture.commit_and_run(TODAY, &many_and_one(5)).await;
    assert_eq!(fixture.starts(), [47; 201], "the rows of today wait");
    // The first day has no rows any more, so the rows of today are new episodes.
    fixture.commit_day(first, &[]).await;
    let (notified, runs) = slow_runs(&fixture, first).await;
    assert_eq!((notified, fixture.subjects().len()), (Some(1), 402));
    assert!((2..20).contains(&runs), "{runs}: a row that was decided does not wait any more");
}

#[tokio::test]
async fn an_invalid_request_is_permanent() {
    let fixture = Fixture::new();
    let message = async |event: Value| {
        let failure = fixture.notify.handle(event, DateTime::<Utc>::MAX_UTC).await.unwrap_err();
        assert!(failure.is_permanent(), "{failure}");
        failure.to_string()
    };
    assert!(message(json!({})).await.contains("expected the notify object"));
    assert!(message(event()).await.contains("does not exist any more"));

    fixture.commit(&[out(1, 2)]).await;
    let with = |pointer: &str, value: &str| {
        let mut event = event();
        *event.pointer_mut(pointer).unwrap() = json!(value);
        event
    };
    assert!(message(with("/identity/0", "shop")).await.contains("missing column \"shop\""));
    assert!(
        message(with("/alert/subject", "{what} is out")).await.contains("missing column \"what\"")
    );
    assert!(message(with("/alert/started", "state")).await.contains("expected a timestamp"));
    assert!(message(with("/partition", "2026-11-1")).await.contains("invalid partition"));
    assert!(message(with("/partition", YESTERDAY)).await.contains("invalid key"));

    fixture.store.put(GOLD, "no parquet".into(), Metadata::new(), Condition::Always).await.unwrap();
    assert!(message(event()).await.contains("not a readable Parquet file"));
}

#[tokio::test]
async fn a_start_that_moves_before_midnight_is_the_same_episode() {
    let fixture = Fixture::with_ends();
    fixture.commit_and_run(TODAY, &[out(1, 11)]).await;
    // A snapshot of 23:00 arrives late, and the row becomes one of the day before.
    fixture.commit_and_run(TODAY, &[]).await;
    fixture.commit_and_run(YESTERDAY, &[out(1, 13)]).await;
    assert_eq!(fixture.subjects(), ["p1 is out"]);
    fixture.commit_and_run(YESTERDAY, &[over(1, 13, 3)]).await;
    fixture.run_day(YESTERDAY).await;
    assert_eq!(fixture.subjects(), ["Over: p1 is out", "p1 is out"]);
}

#[tokio::test]
async fn a_start_that_moves_past_midnight_is_the_same_episode() {
    for is_emptied_first in [true, false] {
        let fixture = Fixture::new();
        fixture.commit_and_run(YESTERDAY, &[out(1, 13)]).await;
        // The snapshot of 23:00 was wrong: it began at 01:00.
        fixture.commit_day(YESTERDAY, &[]).await;
        fixture.commit_day(TODAY, &[out(1, 11)]).await;
        let [first, second] =
            if is_emptied_first { [YESTERDAY, TODAY] } else { [TODAY, YESTERDAY] };
        for day in [first, second, first, second] {
            fixture.run_day(day).await;
        }
        assert_eq!(fixture.starts(), [13]);
    }
}

#[tokio::test]
async fn two_episodes_are_two_messages_in_any_order_of_runs() {
    for order in [[YESTERDAY, TODAY], [TODAY, YESTERDAY]] {
        let fixture = Fixture::new();
        fixture.commit_and_run(YESTERDAY, &[out(1, 20)]).await;
        // It was over at 04:00, and it is out again since 07:00: known at once, as the snapshots
        // came late.
        fixture.commit_day(YESTERDAY, &[over(1, 20, 8)]).await;
        fixture.commit_day(TODAY, &[out(1, 5)]).await;
        for day in order.into_iter().chain(order) {
            fixture.run_day(day).await;
        }
        assert_eq!(fixture.starts(), [20, 5]);
    }
}

#[tokio::test]
async fn a_contradicted_row_waits_for_the_next_commit() {
    // Both rows say that the product is out now, so one of them is about to be computed again.
    // Which one?
    let contradiction = async || {
        let fixture = Fixture::new();
        fixture.commit_and_run(YESTERDAY, &[out(1, 13)]).await;
        fixture.commit_and_run(TODAY, &[out(1, 5)]).await;
        assert_eq!(fixture.starts(), [13]);
        fixture
    };
    let two = contradiction().await;
    two.commit_and_run(YESTERDAY, &[over(1, 13, 8)]).await;
    assert_eq!(two.starts(), [13, 5]);

    let one = contradiction().await;
    one.commit_and_run(TODAY, &[]).await;
    one.commit_and_run(YESTERDAY, &[over(1, 13, 2)]).await;
    assert_eq!(one.starts(), [13]);
}

#[tokio::test]
async fn an_episode_after_one_that_vanished_is_a_new_one() {
    let fixture = Fixture::new();
    fixture.commit_and_run("2026-11-19", &[out(1, 47)]).await;
    fixture.commit_and_run("2026-11-19", &[]).await;
    fixture.commit_and_run(TODAY, &[out(1, 5)]).await;
    assert_eq!(fixture.starts(), [47, 5]);
}

#[tokio::test]
async fn a_row_whose_contradiction_vanishes_is_a_new_episode() {
    let first = "2026-11-19";
    let fixture = Fixture::new();
    fixture.commit_and_run(first, &[out(1, 47)]).await;
    fixture.commit_and_run(TODAY, &[out(1, 5)]).await;
    assert_eq!(fixture.starts(), [47], "it is not clear yet whether these are two");
    // The first was none. Its day has no row of the product any more, which would say whom it is
    // about.
    fixture.commit_and_run(first, &[]).await;
    fixture.run_day(first).await;
    assert_eq!(fixture.starts(), [47, 5]);
}

#[tokio::test]
async fn a_claim_at_its_former_key_counts() {
    let fixture = Fixture::with_ends();
    fixture.commit(&[out(1, 5)]).await;
    assert_eq!(fixture.run().await.unwrap().sent, 1);
    fixture.move_claims_to_former_keys().await;
    assert_eq!(fixture.run().await.unwrap().sent, 0);
    fixture.commit(&[over(1, 5, 3)]).await;
    for ended in [1, 0] {
        assert_eq!(fixture.run().await.unwrap().ended, ended);
    }
    assert_eq!(fixture.subjects(), ["Over: p1 is out", "p1 is out"]);
}

#[tokio::test]
async fn a_row_that_waits_at_its_former_key_is_found() {
    let first = "2026-11-19";
    let fixture = Fixture::new();
    fixture.commit_and_run(first, &[out(1, 47)]).await;
    fixture.commit_and_run(TODAY, &[out(1, 5)]).await;
    fixture.move_claims_to_former_keys().await;
    fixture.commit_and_run(first, &[]).await;
    assert_eq!(fixture.starts(), [47, 5]);
}

#[tokio::test]
async fn forgotten_episodes_are_not_notified_again() {
    let fixture = Fixture::with(NotifyPolicy { within: TimeDelta::days(900), ended: false });
    let days: Vec<_> = (1..=60).map(|day| day * 24).collect();
    for hours in days.iter().rev() {
        fixture.commit_and_run(&day_of(*hours), &[over(1, *hours, hours - 1)]).await;
    }
    for hours in &days {
        fixture.run_day(&day_of(*hours)).await;
    }
    assert_eq!(fixture.starts().len(), days.len());
}

#[test]
fn known_end_is_the_lookahead_of_the_model() {
    let model = shoplake_testing::read("glue-sql/operations/stockout_alerts.sql");
    let days = model
        .split_once("-- lookahead_days = ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    assert_eq!(days.unwrap().parse::<i64>().unwrap(), crate::episode::KNOWN_END.num_days());
}

/// Snapshots of a product, by hours before noon: whether it is out of stock.
type Snapshots = BTreeMap<std::cmp::Reverse<i64>, bool>;

/// Returns the times from the first to the last snapshot of each stock-out.
fn episodes(snapshots: &Snapshots) -> Vec<(i64, Option<i64>)> {
    let mut episodes: Vec<(i64, Option<i64>)> = Vec::new();
    let mut is_out_before = false;
    for (hour, is_out) in snapshots {
        match (is_out_before, is_out) {
            (false, true) => episodes.push((hour.0, None)),
            (true, false) => episodes.last_mut().unwrap().1 = Some(hour.0),
            _ => {}
        }
        is_out_before = *is_out;
    }
    episodes
}

/// Returns the rows of gold by day: the first episode that starts on it.
fn alerts_by_day(snapshots: &Snapshots) -> BTreeMap<String, Alert> {
    let mut days = BTreeMap::new();
    for (started, ended) in episodes(snapshots) {
        days.entry(day_of(started)).or_insert(Alert { ended, ..out(1, started) });
    }
    days
}

proptest! {
    #![proptest_config(cases(300))]

    /// In any order of snapshots and of computed days, people get at most one message about an
    /// episode, and finally one for each row.
    #[test]
    fn shuffled_snapshots_give_each_episode_one_message(
        snapshots in prop::collection::btree_map(0..72_i64, any::<bool>(), 1..14)
            .prop_map(|snapshots| snapshots.into_iter().collect::<Vec<_>>())
            .prop_shuffle(),
        orders in prop::collection::vec(any::<bool>(), 14),
        is_late in prop::collection::vec(any::<bool>(), 14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with(NotifyPolicy { within: TimeDelta::days(9), ended: false });
            let mut known = Snapshots::new();
            let mut gold: BTreeMap<String, (i64, Option<i64>)> = BTreeMap::new();
            for (number, (hour, is_out)) in snapshots.iter().enumerate() {
                known.insert(std::cmp::Reverse(*hour), *is_out);
                let now = alerts_by_day(&known);
                let mut days: Vec<_> = (0..=72).step_by(24).map(day_of).collect();
                if orders[number] {
                    days.reverse();
                }
                let changed: Vec<_> = days
                    .into_iter()
                    .filter(|day| now.get(day).map(span) != gold.get(day).copied())
                    .collect();
                gold = now.iter().map(|(day, row)| (day.clone(), span(row))).collect();
                let rows = |day: &String| now.get(day).map(|row| vec![*row]).unwrap_or_default();
                for day in &changed {
                    fixture.commit_day(day, &rows(day)).await;
                    if !is_late[number] {
                        fixture.run_day(day).await;
                    }
                }
                for day in changed.iter().filter(|_| is_late[number]) {
                    fixture.run_day(day).await;
                }
            }
            let notified = fixture.starts();
            let of = |episode: &(i64, Option<i64>)| {
                let (started, ended) = *episode;
                let is_within = |hour: &&i64| {
                    **hour <= started && ended.is_none_or(|ended| **hour > ended)
                };
                notified.iter().filter(is_within).count()
            };
            for episode in episodes(&known) {
                assert!(of(&episode) <= 1, "{episode:?} of {known:?}: {notified:?}");
            }
            // All episodes that begin on a day are one alert. An alert of up to 24 hours earlier
            // counts as well: if its row has gone without an end, its start may have moved here.
            for (day, row) in &alerts_by_day(&known) {
                let is_notified = episodes(&known)
                    .iter()
                    .any(|episode| day_of(episode.0) == *day && of(episode) == 1)
                    || notified.iter().any(|hour| {
                        day_of(*hour) == *day || (0..=24).contains(&(hour - row.started))
                    });
                assert!(is_notified, "{day} of {known:?}: {notified:?}");
            }
        });
    }
}

/// The fate of a run.
#[derive(Clone, Debug)]
struct Run {
    /// The number of steps after which it is killed.
    killed_after: Option<usize>,
    /// How many rows are committed before it.
    more: u8,
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run = (prop::option::weighted(0.4, 0..60_usize), 0..4_u8)
        .prop_map(|(killed_after, more)| Run { killed_after, more });
    prop::collection::vec(run, 1..8)
}

fn topic_faults() -> impl Strategy<Value = Vec<Option<Fault>>> {
    let fault = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Fault::Refused)),
        1 => Just(Some(Fault::Lost)),
        1 => Just(Some(Fault::AnswerLost)),
    ];
    prop::collection::vec(fault, 0..30)
}

/// Returns how often the start and the end of each row were notified.
fn notified(fixture: &Fixture) -> BTreeMap<String, usize> {
    let mut notified = BTreeMap::new();
    for subject in fixture.subjects() {
        *notified.entry(subject).or_default() += 1;
    }
    notified
}

/// Commits the rows of the runs, and starts all runs at once over a store with these faults.
async fn handle(fixture: &Fixture, runs: &[Run], store: &[bool]) {
    let seen = runs.iter().map(|run| run.more).sum();
    let alerts: Vec<_> = (0..seen).map(|product| over(product, 5, 3)).collect();
    fixture.commit(&alerts).await;
    fixture.store.fail(store.iter().copied());
    let runs = runs.iter().map(async |run| match run.killed_after {
        Some(polls) => killed_after(polls, fixture.run()).await,
        None => fixture.run().await.is_ok(),
    });
    futures::future::join_all(runs).await;
    fixture.store.fail([]);
}

proptest! {
    #![proptest_config(cases(200))]

    /// With overlapping and killed runs, and a failing store and topic, nothing is notified twice.
    #[test]
    fn a_row_is_notified_at_most_once(
        rounds in prop::collection::vec(runs(), 1..4),
        topic in topic_faults(),
        store in prop::collection::vec(prop::bool::weighted(0.1), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_ends();
            fixture.topic.fail(topic);
            for runs in &rounds {
                handle(&fixture, runs, &store).await;
            }
            // Any number of retries later:
            for _ in 0..3 {
                let _ = fixture.run().await;
            }
            for (subject, times) in notified(&fixture) {
                assert_eq!(times, 1, "{subject}");
            }
        });
    }

    /// Without failures every row is notified once, in any number of concurrent runs.
    #[test]
    fn every_row_is_notified_if_nothing_fails(rounds in prop::collection::vec(runs(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_ends();
            let mut most = 0;
            for runs in &rounds {
                let unharmed: Vec<_> = runs
                    .iter()
                    .map(|run| Run { killed_after: None, ..run.clone() })
                    .collect();
                most = most.max(unharmed.iter().map(|run| usize::from(run.more)).sum());
                handle(&fixture, &unharmed, &[]).await;
            }
            // The second run to claim a start has left the end to a later run.
            fixture.run().await.unwrap();
            let notified = notified(&fixture);
            assert_eq!(notified.len(), 2 * most);
            assert!(notified.values().all(|times| *times == 1), "{notified:?}");
        });
    }

    /// A topic that refuses now and then delays a message, and neither loses nor duplicates it.
    #[test]
    fn refusals_lose_nothing(
        refused in prop::collection::vec(any::<bool>(), 0..40),
        at_once in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_ends();
            fixture.topic.fail(refused.iter().map(|refused| refused.then_some(Fault::Refused)));
            for _ in 0..=refused.len() {
                handle(&fixture, &vec![Run { killed_after: None, more: 3 }; at_once], &[]).await;
            }
            let notified = notified(&fixture);
            assert_eq!(notified.len(), 2 * 3 * at_once);
            assert!(notified.values().all(|times| *times == 1), "{notified:?}");
        });
    }
}
