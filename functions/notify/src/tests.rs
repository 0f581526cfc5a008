//! At most once, whatever happens; exactly once, if nothing does.

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
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError, Store, StoreError,
};
use shoplake_platform::clock::ManualClock;
use shoplake_platform::failure::Failure;
use shoplake_platform::topic::{Fault, MemoryTopic, Message, PublishError, Topic};

use crate::handler::{Notify, Policy, Response};

const GOLD: &str = "gold/stockout_alerts/alert_date=2026-11-21/data.parquet";

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A stock-out of `product`, so many hours before noon, and if it is over, when.
#[derive(Clone, Copy)]
struct Alert {
    product: u8,
    started: i64,
    ended: Option<i64>,
}

fn out(product: u8, started: i64) -> Alert {
    Alert { product, started, ended: None }
}

fn over(product: u8, started: i64, ended: i64) -> Alert {
    Alert { product, started, ended: Some(ended) }
}

fn gold(alerts: &[Alert]) -> Bytes {
    let hours_ago = |hours: i64| (noon() - TimeDelta::hours(hours)).timestamp_micros();
    let texts = |text: &dyn Fn(&Alert) -> String| -> ArrayRef {
        Arc::new(alerts.iter().map(|alert| Some(text(alert))).collect::<StringArray>())
    };
    let moments = |moment: &dyn Fn(&Alert) -> Option<i64>| -> ArrayRef {
        Arc::new(alerts.iter().map(moment).collect::<TimestampMicrosecondArray>())
    };
    let on_hand: ArrayRef = Arc::new(alerts.iter().map(|_| Some(0)).collect::<Int64Array>());
    let cost = alerts.iter().map(|_| Some(25_000)).collect::<Decimal128Array>();
    let cost: ArrayRef = Arc::new(cost.with_precision_and_scale(18, 4).unwrap());
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("shop_id", texts(&|_| "acme".to_owned()), false),
        ("product_id", texts(&|alert| format!("p{}", alert.product)), false),
        ("state", texts(&|_| "out".to_owned()), false),
        ("started_at", moments(&|alert| Some(hours_ago(alert.started))), true),
        ("ended_at", moments(&|alert| alert.ended.map(hours_ago)), true),
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

fn event() -> Value {
    json!({
        "model": "stockout_alerts",
        "partition": "2026-11-21",
        "key": GOLD,
        "identity": ["shop_id", "product_id", "state"],
        "notice": {"subject": "{product_id} is {state}", "started": "started_at", "ended": "ended_at"},
    })
}

/// Gives way before and after each step, so that what runs at once is mixed, and so that a run can be killed anywhere.
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
        notes: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        tokio::task::yield_now().await;
        let written = self.0.put(key, bytes, notes, condition).await;
        tokio::task::yield_now().await;
        written
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key).await
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

struct World {
    store: Arc<MemoryStore>,
    topic: Arc<MemoryTopic>,
    clock: Arc<ManualClock>,
    notify: Notify,
}

impl World {
    fn new() -> Self {
        Self::with(Policy { within: TimeDelta::hours(48), ended: false })
    }

    fn with(policy: Policy) -> Self {
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

    fn telling_ends() -> Self {
        Self::with(Policy { within: TimeDelta::hours(48), ended: true })
    }

    async fn commit(&self, alerts: &[Alert]) {
        self.store.put(GOLD, gold(alerts), Metadata::new(), Condition::Always).await.unwrap();
    }

    async fn run(&self) -> Result<Response, Failure> {
        self.notify.handle(event(), DateTime::<Utc>::MAX_UTC).await
    }

    fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<_> = self.topic.messages().into_iter().map(|message| message.subject).collect();
        subjects.sort();
        subjects
    }
}

/// Runs `future` for `polls` steps, and drops it, as the end of a process does; true if it came to its end before.
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
async fn given_a_new_row_when_handled_again_and_again_then_people_are_told_once() {
    let world = World::new();
    world.commit(&[out(1, 2)]).await;
    let first = world.run().await.unwrap();
    assert_eq!((first.rows, first.sent), (1, 1));
    for _ in 0..3 {
        assert_eq!(world.run().await.unwrap().sent, 0);
    }
    world.commit(&[out(1, 2), out(2, 1)]).await;
    assert_eq!(world.run().await.unwrap().sent, 1);
    assert_eq!(world.subjects(), ["p1 is out", "p2 is out"]);
}

#[tokio::test]
async fn given_a_row_when_told_then_the_message_has_all_of_it() {
    let world = World::new();
    world.commit(&[out(1, 2)]).await;
    world.run().await.unwrap();
    let message = &world.topic.messages()[0];
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
async fn given_history_when_handled_then_nobody_is_told_even_if_the_limit_is_raised_later() {
    let world = World::new();
    world.commit(&[out(1, 49), out(2, 48)]).await;
    let response = world.run().await.unwrap();
    assert_eq!((response.sent, response.expired), (1, 1));
    assert_eq!(world.subjects(), ["p2 is out"]);
    assert_eq!(world.run().await.unwrap().expired, 0, "it is noted once");

    let patient = Notify { policy: Policy { within: TimeDelta::days(30), ended: true }, ..world.notify };
    let response = patient.handle(event(), DateTime::<Utc>::MAX_UTC).await.unwrap();
    assert_eq!((response.sent, response.ended), (0, 0));
}

#[tokio::test]
async fn given_a_late_input_that_corrects_when_it_began_then_it_is_the_same_alert() {
    let world = World::new();
    world.commit(&[out(1, 5)]).await;
    world.run().await.unwrap();
    world.commit(&[out(1, 6)]).await;
    assert_eq!(world.run().await.unwrap().sent, 0);
    assert_eq!(world.subjects(), ["p1 is out"]);
}

#[tokio::test]
async fn given_an_end_then_people_are_told_of_it_only_if_they_want_and_once() {
    let silent = World::new();
    silent.commit(&[over(1, 5, 3)]).await;
    silent.run().await.unwrap();
    assert_eq!(silent.subjects(), ["p1 is out"]);

    let world = World::telling_ends();
    world.commit(&[out(1, 5)]).await;
    world.run().await.unwrap();
    world.commit(&[over(1, 5, 3)]).await;
    assert_eq!(world.run().await.unwrap().ended, 1);
    for _ in 0..3 {
        assert_eq!(world.run().await.unwrap().ended, 0);
    }
    assert_eq!(world.subjects(), ["Over: p1 is out", "p1 is out"]);
    let body: Value = serde_json::from_str(&world.topic.messages()[1].body).unwrap();
    assert_eq!(
        (body["event"].as_str(), body["until"].as_str()),
        (Some("ended"), Some("2026-11-21T09:00:00Z"))
    );
}

#[tokio::test]
async fn given_an_end_of_what_nobody_was_told_of_then_nobody_is_told_of_the_end() {
    let world = World::telling_ends();
    world.commit(&[over(1, 60, 3)]).await;
    let response = world.run().await.unwrap();
    assert_eq!((response.expired, response.ended), (1, 0));
    assert_eq!(world.run().await.unwrap().ended, 0);
}

#[tokio::test]
async fn given_an_end_long_ago_when_ends_are_wanted_from_now_on_then_it_is_no_news() {
    let world = World::new();
    world.commit(&[out(1, 5)]).await;
    world.run().await.unwrap();
    world.commit(&[over(1, 5, 3)]).await;
    world.clock.advance(TimeDelta::hours(60));
    let late = Notify { policy: Policy { ended: true, ..world.notify.policy }, ..world.notify };
    assert_eq!(late.handle(event(), DateTime::<Utc>::MAX_UTC).await.unwrap().ended, 0);
}

#[tokio::test]
async fn given_a_topic_that_refuses_then_a_retry_tells_people_once() {
    for world in [World::new(), World::telling_ends()] {
        world.commit(&[over(1, 5, 3)]).await;
        world.topic.fail([Some(Fault::Refused), Some(Fault::Refused), None, Some(Fault::Refused)]);
        for _ in 0..2 {
            assert!(!world.run().await.unwrap_err().is_permanent());
        }
        assert!(world.subjects().is_empty());
        let _ = world.run().await;
        let _ = world.run().await;
        let wanted: &[_] =
            if world.notify.policy.ended { &["Over: p1 is out", "p1 is out"] } else { &["p1 is out"] };
        assert_eq!(world.subjects(), wanted);
    }
}

#[tokio::test]
async fn given_a_message_that_nobody_answered_for_then_it_is_never_repeated() {
    for (fault, told) in [(Fault::Lost, 0), (Fault::AnswerLost, 1)] {
        let world = World::new();
        world.commit(&[out(1, 2)]).await;
        world.topic.fail([Some(fault)]);
        assert_eq!(world.run().await.unwrap().unknown, 1, "{fault:?}");
        for _ in 0..3 {
            assert_eq!(world.run().await.unwrap().sent, 0, "{fault:?}");
        }
        assert_eq!(world.subjects().len(), told, "{fault:?}");
    }
}

#[tokio::test]
async fn given_an_end_between_claim_and_message_then_the_row_is_reported_and_not_told_again() {
    let world = World::new();
    world.commit(&[out(1, 2)]).await;
    // Steps: the gold object, the listing, the claim before and after it is written; then comes the message.
    assert!(!killed_after(4, world.run()).await);
    assert_eq!(world.store.list("notices/").await.unwrap().len(), 1, "it is claimed");
    assert_eq!(world.subjects().len(), 0, "and not published");

    let soon = world.run().await.unwrap();
    assert_eq!((soon.sent, soon.unknown), (0, 0), "whoever claimed it may still be at it");
    world.clock.advance(TimeDelta::minutes(3));
    let later = world.run().await.unwrap();
    assert_eq!((later.sent, later.unknown), (0, 1));
    assert_eq!(world.subjects().len(), 0);
}

#[tokio::test]
async fn given_a_claim_whose_answer_was_lost_then_its_writer_recognises_it() {
    /// Writes, forgets to answer, and is asked again, as the client of S3 does by itself.
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
            notes: Metadata,
            condition: Condition,
        ) -> Result<ETag, PutError> {
            if self.1.fetch_add(1, Ordering::Relaxed) == 0 {
                self.0.put(key, bytes.clone(), notes.clone(), condition.clone()).await?;
            }
            self.0.put(key, bytes, notes, condition).await
        }
        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.0.delete(key).await
        }
    }

    let world = World::new();
    world.commit(&[out(1, 2)]).await;
    let store = Arc::new(Forgetful(world.store.clone(), AtomicUsize::new(0)));
    let notify = Notify { store, ..world.notify };
    let response = notify.handle(event(), DateTime::<Utc>::MAX_UTC).await.unwrap();
    assert_eq!((response.sent, world.topic.messages().len()), (1, 1));
}

#[tokio::test]
async fn given_no_time_left_then_what_is_left_is_for_another_run() {
    let world = World::new();
    let alerts: Vec<_> = (0..40).map(|product| out(product, 1)).collect();
    world.commit(&alerts).await;
    let failure = world.notify.handle(event(), noon()).await.unwrap_err();
    assert!(!failure.is_permanent());
    assert!(failure.to_string().starts_with("40 of 40 rows are left"), "{failure}");
    assert_eq!(world.run().await.unwrap().sent, 40);
}

#[tokio::test]
async fn given_what_can_never_be_told_then_a_retry_is_not_worth_it() {
    let world = World::new();
    let message = async |event: Value| {
        let failure = world.notify.handle(event, DateTime::<Utc>::MAX_UTC).await.unwrap_err();
        assert!(failure.is_permanent(), "{failure}");
        failure.to_string()
    };
    assert!(message(json!({})).await.contains("expected the notify object"));
    assert!(message(event()).await.contains("there is no gold object"));

    world.commit(&[out(1, 2)]).await;
    let with = |pointer: &str, value: &str| {
        let mut event = event();
        *event.pointer_mut(pointer).unwrap() = json!(value);
        event
    };
    assert!(message(with("/identity/0", "shop")).await.contains("expected the column \"shop\""));
    assert!(message(with("/notice/subject", "{what} is out")).await.contains("expected the column \"what\""));
    assert!(
        message(with("/notice/started", "state"))
            .await
            .contains("to be a timestamp, as the model's notice needs")
    );

    world.store.put(GOLD, "no parquet".into(), Metadata::new(), Condition::Always).await.unwrap();
    assert!(message(event()).await.contains("no Parquet file"));
}

/// What happens to one run.
#[derive(Clone, Debug)]
struct Run {
    /// It is killed after so many steps.
    killed_after: Option<usize>,
    /// So many rows are committed for its sake.
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

/// How often people were told of each row's beginning, and of each row's end.
fn told(world: &World) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for subject in world.subjects() {
        *told.entry(subject).or_default() += 1;
    }
    told
}

/// Commits what the runs may see, and handles it once for each of them, all at once, over a store that fails like this.
async fn handle(world: &World, runs: &[Run], store: &[bool]) {
    let seen = runs.iter().map(|run| run.more).sum();
    let alerts: Vec<_> = (0..seen).map(|product| over(product, 5, 3)).collect();
    world.commit(&alerts).await;
    world.store.fail(store.iter().copied());
    let runs = runs.iter().map(async |run| match run.killed_after {
        Some(polls) => killed_after(polls, world.run()).await,
        None => world.run().await.is_ok(),
    });
    futures::future::join_all(runs).await;
    world.store.fail([]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// However runs overlap, are killed, or meet a store and a topic that fail, people are told of nothing twice.
    #[test]
    fn people_are_told_of_a_row_at_most_once(
        rounds in prop::collection::vec(runs(), 1..4),
        topic in topic_faults(),
        store in prop::collection::vec(prop::bool::weighted(0.1), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::telling_ends();
            world.topic.fail(topic);
            for runs in &rounds {
                handle(&world, runs, &store).await;
            }
            // Any number of retries later:
            for _ in 0..3 {
                let _ = world.run().await;
            }
            for (subject, times) in told(&world) {
                assert_eq!(times, 1, "{subject}");
            }
        });
    }

    /// If nothing fails, people are told of everything once, however many runs there are at once.
    #[test]
    fn people_are_told_of_every_row_if_nothing_fails(rounds in prop::collection::vec(runs(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::telling_ends();
            let mut most = 0;
            for runs in &rounds {
                let unharmed: Vec<_> = runs.iter().map(|run| Run { killed_after: None, ..run.clone() }).collect();
                most = most.max(unharmed.iter().map(|run| usize::from(run.more)).sum());
                handle(&world, &unharmed, &[]).await;
            }
            // Whoever came second to the claim of a beginning has left its end to a later run.
            world.run().await.unwrap();
            let told = told(&world);
            assert_eq!(told.len(), 2 * most);
            assert!(told.values().all(|times| *times == 1), "{told:?}");
        });
    }

    /// A topic that refuses now and then delays a message, and neither loses nor doubles it.
    #[test]
    fn refusals_lose_nothing(refused in prop::collection::vec(any::<bool>(), 0..40), at_once in 1..4_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::telling_ends();
            world.topic.fail(refused.iter().map(|refused| refused.then_some(Fault::Refused)));
            for _ in 0..=refused.len() {
                handle(&world, &vec![Run { killed_after: None, more: 3 }; at_once], &[]).await;
            }
            let told = told(&world);
            assert_eq!(told.len(), 2 * 3 * at_once);
            assert!(told.values().all(|times| *times == 1), "{told:?}");
        });
    }
}
