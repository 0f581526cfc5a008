//! A run that is killed anywhere, any number of times, delivers in the end what an undisturbed one
//! delivers.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "support/life.rs"]
mod life;
mod support;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{NaiveDate, TimeDelta};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, value::RawValue};
use shoplake_aws::stream::{MemoryStream, PutFailure, Times};
use shoplake_connector::{Checkpoint, Dataset, Page, Run, RunError, Source, SourceError};
use shoplake_contracts::envelope::MAX_RECORD_BYTES;
use shoplake_lake::{
    Condition, ETag, Entry, Head, MemoryStore, Metadata, Object, PutError as StorePutError, Store,
    StoreError,
};
use shoplake_platform::clock::ManualClock;

use life::{Life, Process, World};
use support::{STREAM, batch, dataset, destination, now};

/// A run's process and its source.
struct Attempt<'a> {
    process: Process<'a>,
    rows: &'a [String],
    page_size: usize,
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Checkpoint, RunError> {
        let clock = ManualClock::new(now());
        let run = Run {
            batch: &batch(),
            dataset: &dataset(),
            source: self,
            destination: &destination(),
            stream: &self.process,
            store: &self.process,
            clock: &clock,
        };
        run.run().await
    }
}

#[async_trait]
impl Source for Attempt<'_> {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        if self.process.life.is_over() {
            let url = "memory".to_owned();
            let cause = "killed".to_owned();
            let error = shoplake_connector::ApiError::Unavailable { url, cause, retry_after: None };
            return Err(error.into());
        }
        // A page behind the end is empty: rows may have gone since the cursor was handed out.
        let start = cursor.map_or(0, |cursor| cursor.parse().unwrap()).min(self.rows.len());
        let end = self.rows.len().min(start + self.page_size);
        let rows = self.rows[start..end]
            .iter()
            .map(|row| RawValue::from_string(row.clone()).unwrap())
            .collect();
        Ok(Page { rows, next_cursor: (end < self.rows.len()).then(|| end.to_string()) })
    }
}

/// A line of the receipt `number`, with a quantity as it is written.
fn sale(number: impl std::fmt::Display, quantity: &str) -> String {
    format!(
        concat!(
            r#"{{"transaction_id":"t{number}","line_no":1,"store_id":"s1","region":"north","#,
            r#""product_id":"p1","quantity":{quantity},"unit_price":"2.55","discount":"0","#,
            r#""currency":"GBP","sold_at":"2010-12-01T08:26:00Z","business_date":"2010-12-01"}}"#
        ),
        number = number,
        quantity = quantity
    )
}

/// Every kind of row: with and without what makes the id, with and without a valid quantity;
/// `number` makes it unique.
fn row((number, kind, quantity): (usize, u8, i32)) -> String {
    match kind {
        0 => format!(r#"{{"quantity":{quantity},"note":"no id {number}"}}"#),
        1 => sale(number, &format!("\"{quantity} pieces\"")),
        2 => number.to_string(),
        // 0 is not a quantity.
        _ => sale(number, &format!("{}.0", if quantity == 0 { 1 } else { quantity })),
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
    let process = Process { world, life: Life::of(life) };
    Attempt { process, rows, page_size }.run().await
}

/// What the newest run sent, by envelope id, without the run. The same id twice in a run must be
/// the same envelope.
fn envelopes(world: &World) -> BTreeMap<String, String> {
    let mut runs: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for line in world.stream.lines(STREAM) {
        let envelope: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| envelope[name].as_str().unwrap().to_owned();
        let envelopes = runs.entry(text("run")).or_default();
        // The clock stands still, so other attributes have the same text.
        let line = line.replace(&format!("\"run\":\"{}\"", text("run")), "\"run\":\"\"");
        if let Some(earlier) = envelopes.insert(text("id"), line.clone()) {
            assert_eq!(earlier, line, "one id, two envelopes");
        }
    }
    runs.pop_last().unwrap_or_default().1
}

/// The runs whose control totals were sent, in order.
fn completed_runs(world: &World) -> Vec<String> {
    let lines = world.stream.lines(STREAM);
    let envelopes = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let totals = envelopes.filter(|envelope| envelope["dataset"] == "control_totals");
    totals.map(|total| total["data"]["run"].as_str().unwrap().to_owned()).collect()
}

/// The last control total that was sent.
fn control_total(world: &World) -> Value {
    let lines = world.stream.lines(STREAM);
    let mut lines = lines.iter().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["dataset"] == "control_totals").unwrap()["data"].clone()
}

proptest! {
    #[test]
    fn crashes_change_neither_envelopes_nor_totals(
        kinds in vec((0_u8..6, -100..100_i32), 0..60),
        page_size in 1_usize..20,
        lives in vec(0_usize..30, 0..8),
    ) {
        let kinds = kinds.into_iter().enumerate();
        let rows: Vec<_> = kinds.map(|(n, (kind, quantity))| row((n, kind, quantity))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let undisturbed = World::default();
            let expected = run_to_the_end(&undisturbed, &rows, page_size).await;

            let world = World::default();
            for life in lives {
                // One that lives long enough completes the batch, and the next one delivers it
                // again.
                if let Err(error) = run_for(&world, &rows, page_size, life).await {
                    assert!(error.is_transient(), "{error}");
                }
            }
            let completed = run_to_the_end(&world, &rows, page_size).await;

            assert_eq!(envelopes(&world), envelopes(&undisturbed));
            assert_eq!(
                Checkpoint { run: None, ..completed },
                Checkpoint { run: None, ..expected }
            );
            assert_eq!(envelopes(&world).len(), rows.len() + 1);
        });
    }

    #[test]
    fn another_page_size_after_a_crash_changes_nothing(
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

/// What happens to a row of the source between two attempts.
#[derive(Debug, Clone, Copy)]
enum Change {
    Corrected { quantity: i32 },
    Voided,
    Added { quantity: i32 },
}

impl Change {
    fn any() -> impl Strategy<Value = Option<(usize, Self)>> {
        let change = prop_oneof![
            (1..9_i32).prop_map(|quantity| Self::Corrected { quantity }),
            Just(Self::Voided),
            (1..9_i32).prop_map(|quantity| Self::Added { quantity }),
        ];
        prop::option::of((0_usize..60, change))
    }

    /// Changes the row at `place`, counted from the first one again after the last.
    fn apply(self, rows: &mut Vec<(usize, i32)>, place: usize) {
        let place = place % rows.len().max(1);
        match self {
            Self::Corrected { quantity } => {
                if let Some((_, before)) = rows.get_mut(place) {
                    *before = quantity;
                }
            }
            Self::Voided if place < rows.len() => {
                rows.remove(place);
            }
            Self::Voided => {}
            Self::Added { quantity } => {
                let number = rows.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
                rows.insert(place, (number, quantity));
            }
        }
    }
}

/// The rows of one run as silver has them, and its control totals.
#[derive(Debug, Default)]
struct SentRun {
    /// The time of receipt and the quantity of each row, by envelope id.
    rows: BTreeMap<String, (String, i64)>,
    /// Counts of rows and sums of quantities.
    totals: Vec<(u64, i64)>,
}

/// Returns everything that was sent, by run.
fn sent_runs(world: &World) -> BTreeMap<String, SentRun> {
    let mut runs: BTreeMap<String, SentRun> = BTreeMap::new();
    for line in world.stream.lines(STREAM) {
        let envelope: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| envelope[name].as_str().unwrap().to_owned();
        let (run, data) = (runs.entry(text("run")).or_default(), &envelope["data"]);
        if text("dataset") == "control_totals" {
            let count = data["row_count"].as_u64().unwrap();
            run.totals.push((count, data["quantity_sum"].as_i64().unwrap()));
            continue;
        }
        // Whole quantities, some of them written as 2.0.
        let row = (text("receivedat"), data["quantity"].as_f64().unwrap() as i64);
        let newest = run.rows.entry(text("id")).or_insert_with(|| row.clone());
        // Of rows with one key silver takes the one received last.
        assert!(row.0 != newest.0 || row == *newest, "one id and time, two rows: {line}");
        *newest = row.max(newest.clone());
    }
    runs
}

proptest! {
    #[test]
    fn a_run_has_one_content_although_the_source_changes(
        quantities in vec(1..9_i32, 0..30),
        page_size in 1_usize..12,
        attempts in vec((0_usize..40, Change::any()), 0..8),
    ) {
        let mut source: Vec<_> = quantities.into_iter().enumerate().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::default();
            let lives = attempts.into_iter().chain([(usize::MAX, None)]);
            for (life, change) in lives {
                let rows = source.iter().map(|(number, count)| sale(number, &count.to_string()));
                let _ = run_for(&world, &rows.collect::<Vec<_>>(), page_size, life).await;
                if let Some((place, change)) = change {
                    change.apply(&mut source, place);
                }
            }

            let runs = sent_runs(&world);
            for (run, SentRun { rows, totals }) in &runs {
                let sum = rows.values().map(|(_, quantity)| quantity).sum();
                for total in totals {
                    prop_assert_eq!(*total, (rows.len() as u64, sum), "{}: {:?}", run, rows);
                }
            }
            let newest = runs.last_key_value().unwrap();
            prop_assert!(!newest.1.totals.is_empty(), "the newest run is complete: {:?}", runs);
            Ok(())
        })?;
    }
}

/// Runs a batch whose first page is sent and not acknowledged, then its source with other rows.
async fn change_while_sending(before: &[String], after: &[String], life: usize) -> World {
    let world = World::default();
    run_for(&world, before, 3, life).await.unwrap_err();
    assert_eq!((acknowledged(&world).await, sent(&world).len()), (0, before.len().min(3)));
    run_to_the_end(&world, after, 3).await;
    world
}

#[tokio::test]
async fn a_page_that_changed_while_it_was_sent_begins_a_later_run() {
    let rows = rows(5);
    let mut voided = rows.clone();
    voided.remove(1);

    // Killed after the stream has the first page.
    let world = change_while_sending(&rows, &voided, 6).await;

    let runs = sent_runs(&world);
    let found: Vec<_> = runs.values().map(|run| (run.rows.len(), run.totals.clone())).collect();
    assert_eq!(found, [(3, vec![]), (4, vec![(4, 8)])]);
}

#[tokio::test]
async fn a_page_that_is_sent_again_unchanged_keeps_its_run() {
    let rows = rows(5);

    let world = change_while_sending(&rows, &rows, 6).await;

    assert_eq!(sent(&world).len(), 3 + 5);
    let runs = sent_runs(&world);
    let found: Vec<_> = runs.values().map(|run| (run.rows.len(), run.totals.clone())).collect();
    assert_eq!(found, [(5, vec![(5, 10)])]);
}

/// The control total of an empty batch is sent, and the process killed. Then the batch has rows.
#[tokio::test]
async fn rows_that_appear_after_a_control_total_begin_a_later_run() {
    let world = World::default();
    // The checkpoint is read, the page fetched, and its end written down in two steps. The stream
    // takes the control total in the three after those.
    run_for(&world, &[], 3, 6).await.unwrap_err();
    assert_eq!(completed_runs(&world).len(), 1);

    run_to_the_end(&world, &rows(2), 3).await;
    run_to_the_end(&world, &rows(2), 3).await;

    let runs = sent_runs(&world);
    let found: Vec<_> = runs.values().map(|run| (run.rows.len(), run.totals.clone())).collect();
    assert_eq!(found, [(0, vec![(0, 0), (0, 0)]), (2, vec![(2, 4)])]);
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
async fn the_next_run_sends_only_unacknowledged_rows() {
    let rows = rows(10);
    for life in 0.. {
        let world = World::default();
        if run_for(&world, &rows, 3, life).await.is_ok() {
            assert!(life > 20, "four pages and the end have more steps than {life}");
            return;
        }
        let (sent, acknowledged) = (world.stream.lines(STREAM).len(), acknowledged(&world).await);
        let is_complete =
            world.store.get(&batch().checkpoint_key()).await.unwrap().is_some_and(|object| {
                serde_json::from_slice::<Checkpoint>(&object.bytes).unwrap().completed_at.is_some()
            });
        run_to_the_end(&world, &rows, 3).await;

        // Killed after its very last step, the batch was complete, and is delivered again.
        let left = if is_complete { rows.len() } else { rows.len() - acknowledged };
        assert_eq!(
            world.stream.lines(STREAM).len(),
            sent + left + 1,
            "the rows left, and the control total"
        );
        assert_eq!(control_total(&world)["row_count"], 10);
        assert_eq!(control_total(&world)["quantity_sum"], 20);
    }
}

#[tokio::test]
async fn a_redelivery_has_the_same_ids_and_a_later_run() {
    let (world, rows) = (World::default(), rows(7));

    run_to_the_end(&world, &rows, 3).await;
    let first = envelopes(&world);
    run_to_the_end(&world, &rows, 3).await;

    assert_eq!(world.stream.lines(STREAM).len(), 2 * 8);
    assert_eq!((envelopes(&world).len(), envelopes(&world)), (8, first));
    assert_eq!(control_total(&world)["row_count"], 7);
    let runs = completed_runs(&world);
    assert!(runs.len() == 2 && runs[0] < runs[1], "the clock stood still: {runs:?}");
}

#[tokio::test]
async fn a_resumed_delivery_keeps_its_run() {
    let rows = rows(10);
    let began = |world: &World| {
        let mut runs: Vec<_> = sent(world).iter().map(|line| line["run"].to_string()).collect();
        runs.dedup();
        runs
    };
    // Killed after the checkpoint of the first page, or while it sends the second.
    for life in [8, 14] {
        let world = World::default();
        run_for(&world, &rows, 3, life).await.unwrap_err();
        assert!(acknowledged(&world).await > 0);
        run_to_the_end(&world, &rows, 3).await;
        assert_eq!(began(&world).len(), 1, "{life}");
        assert_eq!(completed_runs(&world).len(), 1);
    }
}

/// A source that has forgotten the cursor of the checkpoint. It refuses the cursor, or says before
/// that it cannot resume.
struct Forgetful<'a> {
    attempt: Attempt<'a>,
    may_resume: bool,
}

#[async_trait]
impl Source for Forgetful<'_> {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        match cursor {
            Some("3") => {
                assert!(self.may_resume);
                let (url, detail) = ("memory".to_owned(), "unknown cursor".to_owned());
                let status = reqwest::StatusCode::GONE;
                let error = shoplake_connector::ApiError::Refused { url, status, detail };
                Err(SourceError::CursorRefused(error))
            }
            cursor => self.attempt.page(cursor).await,
        }
    }

    fn may_resume(&self) -> bool {
        self.may_resume
    }
}

#[tokio::test]
async fn a_batch_that_starts_over_begins_a_later_run() {
    for may_resume in [true, false] {
        let (world, rows) = (World::default(), rows(7));
        run_for(&world, &rows, 3, 8).await.unwrap_err();
        assert_eq!(acknowledged(&world).await, 3);
        let process = Process { world: &world, life: Life::of(usize::MAX) };
        let attempt = Attempt { process, rows: &rows, page_size: 4 };
        let clock = ManualClock::new(now());
        let run = Run {
            batch: &batch(),
            dataset: &dataset(),
            source: &Forgetful { attempt, may_resume },
            destination: &destination(),
            stream: &world.stream,
            store: &world.store,
            clock: &clock,
        };

        run.run().await.unwrap();

        let first = sent(&world)[0]["run"].to_string();
        let runs = completed_runs(&world);
        assert_eq!(runs.len(), 1);
        assert!(first.trim_matches('"') < runs[0].as_str(), "{first} {runs:?}");
        assert_eq!((envelopes(&world).len(), totals(&world)), (8, (7, 14)));
    }
}

#[tokio::test]
async fn a_checkpoint_from_before_runs_starts_the_batch_over() {
    let (world, rows) = (World::default(), rows(7));
    run_for(&world, &rows, 3, 8).await.unwrap_err();
    let key = batch().checkpoint_key();
    let object = world.store.get(&key).await.unwrap().unwrap();
    let mut checkpoint: Value = serde_json::from_slice(&object.bytes).unwrap();
    checkpoint.as_object_mut().unwrap().remove("run").unwrap();
    let bytes = Bytes::from(checkpoint.to_string());
    world.store.put(&key, bytes, Metadata::new(), Condition::Always).await.unwrap();

    run_to_the_end(&world, &rows, 3).await;

    assert_eq!(sent(&world).len(), 3 + 7);
    assert_eq!(totals(&world), (7, 14));
}

/// Only the delivery of its own day would make such a row count.
#[tokio::test]
async fn a_row_of_another_day_than_the_batch_is_refused() {
    let world = World::default();
    let moved = sale(2, "5").replace("\"2010-12-01\"}", "\"2010-11-30\"}");

    run_to_the_end(&world, &[sale(1, "1"), moved], 10).await;

    assert_eq!(totals(&world), (2, 1), "it is a row, and in quarantine");
    assert_eq!(sent(&world)[1]["id"], "pos/2010-12-01/t2/1");
}

#[tokio::test]
async fn an_empty_batch_has_a_control_total_of_zero() {
    let world = World::default();

    let completed = run_to_the_end(&world, &[], 3).await;

    assert_eq!((completed.page, completed.rows), (1, 0));
    assert_eq!(control_total(&world)["row_count"], 0);
}

#[tokio::test]
async fn a_partly_refused_page_is_not_acknowledged() {
    let (world, rows) = (World::default(), rows(1_000));
    let refused = PutFailure::Refused("AccessDeniedException".to_owned());
    world.stream.reject(Times::First(1), refused, |record| {
        record.data.windows(6).any(|text| text == b"\"t999\"")
    });

    let error = run_for(&world, &rows, 500, usize::MAX).await.unwrap_err();
    assert!(matches!(&error, RunError::Stream(_)) && !error.is_transient(), "{error}");
    assert!(!envelopes(&world).contains_key("pos/2010-12-01/control-total"));
    run_to_the_end(&world, &rows, 500).await;

    assert_eq!(envelopes(&world).len(), 1_001);
    assert_eq!(control_total(&world)["row_count"], 1_000);
}

#[tokio::test]
async fn only_throttled_records_are_put_again() {
    let (world, rows) = (World::default(), rows(1_000));
    let throttled = PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned());
    world.stream.reject(Times::First(3), throttled, |_| true);

    run_to_the_end(&world, &rows, 500).await;

    assert_eq!(world.stream.lines(STREAM).len(), 1_001);
}

#[tokio::test]
async fn of_two_runs_the_one_that_finds_a_changed_checkpoint_stops() {
    let (world, rows) = (World::default(), rows(7));
    // Killed right after its first page was written down.
    run_for(&world, &rows, 3, 8).await.unwrap_err();
    let process = Process { world: &world, life: Life::of(usize::MAX) };
    let slow = Attempt { process, rows: &rows, page_size: 3 };
    struct Overtaken<'a>(&'a Attempt<'a>, &'a World, &'a [String]);
    #[async_trait]
    impl Source for Overtaken<'_> {
        async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
            run_to_the_end(self.1, self.2, 3).await;
            self.0.page(cursor).await
        }
    }
    let clock = ManualClock::new(now());
    let run = Run {
        batch: &batch(),
        dataset: &dataset(),
        source: &Overtaken(&slow, &world, &rows),
        destination: &destination(),
        stream: &slow.process,
        store: &world.store,
        clock: &clock,
    };

    let error = run.run().await.unwrap_err();

    assert!(matches!(error, RunError::AnotherRun { .. }), "{error}");
    assert_eq!(control_total(&world)["row_count"], 7);
}

#[tokio::test]
async fn an_unreadable_checkpoint_starts_the_batch_over() {
    let (world, rows) = (World::default(), rows(4));
    let bytes = Bytes::from_static(b"{\"version\":99}");
    world
        .store
        .put(&batch().checkpoint_key(), bytes, Metadata::new(), Condition::Absent)
        .await
        .unwrap();

    let completed = run_to_the_end(&world, &rows, 3).await;

    assert_eq!(completed.rows, 4);
    assert_eq!(envelopes(&world).len(), 5);
}

/// The lines of the dataset that the stream holds, in order.
fn sent(world: &World) -> Vec<Value> {
    let lines = world.stream.lines(STREAM);
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["dataset"] == "pos_sales").collect()
}

fn totals(world: &World) -> (u64, i64) {
    let total = control_total(world);
    (total["row_count"].as_u64().unwrap(), total["quantity_sum"].as_i64().unwrap())
}

#[tokio::test]
async fn whole_quantities_count_as_their_contract_reads_them() {
    let world = World::default();
    let rows = [sale(1, "2.0"), sale(2, "1"), sale(3, "3.00"), sale(4, "2.5"), sale(5, "\"7\"")];

    run_to_the_end(&world, &rows, 2).await;

    assert_eq!(totals(&world), (5, 6), "the last two are in quarantine: they count as rows");
}

#[tokio::test]
async fn a_row_that_is_repeated_on_a_later_page_counts_once() {
    let world = World::default();
    let bad = r#"{"note":"neither key nor quantity"}"#.to_owned();
    let rows =
        [sale(1, "1"), bad.clone(), sale(3, "3"), sale(4, "4"), sale(1, "1"), sale(6, "6"), bad];

    let completed = run_to_the_end(&world, &rows, 2).await;

    assert_eq!((completed.rows, completed.quantity_sum), (5, 14));
    assert_eq!((sent(&world).len(), totals(&world)), (5, (5, 14)));
}

#[tokio::test]
async fn of_a_row_that_is_repeated_with_other_content_the_last_counts() {
    for page_size in [1, 2, 10] {
        let world = World::default();
        let rows = [
            sale(1, "1"),
            sale(2, "2"),
            sale(1, "5"),
            // Refused: what landed before it stays.
            sale(1, "0"),
            sale(3, "\"three\""),
            sale(3, "3"),
        ];

        run_to_the_end(&world, &rows, page_size).await;

        assert_eq!(totals(&world), (3, 10), "{page_size}");
        let sent = sent(&world);
        assert_eq!(sent.len(), 6);
        // Of rows with one key silver takes the one received last.
        let times = |id: &str| -> Vec<&str> {
            let of_key =
                sent.iter().filter(|line| line["id"] == id && line["data"]["quantity"] != 0);
            of_key.map(|line| line["receivedat"].as_str().unwrap()).collect()
        };
        for id in ["pos/2010-12-01/t1/1", "pos/2010-12-01/t3/1"] {
            let times = times(id);
            assert!(times.len() >= 2 && times[0] < times[1], "{id}: {times:?}");
        }
    }
}

proptest! {
    #[test]
    fn repeated_rows_count_once_whatever_crashes(
        numbers in vec((0_usize..12, 1_i32..4), 0..60),
        page_size in 1_usize..12,
        lives in vec(0_usize..30, 0..8),
    ) {
        let rows: Vec<_> =
            numbers.iter().map(|(number, quantity)| sale(number, &quantity.to_string())).collect();
        let last: BTreeMap<_, _> = numbers.iter().copied().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::default();
            for life in lives {
                let _ = run_for(&world, &rows, page_size, life).await;
            }
            run_to_the_end(&world, &rows, page_size).await;

            let sum = last.values().map(|quantity| i64::from(*quantity)).sum();
            let expected = (last.len() as u64, sum);
            assert_eq!(totals(&world), expected);
        });
    }
}

#[tokio::test]
async fn keys_of_earlier_pages_are_known_after_a_crash() {
    let mut rows: Vec<_> = (0..9_000).map(|number| sale(number, "1")).collect();
    rows.extend((0..500).map(|number| sale(number * 18, "1")));
    for is_lost in [false, true] {
        // Nine pages are acknowledged; the tenth, which repeats rows of all of them, meets the
        // crash.
        let mut world = World::default();
        for life in 50.. {
            run_for(&world, &rows, 1_000, life).await.unwrap_err();
            if acknowledged(&world).await == 9_000 {
                break;
            }
            world = World::default();
        }
        let objects = world.store.list("state/connectors/pos/acme/2010-12-01/").await.unwrap();
        assert_eq!(objects.len(), 2, "of 4,096 keys each");
        if is_lost {
            world.store.delete(&objects[1].key).await.unwrap();
        }
        let before = world.stream.lines(STREAM).len();

        run_to_the_end(&world, &rows, 1_000).await;

        assert_eq!(totals(&world), (9_000, 9_000));
        let sent_again = world.stream.lines(STREAM).len() - before - 1;
        assert_eq!(
            sent_again,
            if is_lost { 9_000 } else { 0 },
            "without its keys the batch starts over"
        );
    }
}

#[tokio::test]
async fn a_row_above_the_limit_is_sent_as_its_beginning() {
    let sizes = |note: usize| {
        let large = sale("é", "7").replace('{', &format!(r#"{{"note":"{}","#, "é".repeat(note)));
        [sale(1, "1"), large, sale(3, "3")]
    };
    let line_bytes = |world: &World| {
        let lines = world.stream.lines(STREAM);
        lines.iter().map(|line| line.len() + 1).max().unwrap()
    };
    let world = World::default();
    run_to_the_end(&world, &sizes(400_000), 10).await;
    let overhead = line_bytes(&world) - 2 * 400_000;
    let largest = (MAX_RECORD_BYTES - overhead) / 2;

    let world = World::default();
    run_to_the_end(&world, &sizes(largest), 10).await;
    assert!(line_bytes(&world) > MAX_RECORD_BYTES - 2);
    assert_eq!(totals(&world), (3, 11));
    assert!(sent(&world).iter().all(|line| line.get("oversizedbytes").is_none()));

    let world = World::default();
    let rows = sizes(largest + 1);
    run_to_the_end(&world, &rows, 10).await;
    assert_eq!(totals(&world), (3, 4), "it is a row, and in quarantine");
    let sent = sent(&world);
    assert_eq!(sent.len(), 3, "the others are delivered");
    let oversized = &sent[1];
    assert_eq!(oversized["id"], "pos/2010-12-01/té/1");
    assert_eq!(oversized["oversizedbytes"], rows[1].len().to_string());
    let beginning = oversized["data"].as_str().unwrap();
    assert!(rows[1].starts_with(beginning) && (9_998..=10_000).contains(&beginning.len()));
}

/// The contract does not get as far as the key of such a row, which is larger than a record itself.
#[tokio::test]
async fn a_row_that_is_not_json_with_a_huge_key_keeps_no_other_back() {
    let huge = sale(1, "1").replace('{', r#"{"unknown":1e400,"#);
    let key = r#""transaction_id":""#;
    let huge = huge.replace(key, &format!("{key}{}", "x".repeat(MAX_RECORD_BYTES)));
    let world = World::default();

    run_to_the_end(&world, &[sale(0, "1"), huge, sale(2, "1")], 10).await;

    assert_eq!(totals(&world), (3, 2));
    assert_eq!(sent(&world).len(), 3);
    assert!(world.stream.lines(STREAM).iter().all(|line| line.len() < MAX_RECORD_BYTES));
}

#[tokio::test]
async fn a_sum_beyond_its_bounds_is_exact_and_refused_by_the_contract() {
    // A contract may allow quantities of which two overflow 64 bits.
    let bounds = format!(r#""minimum": {}, "maximum": {}, "not""#, i64::MIN, i64::MAX);
    let schema = shoplake_testing::schema("pos_sales")
        .replace(r#""minimum": -1000000, "maximum": 1000000, "not""#, &bounds);
    let dataset = Dataset::new("pos_sales", &schema, Some("quantity")).unwrap();
    let world = World::default();
    let rows: Vec<_> = (0..3).map(|number| sale(number, &i64::MAX.to_string())).collect();
    let process = Process { world: &world, life: Life::of(usize::MAX) };
    let attempt = Attempt { process, rows: &rows, page_size: 2 };
    let clock = ManualClock::new(now());
    let run = Run {
        batch: &batch(),
        dataset: &dataset,
        source: &attempt,
        destination: &destination(),
        stream: &attempt.process,
        store: &attempt.process,
        clock: &clock,
    };

    let completed = run.run().await.unwrap();

    assert_eq!(completed.quantity_sum, 3 * i128::from(i64::MAX));
    let lines = world.stream.lines(STREAM);
    assert!(lines[3].contains("\"quantity_sum\":27670116110564327421,"), "{}", lines[3]);
    let contracts = shoplake_testing::contracts();
    let envelope: shoplake_contracts::envelope::Envelope<'_> =
        serde_json::from_str(&lines[3]).unwrap();
    let shop = batch().shop;
    let metadata = shoplake_contracts::RowMetadata::new(&shop, now());
    let reasons = contracts
        .get("control_totals")
        .unwrap()
        .validate(metadata, envelope.data.get().as_bytes())
        .unwrap_err();
    assert_eq!((reasons.len(), reasons[0].field.as_str()), (1, "quantity_sum"), "{reasons:?}");
}

/// A source whose pages have a cursor of their own each: `pages` of them, then the end.
struct Cursors {
    pages: usize,
    rows: fn(usize) -> Vec<String>,
}

#[async_trait]
impl Source for Cursors {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        let number: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let rows = (self.rows)(number).into_iter().map(|row| RawValue::from_string(row).unwrap());
        let next_cursor = (number + 1 < self.pages).then(|| (number + 1).to_string());
        Ok(Page { rows: rows.collect(), next_cursor })
    }
}

/// Counts what is written.
#[derive(Default)]
struct CountingStore {
    store: MemoryStore,
    writes: AtomicUsize,
    bytes: AtomicUsize,
    largest: AtomicUsize,
}

#[async_trait]
impl Store for CountingStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
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
    ) -> Result<ETag, StorePutError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        self.largest.fetch_max(bytes.len(), Ordering::Relaxed);
        self.store.put(key, bytes, metadata, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await
    }
}

async fn run_cursors(source: &Cursors, store: &CountingStore) -> Result<Checkpoint, RunError> {
    let (stream, clock) = (MemoryStream::default(), ManualClock::new(now()));
    let run = Run {
        batch: &batch(),
        dataset: &dataset(),
        source,
        destination: &destination(),
        stream: &stream,
        store,
        clock: &clock,
    };
    run.run().await
}

#[tokio::test]
async fn pages_without_rows_are_followed_up_to_a_limit() {
    let first_page_only = |number: usize| if number == 0 { vec![sale(1, "1")] } else { Vec::new() };
    let store = CountingStore::default();
    let completed =
        run_cursors(&Cursors { pages: 101, rows: first_page_only }, &store).await.unwrap();
    assert_eq!((completed.page, completed.rows), (101, 1));
    assert_eq!(
        store.writes.into_inner(),
        4,
        "before and after the page with a row, after the last page, and at the end"
    );

    let repeats = |_| vec![sale(1, "1")];
    for rows in [first_page_only, repeats] {
        let store = CountingStore::default();
        let error = run_cursors(&Cursors { pages: usize::MAX, rows }, &store).await.unwrap_err();
        assert!(
            matches!(error, RunError::Endless { page: 101, .. }) && !error.is_transient(),
            "{error}"
        );
        assert!(
            error.to_string().contains("batch 2010-12-01: 100 pages up to page 101"),
            "{error}"
        );
        assert_eq!(store.writes.into_inner(), 2, "before and after the first page");
    }
}

#[tokio::test]
async fn a_page_is_remembered_without_writing_all_pages_again() {
    let store = CountingStore::default();
    let thousand = |page: usize| (0..1_000).map(|row| sale(page * 1_000 + row, "1")).collect();

    let completed = run_cursors(&Cursors { pages: 40, rows: thousand }, &store).await.unwrap();

    assert_eq!((completed.rows, completed.quantity_sum), (40_000, 40_000));
    assert!(
        store.largest.into_inner() < 300_000,
        "the largest object does not grow with the batch"
    );
    assert!(store.bytes.into_inner() < 40 * 300_000);
    let objects: Vec<_> = store.store.list("state/connectors/pos/acme/").await.unwrap();
    let kept: u64 = objects.iter().map(|object| object.size).sum();
    assert!(objects.len() == 10 && kept < 1_000, "a completed batch keeps little: {objects:?}");
}

#[tokio::test]
async fn rows_of_too_many_days_are_not_sent() {
    let day = |number: i64| "2010-12-01".parse::<NaiveDate>().unwrap() - TimeDelta::days(number);
    let rows = |days: i64| -> Vec<String> {
        let row = |n: i64| sale(n, "1").replace("\"2010-12-01\"}", &format!("\"{}\"}}", day(n)));
        (0..days).map(row).collect()
    };
    // A dataset whose batches may have rows of any day.
    let any_day = "\"copies_within_days\": 0,";
    let schema = shoplake_testing::schema("pos_sales")
        .replace("\"batch\": \"day(business_date)\",", any_day)
        .replace(
            r#""complete": { "count": "row_count", "sum": { "quantity": "quantity_sum" } },"#,
            "",
        );
    let dataset = Dataset::new("pos_sales", &schema, Some("quantity")).unwrap();
    let run = async |world: &World, rows: &[String]| {
        let process = Process { world, life: Life::of(usize::MAX) };
        let attempt = Attempt { process, rows, page_size: 20 };
        let clock = ManualClock::new(now());
        let run = Run {
            batch: &batch(),
            dataset: &dataset,
            source: &attempt,
            destination: &destination(),
            stream: &attempt.process,
            store: &attempt.process,
            clock: &clock,
        };
        run.run().await
    };
    let within = World::default();
    run(&within, &rows(48)).await.unwrap();
    assert_eq!(envelopes(&within).len(), 49);

    let beyond = World::default();
    let error = run(&beyond, &rows(100)).await.unwrap_err();
    assert!(!error.is_transient());
    let expected =
        "batch 2010-12-01 of shop acme: page 3 brings rows of more than 48 days or hours";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(error.to_string().contains("BACKFILL=<name>"), "{error}");
    assert_eq!(envelopes(&beyond).len(), 40, "two pages");
}
