//! A day from the POS API to the stream, against the sample POS and the contracts.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{path::Path, time::Duration};

use chrono::{DateTime, NaiveDate};
use pos_connector::Day;
use sample_source::{
    api::{Faults, Server},
    pos::{Days, Generator, Sale},
    world::World,
};
use shoplake_connector::{ApiConfig, Delivered, Destination, Patience, Ports, SecretSource, Task, TaskError};
use shoplake_contracts::{Contracts, Stamp, envelope::Envelope};
use shoplake_lake::MemoryStore;
use shoplake_platform::{clock::ManualClock, stream::MemoryStream};
use tokio::net::TcpListener;

const TOKEN: &str = "a token";
const STREAM: &str = "shoplake-test-pos";
const DAY: Generator = Generator { world: World::new(1), rows_per_day: 2_345 };

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2010, 12, 1).unwrap()
}

async fn start(faults: Faults) -> Day {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Server::new(Days::Generated(DAY), TOKEN.to_owned(), faults).serve(listener));
    Day {
        destination: Destination {
            shop: "acme".parse().unwrap(),
            stream_name: STREAM.to_owned(),
            lake_bucket: String::new(),
        },
        api: ApiConfig {
            base_url,
            token: SecretSource::Value(TOKEN.into()),
            page_size: 100.try_into().unwrap(),
        },
        business_date: day(),
    }
}

async fn run(
    task: &Day,
    token: &str,
    stream: &MemoryStream,
    store: &MemoryStore,
) -> Result<Delivered, TaskError> {
    let clock = ManualClock::new(DateTime::UNIX_EPOCH);
    let patience = Patience {
        min_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(2),
        ..Patience::default()
    };
    task.run(&Ports { secret: token.into(), patience, stream, store, clock: &clock }).await
}

#[tokio::test]
async fn given_a_moody_pos_then_the_day_arrives_whole_and_as_it_was() {
    let task = start(Faults { fail_every: 3, throttle_every: 4, retry_after_seconds: 0 }).await;
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());

    let completed = run(&task, TOKEN, &stream, &store).await.unwrap();

    let sales = DAY.sales(day());
    let mut lines = stream.lines(STREAM);
    let control_total = lines.pop().unwrap();
    assert_eq!(lines.len(), sales.len());
    for (line, sale) in lines.iter().zip(&sales) {
        let envelope: Envelope<'_> = serde_json::from_str(line).unwrap();
        assert_eq!(envelope.id, format!("pos/2010-12-01/{}/{}", sale.transaction_id, sale.line_no));
        assert_eq!(envelope.subject.as_deref(), Some("2010-12-01"));
        assert_eq!(envelope.source, "/shops/acme/pos");
        assert_eq!(envelope.data.get(), serde_json::to_string(sale).unwrap());
    }
    let units: i64 = sales.iter().filter_map(|sale| sale.quantity.as_i64()).sum();
    assert_eq!((completed.rows, completed.quantity_sum), (sales.len() as u64, units));
    assert!(control_total.contains(&format!("\"row_count\":{},\"quantity_sum\":{units},", sales.len())));
    assert_eq!(store.keys(), ["state/connectors/pos/acme/2010-12-01.json"]);
}

#[tokio::test]
async fn given_a_day_then_the_contracts_accept_all_of_it_but_the_dirt() {
    let contracts =
        Contracts::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/contracts/schemas"))
            .unwrap();
    let task = start(Faults::default()).await;
    let (stream, store) = (MemoryStream::default(), MemoryStore::default());

    run(&task, TOKEN, &stream, &store).await.unwrap();

    let backfill = "history".parse().unwrap();
    let mut refused = 0;
    for line in stream.lines(STREAM) {
        let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
        let contract = contracts.get(&envelope.dataset).unwrap();
        let received_at = envelope.receivedat.parse().unwrap();
        let stamp = Stamp::new(&task.destination.shop, received_at).in_backfill(Some(&backfill));
        if contract.validate(stamp, envelope.data.get().as_bytes()).is_err() {
            assert_ne!(envelope.dataset, "control_totals");
            refused += 1;
        }
    }
    let is_dirty =
        |sale: &Sale| sale.unit_price == "0.00" || sale.product_id.is_none() || !sale.sold_at.ends_with('Z');
    let dirty = DAY.sales(day()).iter().filter(|sale| is_dirty(sale)).count();
    assert!(dirty > 0);
    assert_eq!(refused, dirty);
}

#[tokio::test]
async fn given_an_expired_token_then_somebody_has_to_act() {
    let task = start(Faults::default()).await;

    let error = run(&task, "expired", &MemoryStream::default(), &MemoryStore::default()).await.unwrap_err();

    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("store a new one"), "{error}");
}

#[tokio::test]
async fn given_a_pos_that_is_down_then_running_again_may_help() {
    let task = start(Faults { fail_every: 1, ..Faults::default() }).await;

    let error = run(&task, TOKEN, &MemoryStream::default(), &MemoryStore::default()).await.unwrap_err();

    assert_eq!(error.exit_code(), 1);
}
