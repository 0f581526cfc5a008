//! Hours from the inventory API to the stream, against the sample inventory and the contracts.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{Router, extract::Query, http::StatusCode, routing::get};
use chrono::{DateTime, Utc};
use serde_json::Value;
use shoplake_aws::stream::{MemoryStream, PutFailure, Times};
use shoplake_connector::{
    ApiConfig, Delivered, Destination, Ports, RetryPolicy, SecretSource, Task, TaskError,
};
use shoplake_connector_inventory::{Hours, Snapshots};
use shoplake_contracts::{RowMetadata, envelope::Envelope};
use shoplake_lake::MemoryStore;
use shoplake_platform::clock::ManualClock;
use shoplake_sample_source::{
    api::{Faults, Server},
    inventory::{Generator, Hour, Level},
    world::World,
};
use tokio::net::TcpListener;

const TOKEN: &str = "a token";
const STREAM: &str = "shoplake-test-inventory";

/// Six hours: with these numbers there are repeated and invalid rows.
const FIRST: &str = "2026-11-20T22";
const LAST: &str = "2026-11-21T03";

fn generator() -> Generator {
    Generator::new(World { products: 75, ..World::new(7) }, 3, 0)
}

/// The API's rows of an hour that is named as the connector names it.
fn rows(generator: &Generator, hour: &str) -> Vec<Level> {
    let hour = format!("{hour}:00:00Z").parse::<Hour>().unwrap();
    generator.levels(hour).unwrap_or_default()
}

fn hours() -> [String; 6] {
    [
        "2026-11-20T22",
        "2026-11-20T23",
        "2026-11-21T00",
        "2026-11-21T01",
        "2026-11-21T02",
        "2026-11-21T03",
    ]
    .map(str::to_owned)
}

async fn start(generator: Generator, faults: Faults) -> Snapshots {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Server::new(generator, TOKEN.to_owned(), faults).serve(listener));
    let (first, last) = (FIRST.parse().unwrap(), LAST.parse().unwrap());
    Snapshots {
        destination: Destination {
            shop: "acme".parse().unwrap(),
            stream_name: STREAM.to_owned(),
            lake_bucket: String::new(),
            backfill: None,
        },
        api: ApiConfig {
            base_url,
            token: SecretSource::Value(TOKEN.into()),
            page_size: 100.try_into().unwrap(),
        },
        hours: Hours::choose(None, Some(first), Some(last)).unwrap().unwrap(),
        asks_again: false,
    }
}

/// What outlives the task.
#[derive(Default)]
struct Outside {
    stream: MemoryStream,
    store: MemoryStore,
}

impl Outside {
    async fn run(&self, task: &Snapshots, token: &str) -> Result<Delivered, TaskError> {
        let clock = ManualClock::new(now());
        let retry_policy = RetryPolicy {
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(2),
            ..RetryPolicy::default()
        };
        let (stream, store) = (&self.stream, &self.store);
        task.run(&Ports { secret: token.into(), retry_policy, stream, store, clock: &clock }).await
    }

    /// The control totals' rows and sums, by batch.
    fn control_totals(&self) -> BTreeMap<String, (u64, i64)> {
        let mut totals = BTreeMap::new();
        for line in self.stream.lines(STREAM) {
            let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
            if envelope.dataset == "control_totals" {
                let data: Value = serde_json::from_str(envelope.data.get()).unwrap();
                assert_eq!(data["dataset"], "inventory_levels");
                let batch = data["batch"].as_str().unwrap().to_owned();
                assert_eq!(data["business_date"].as_str().unwrap(), &batch[..10]);
                let total =
                    (data["row_count"].as_u64().unwrap(), data["quantity_sum"].as_i64().unwrap());
                totals.insert(batch, total);
            }
        }
        totals
    }

    /// The rows that were sent, by envelope id.
    fn rows(&self) -> BTreeMap<String, String> {
        let mut rows = BTreeMap::new();
        for line in self.stream.lines(STREAM) {
            let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
            if envelope.dataset == "inventory_levels" {
                assert_eq!(envelope.source, "/shops/acme/inventory");
                rows.insert(envelope.id.to_string(), envelope.data.get().to_owned());
            }
        }
        rows
    }
}

/// The last of the hours has passed.
fn now() -> DateTime<Utc> {
    "2026-11-21T04:05:00Z".parse().unwrap()
}

/// Returns whether the contract rejects a level.
fn is_invalid(level: &Level) -> bool {
    level.product_id.is_none()
        || level.on_hand.is_string()
        || level.reserved < 0
        || level.unit_cost == "n/a"
        || !level.snapshot_at.ends_with('Z')
}

/// Rows without exact repetitions, and the sum of the units on hand of those that the contract
/// accepts.
fn total(levels: &[Level]) -> (u64, i64) {
    let unique: BTreeMap<_, _> =
        levels.iter().map(|level| (serde_json::to_string(level).unwrap(), level)).collect();
    let valid = unique.values().filter(|level| !is_invalid(level));
    (unique.len() as u64, valid.filter_map(|level| level.on_hand.as_i64()).sum())
}

fn expected_totals(generator: &Generator) -> BTreeMap<String, (u64, i64)> {
    hours().into_iter().map(|hour| (hour.clone(), total(&rows(generator, &hour)))).collect()
}

#[tokio::test]
async fn each_hour_arrives_whole_despite_api_faults() {
    let faults = Faults { fail_every: 3, throttle_every: 4, retry_after_seconds: 0 };
    let (task, world) = (start(generator(), faults).await, Outside::default());

    let delivered = world.run(&task, TOKEN).await.unwrap();

    let expected = expected_totals(&generator());
    assert_eq!(world.control_totals(), expected);
    assert!(expected.values().all(|(rows, _)| *rows == 225), "{expected:?}");
    let units: i64 = expected.values().map(|(_, units)| units).sum();
    let quantity_sum = i128::from(units);
    assert_eq!(delivered, Delivered { batches: 6, pages: 18, rows: 6 * 225, quantity_sum });
    let repeated = hours().iter().filter(|hour| rows(&generator(), hour).len() > 225).count();
    assert!(repeated > 0, "some hour has a row twice, or the test shows less than it says");
    let sent = world.rows();
    assert_eq!(sent.len(), 6 * 225);
    let first = rows(&generator(), FIRST);
    assert_eq!(
        sent["inventory/2026-11-20T22/wh-01/p000/2026-11-20T22:00:00.000000Z"],
        serde_json::to_string(&first[0]).unwrap()
    );
    let keys: BTreeSet<_> = world.store.keys().into_iter().collect();
    let checkpoints = hours().map(|hour| format!("state/connectors/inventory/acme/{hour}.json"));
    assert_eq!(keys, BTreeSet::from(checkpoints));
}

#[tokio::test]
async fn contracts_accept_all_rows_of_the_hours_but_the_invalid_ones() {
    let contracts = shoplake_testing::contracts();
    let (task, world) = (start(generator(), Faults::default()).await, Outside::default());

    world.run(&task, TOKEN).await.unwrap();

    let mut refused = 0;
    for line in world.stream.lines(STREAM) {
        let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
        let contract = contracts.get(&envelope.dataset).unwrap();
        let metadata = RowMetadata::new(&task.destination.shop, now());
        if contract.validate(metadata, envelope.data.get().as_bytes()).is_err() {
            assert_ne!(envelope.dataset, "control_totals");
            refused += 1;
        }
    }
    let levels = hours().map(|hour| rows(&generator(), &hour));
    let invalid = levels.iter().flatten().filter(|level| is_invalid(level)).count();
    assert!(invalid > 0);
    assert_eq!(refused, invalid);
}

#[tokio::test]
async fn a_killed_range_continues_and_loses_nothing() {
    let task = start(generator(), Faults::default()).await;
    let undisturbed = Outside::default();
    undisturbed.run(&task, TOKEN).await.unwrap();

    // The fourth hour's second page is refused once, as if the task's rights had been taken away in
    // mid-range.
    let world = Outside::default();
    let refused = PutFailure::Refused("AccessDeniedException".to_owned());
    world.stream.reject(Times::First(1), refused, |record| {
        record.data.windows(30).any(|text| text == b"inventory/2026-11-21T01/dub-01")
    });
    let error = world.run(&task, TOKEN).await.unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert_eq!(world.control_totals().len(), 3, "three hours were complete");
    let before = world.stream.lines(STREAM).len();

    let delivered = world.run(&task, TOKEN).await.unwrap();

    assert_eq!(delivered.batches, 3, "the complete hours are not fetched again");
    assert!(world.stream.lines(STREAM).len() - before < 3 * 226 + 1);
    assert_eq!(world.rows(), undisturbed.rows());
    assert_eq!(world.control_totals(), undisturbed.control_totals());
}

#[tokio::test]
async fn a_complete_range_is_redelivered_with_the_same_ids() {
    let (task, world) = (start(generator(), Faults::default()).await, Outside::default());

    let first = world.run(&task, TOKEN).await.unwrap();
    let second = world.run(&task, TOKEN).await.unwrap();

    assert_eq!(first, second);
    assert_eq!(world.stream.lines(STREAM).len(), 2 * (6 * 225 + 6));
    assert_eq!(world.rows().len(), 6 * 225);
}

#[tokio::test]
async fn missing_hours_are_named_and_the_others_arrive() {
    // Every fourth hour since 1970: midnight is one of them.
    let generator = Generator::new(World { products: 10, ..World::new(1) }, 1, 4);
    let (task, world) = (start(generator.clone(), Faults::default()).await, Outside::default());

    let error = world.run(&task, TOKEN).await.unwrap_err();

    assert_eq!(error.exit_code(), 2);
    assert!(
        matches!(&error, TaskError::Absent { batches } if *batches == ["2026-11-21T00"]),
        "{error}"
    );
    assert!(
        error.to_string().contains("404 to 1 of the batches, expected a page: 2026-11-21T00;"),
        "{error}"
    );
    let mut expected = expected_totals(&generator);
    expected.remove("2026-11-21T00");
    assert_eq!(world.control_totals(), expected);
}

#[tokio::test]
async fn a_late_hour_is_fetched_again_before_it_is_an_error() {
    // Every fourth hour since 1970: midnight is one of them.
    let generator = Generator::new(World { products: 10, ..World::new(1) }, 1, 4);
    let (mut task, world) = (start(generator.clone(), Faults::default()).await, Outside::default());
    task.asks_again = true;
    let until =
        |hour: &str| Hours::until_now(format!("2026-11-21T{hour}:05:00Z").parse().unwrap(), 2);

    for (hour, batches) in [("00", 2), ("01", 1)] {
        task.hours = until(hour);
        assert_eq!(world.run(&task, TOKEN).await.unwrap().batches, batches, "{hour}");
    }
    task.hours = until("02");
    let error = world.run(&task, TOKEN).await.unwrap_err();

    assert!(
        matches!(&error, TaskError::Absent { batches } if *batches == ["2026-11-21T00"]),
        "{error}"
    );
    let hours: Vec<_> = world.control_totals().into_keys().collect();
    assert_eq!(hours, ["2026-11-20T22", "2026-11-20T23", "2026-11-21T01", "2026-11-21T02"]);
}

#[tokio::test]
async fn an_empty_snapshot_has_a_control_total_of_zero() {
    let generator = Generator::new(World::new(1), 0, 0);
    let (task, world) = (start(generator, Faults::default()).await, Outside::default());

    let delivered = world.run(&task, TOKEN).await.unwrap();

    assert_eq!((delivered.batches, delivered.rows), (6, 0));
    assert!(world.control_totals().values().all(|total| *total == (0, 0)));
    assert_eq!(world.control_totals().len(), 6);
}

#[tokio::test]
async fn exit_codes_separate_operator_errors_from_outages() {
    let world = Outside::default();

    let error =
        world.run(&start(generator(), Faults::default()).await, "expired").await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("store a new one"), "{error}");

    let is_down = Faults { fail_every: 1, ..Faults::default() };
    let error = world.run(&start(generator(), is_down).await, TOKEN).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(world.stream.lines(STREAM).is_empty());
}

/// An API whose answer for one hour is `faulty`, and that has no stock at the others.
async fn start_with_a_faulty_hour(
    hour: &'static str,
    faulty: (StatusCode, &'static str),
) -> Snapshots {
    let answer = move |Query(query): Query<BTreeMap<String, String>>| async move {
        let page = (StatusCode::OK, r#"{"data":[],"next_cursor":null}"#);
        if query["snapshot_at"].starts_with(hour) { faulty } else { page }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/inventory", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut task = start(generator(), Faults::default()).await;
    task.api.base_url = base_url;
    task.hours = Hours::until_now(now(), 3);
    task.asks_again = true;
    task
}

#[tokio::test]
async fn an_hour_with_faulty_answers_does_not_keep_the_others_back() {
    let task = start_with_a_faulty_hour("2026-11-21T02", (StatusCode::OK, "<html>")).await;
    let world = Outside::default();

    let error = world.run(&task, TOKEN).await.unwrap_err();

    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("2026-11-21T02"), "{error}");
    let hours: Vec<_> = world.control_totals().into_keys().collect();
    assert_eq!(hours, ["2026-11-21T01", "2026-11-21T03", "2026-11-21T04"]);
}

#[tokio::test]
async fn an_hour_that_always_fails_does_not_hold_up_newer_ones() {
    let task =
        start_with_a_faulty_hour("2026-11-21T02", (StatusCode::INTERNAL_SERVER_ERROR, "")).await;
    let world = Outside::default();

    assert_eq!(world.run(&task, TOKEN).await.unwrap_err().exit_code(), 1);

    let hours: Vec<_> = world.control_totals().into_keys().collect();
    assert_eq!(hours, ["2026-11-21T03", "2026-11-21T04"]);
}
