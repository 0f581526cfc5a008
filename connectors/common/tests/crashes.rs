//! A run that is killed anywhere, any number of times, delivers in the end what an undisturbed one delivers.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, value::RawValue};
use shoplake_connector::{Batch, Checkpoint, Facts, Page, Run, RunError, Source, SourceError};
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError as StorePutError, Store, StoreError,
};
use shoplake_platform::{
    clock::ManualClock,
    stream::{MemoryStream, PutError, PutFailure, Record, Stream, Times},
};

const STREAM: &str = "shoplake-test-pos";

/// The process's remaining life, in steps. Each step may kill it before or after it took effect.
#[derive(Default)]
struct Life(AtomicUsize);

impl Life {
    fn is_over(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

/// The world outlives the processes.
#[derive(Default)]
struct World {
    store: MemoryStore,
    stream: MemoryStream,
}

struct Process<'a> {
    world: &'a World,
    life: Life,
    rows: &'a [String],
    page_size: usize,
}

impl Process<'_> {
    fn store_error(key: &str) -> StoreError {
        StoreError { action: "reach", key: key.to_owned(), cause: "killed".to_owned() }
    }

    fn stream_error() -> PutError {
        let reason = PutFailure::Unavailable("killed".to_owned());
        PutError { stream: STREAM.to_owned(), unaccepted: vec![0], reason }
    }

    async fn run(&self) -> Result<Checkpoint, RunError> {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let run = Run {
            batch: &batch(),
            source: self,
            describe,
            stream: self,
            stream_name: STREAM,
            store: self,
            clock: &clock,
        };
        run.run().await
    }
}

#[async_trait]
impl Source for Process<'_> {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        if self.life.is_over() {
            let url = "memory".to_owned();
            let error = shoplake_connector::ApiError::Unavailable { url, cause: "killed".to_owned() };
            return Err(error.into());
        }
        let start: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let end = self.rows.len().min(start + self.page_size);
        let rows =
            self.rows[start..end].iter().map(|row| RawValue::from_string(row.clone()).unwrap()).collect();
        Ok(Page { rows, next_cursor: (end < self.rows.len()).then(|| end.to_string()) })
    }
}

#[async_trait]
impl Stream for Process<'_> {
    async fn put(&self, stream: &str, mut records: Vec<Record>) -> Result<(), PutError> {
        if self.life.is_over() {
            return Err(Self::stream_error());
        }
        if self.life.is_over() {
            // Killed in the middle: the records from there on are lost.
            records.truncate(records.len().div_ceil(2));
            self.world.stream.put(stream, records).await?;
            return Err(Self::stream_error());
        }
        self.world.stream.put(stream, records).await?;
        if self.life.is_over() { Err(Self::stream_error()) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Process<'_> {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        if self.life.is_over() { Err(Self::store_error(key)) } else { self.world.store.get(key).await }
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.world.store.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.world.store.list(prefix).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, StorePutError> {
        if self.life.is_over() {
            return Err(Self::store_error(key).into());
        }
        let etag = self.world.store.put(key, bytes, metadata, condition).await?;
        if self.life.is_over() { Err(Self::store_error(key).into()) } else { Ok(etag) }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.world.store.delete(key).await
    }
}

fn batch() -> Batch {
    Batch {
        shop: "acme".parse().unwrap(),
        connector: "pos",
        dataset: "pos_sales",
        name: "2010-12-01".to_owned(),
        business_date: NaiveDate::from_ymd_opt(2010, 12, 1).unwrap(),
    }
}

fn describe(row: &RawValue) -> Facts {
    let value: Value = serde_json::from_str(row.get()).unwrap();
    Facts {
        key: value["id"].as_str().map(str::to_owned),
        quantity: value["quantity"].as_i64().and_then(|quantity| quantity.try_into().ok()),
        occurred_at: None,
    }
}

/// Every kind of row: with and without what makes the id, with and without a number to sum; `number` makes it unique.
fn row((number, kind, quantity): (usize, u8, i32)) -> String {
    match kind {
        0 => format!(r#"{{"quantity":{quantity},"note":"no id"}}"#),
        1 => format!(r#"{{"id":"t/{number}","quantity":"{quantity} pieces"}}"#),
        2 => "17".to_owned(),
        _ => format!(r#"{{"id":"t/{number}","quantity":{quantity}}}"#),
    }
}

async fn run_to_the_end(world: &World, rows: &[String], page_size: usize) -> Checkpoint {
    run_for(world, rows, page_size, usize::MAX).await.unwrap()
}

async fn run_for(
    world: &World,
    rows: &[String],
    page_size: usize,
    life: usize,
) -> Result<Checkpoint, RunError> {
    Process { world, life: Life(AtomicUsize::new(life)), rows, page_size }.run().await
}

/// What the stream holds, by envelope id. The same id twice must be the same envelope.
fn envelopes(world: &World) -> BTreeMap<String, String> {
    let mut envelopes = BTreeMap::new();
    for line in world.stream.lines(STREAM) {
        let id = serde_json::from_str::<Value>(&line).unwrap()["id"].as_str().unwrap().to_owned();
        if let Some(earlier) = envelopes.insert(id, line.clone()) {
            assert_eq!(earlier, line, "one id, two envelopes");
        }
    }
    envelopes
}

fn control_total(world: &World) -> Value {
    serde_json::from_str::<Value>(&envelopes(world)["pos/2010-12-01/control-total"]).unwrap()["data"].clone()
}

proptest! {
    #[test]
    fn given_any_crashes_when_run_again_then_the_envelopes_and_totals_are_those_of_an_undisturbed_run(
        kinds in vec((0_u8..6, -100..100_i32), 0..60),
        page_size in 1_usize..20,
        lives in vec(0_usize..30, 0..8),
    ) {
        let rows: Vec<_> = kinds.into_iter().enumerate().map(|(n, (kind, quantity))| row((n, kind, quantity))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let undisturbed = World::default();
            let expected = run_to_the_end(&undisturbed, &rows, page_size).await;

            let world = World::default();
            for life in lives {
                // One that lives long enough completes the batch, and the next one delivers it again.
                if let Err(error) = run_for(&world, &rows, page_size, life).await {
                    assert!(error.is_transient(), "{error}");
                }
            }
            let completed = run_to_the_end(&world, &rows, page_size).await;

            assert_eq!(envelopes(&world), envelopes(&undisturbed));
            assert_eq!(completed, expected);
            assert_eq!(envelopes(&world).len(), rows.len() + 1);
        });
    }

    #[test]
    fn given_another_page_size_after_the_crash_then_nothing_changes(
        rows in 1_usize..60, first in 1_usize..20, second in 1_usize..20, life in 0_usize..40,
    ) {
        let rows: Vec<_> = (0..rows).map(|n| row((n, (n % 6) as u8, n as i32))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let undisturbed = World::default();
            run_to_the_end(&undisturbed, &rows, first).await;

            let world = World::default();
            let _ = run_for(&world, &rows, first, life).await;
            run_to_the_end(&world, &rows, second).await;

            assert_eq!(envelopes(&world), envelopes(&undisturbed));
        });
    }
}

fn rows(count: usize) -> Vec<String> {
    (0..count).map(|n| row((n, 3, 2))).collect()
}

/// The rows that the checkpoint says are acknowledged.
async fn acknowledged(world: &World) -> usize {
    let Some(object) = world.store.get(&batch().checkpoint_key()).await.unwrap() else { return 0 };
    serde_json::from_slice::<Checkpoint>(&object.bytes).unwrap().rows as usize
}

#[tokio::test]
async fn given_every_crash_point_of_a_small_batch_then_the_next_run_sends_only_what_was_not_acknowledged() {
    let rows = rows(10);
    for life in 0.. {
        let world = World::default();
        if run_for(&world, &rows, 3, life).await.is_ok() {
            assert!(life > 20, "four pages and the end have more steps than {life}");
            return;
        }
        let (sent, acknowledged) = (world.stream.lines(STREAM).len(), acknowledged(&world).await);
        let is_complete = world.store.get(&batch().checkpoint_key()).await.unwrap().is_some_and(|object| {
            serde_json::from_slice::<Checkpoint>(&object.bytes).unwrap().completed_at.is_some()
        });
        run_to_the_end(&world, &rows, 3).await;

        // Killed after its very last step, the batch was complete, and is delivered again.
        let left = if is_complete { rows.len() } else { rows.len() - acknowledged };
        assert_eq!(world.stream.lines(STREAM).len(), sent + left + 1, "the rows left, and the control total");
        assert_eq!(control_total(&world)["row_count"], 10);
        assert_eq!(control_total(&world)["quantity_sum"], 20);
    }
}

#[tokio::test]
async fn given_a_completed_batch_when_run_again_then_it_is_delivered_again_with_the_same_ids() {
    let (world, rows) = (World::default(), rows(7));

    run_to_the_end(&world, &rows, 3).await;
    run_to_the_end(&world, &rows, 3).await;

    assert_eq!(world.stream.lines(STREAM).len(), 2 * 8);
    assert_eq!(envelopes(&world).len(), 8);
    assert_eq!(control_total(&world)["row_count"], 7);
}

#[tokio::test]
async fn given_an_empty_batch_then_its_control_total_says_so() {
    let world = World::default();

    let completed = run_to_the_end(&world, &[], 3).await;

    assert_eq!((completed.page, completed.rows), (1, 0));
    assert_eq!(control_total(&world)["row_count"], 0);
}

#[tokio::test]
async fn given_a_stream_that_takes_only_some_records_then_the_page_is_not_acknowledged() {
    let (world, rows) = (World::default(), rows(1_000));
    let refused = PutFailure::Refused("AccessDeniedException".to_owned());
    world
        .stream
        .reject(Times::First(1), refused, |record| record.data.windows(6).any(|text| text == b"t/999\""));

    let error = run_for(&world, &rows, 500, usize::MAX).await.unwrap_err();
    assert!(matches!(&error, RunError::Stream(_)) && !error.is_transient(), "{error}");
    assert!(!envelopes(&world).contains_key("pos/2010-12-01/control-total"));
    run_to_the_end(&world, &rows, 500).await;

    assert_eq!(envelopes(&world).len(), 1_001);
    assert_eq!(control_total(&world)["row_count"], 1_000);
}

#[tokio::test]
async fn given_a_throttled_stream_then_only_what_failed_is_put_again() {
    let (world, rows) = (World::default(), rows(1_000));
    let throttled = PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned());
    world.stream.reject(Times::First(3), throttled, |_| true);

    run_to_the_end(&world, &rows, 500).await;

    assert_eq!(world.stream.lines(STREAM).len(), 1_001);
}

#[tokio::test]
async fn given_two_runs_of_one_batch_then_the_one_that_comes_second_to_the_checkpoint_leaves() {
    let (world, rows) = (World::default(), rows(7));
    // Killed right after its first page was written down.
    run_for(&world, &rows, 3, 6).await.unwrap_err();
    let slow = Process { world: &world, life: Life(AtomicUsize::new(usize::MAX)), rows: &rows, page_size: 3 };
    struct Overtaken<'a>(&'a Process<'a>, &'a World, &'a [String]);
    #[async_trait]
    impl Source for Overtaken<'_> {
        async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
            run_to_the_end(self.1, self.2, 3).await;
            self.0.page(cursor).await
        }
    }
    let clock = ManualClock::new(DateTime::UNIX_EPOCH);
    let run = Run {
        batch: &batch(),
        source: &Overtaken(&slow, &world, &rows),
        describe,
        stream: &slow,
        stream_name: STREAM,
        store: &world.store,
        clock: &clock,
    };

    let error = run.run().await.unwrap_err();

    assert!(matches!(error, RunError::AnotherRun { .. }), "{error}");
    assert_eq!(control_total(&world)["row_count"], 7);
}

#[tokio::test]
async fn given_a_checkpoint_that_cannot_be_read_then_the_batch_starts_over() {
    let (world, rows) = (World::default(), rows(4));
    let bytes = Bytes::from_static(b"{\"version\":99}");
    world.store.put(&batch().checkpoint_key(), bytes, Metadata::new(), Condition::Absent).await.unwrap();

    let completed = run_to_the_end(&world, &rows, 3).await;

    assert_eq!(completed.rows, 4);
    assert_eq!(envelopes(&world).len(), 5);
}
