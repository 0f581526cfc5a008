//! Counts what happened to every event, from the lake's objects alone:
//! received = silver + quarantined + duplicates.
//!
//! An event is what was accepted once. Kinesis, Firehose and event source mappings may each
//! transport it more than once, so all counts are of distinct envelopes, identified by their shop,
//! id and time of receipt.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use chrono::DateTime;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use shoplake_contracts::Contracts;
use shoplake_contracts::envelope::UNKNOWN;
use shoplake_lake::keys;

use crate::lake::Lake;
use crate::target::{DefinitionArguments, TargetArguments};
use crate::text::{Align, print_line, table};

const ENVELOPE: [&str; 3] = ["shop_id", "_envelope_id", "_received_at"];

/// Counts what happened to every event: received = silver + quarantined + duplicates
#[derive(Debug, Args)]
pub(crate) struct ReconcileArguments {
    /// Counts the events of one shop only.
    #[arg(long, value_name = "SHOP")]
    shop: Option<String>,
    /// Prints the balances as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    definitions: DefinitionArguments,
}

/// Prints the balance of every dataset; fails if one does not hold.
pub(crate) async fn run(arguments: ReconcileArguments, target: &TargetArguments) -> Result<()> {
    let contracts = arguments.definitions.contracts()?;
    let target = target.load().await?;
    let balances = reconcile(&target.lake()?, &contracts, arguments.shop.as_deref()).await?;
    if arguments.json {
        print_line(serde_json::to_string(&balances)?)?;
    } else {
        print_line(show(&balances))?;
    }
    check(&balances)
}

/// What happened to a dataset's events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    pub(crate) dataset: String,
    /// Events in bronze, which Firehose wrote: a path that conform has no part in.
    pub(crate) received: usize,
    /// Keys in silver.
    pub(crate) silver: usize,
    /// Events in quarantine that are not in silver: a redriven one stays in quarantine as a record
    /// of what happened.
    pub(crate) quarantined: usize,
    /// Events in silver whose key another event has too.
    pub(crate) duplicates: usize,
}

impl Balance {
    /// Whether no event was lost or invented.
    pub(crate) fn holds(&self) -> bool {
        self.received == self.silver + self.quarantined + self.duplicates
    }
}

/// Returns the balances as a table for the terminal.
pub(crate) fn show(balances: &[Balance]) -> String {
    let columns = [
        ("dataset", Align::Left),
        ("received", Align::Right),
        ("silver", Align::Right),
        ("quarantined", Align::Right),
        ("duplicates", Align::Right),
        ("received = silver + quarantined + duplicates", Align::Left),
    ];
    let rows: Vec<Vec<String>> = balances
        .iter()
        .map(|balance| {
            vec![
                balance.dataset.clone(),
                balance.received.to_string(),
                balance.silver.to_string(),
                balance.quarantined.to_string(),
                balance.duplicates.to_string(),
                if balance.holds() { "yes" } else { "NO" }.to_owned(),
            ]
        })
        .collect();
    table("reconciliation", &columns, &rows)
}

/// Fails if a balance does not hold.
pub(crate) fn check(balances: &[Balance]) -> Result<()> {
    let wrong: Vec<&str> = balances
        .iter()
        .filter(|balance| !balance.holds())
        .map(|balance| balance.dataset.as_str())
        .collect();
    if !wrong.is_empty() {
        bail!(
            "the events of {} do not add up; events that are under way count as received only, so \
             run `shoplake reconcile` again, and redrive what failed",
            wrong.join(", ")
        );
    }
    Ok(())
}

/// Returns the balance of every dataset that received an event, of all shops or of one.
pub(crate) async fn reconcile(
    lake: &Lake,
    contracts: &Contracts,
    shop: Option<&str>,
) -> Result<Vec<Balance>> {
    let mut received: BTreeMap<String, HashSet<Event>> = BTreeMap::new();
    for line in lake.lines(keys::BRONZE).await? {
        add(&mut received, &line, shop);
    }
    let mut rejected: BTreeMap<String, HashSet<Event>> = BTreeMap::new();
    for line in lake.lines(keys::QUARANTINE).await? {
        add(&mut rejected, &quarantined_envelope(&line)?, shop);
    }
    let datasets: std::collections::BTreeSet<String> =
        received.keys().chain(rejected.keys()).cloned().collect();
    let mut balances = Vec::with_capacity(datasets.len());
    for dataset in datasets {
        let count = received.get(&dataset).map_or(0, HashSet::len);
        let rejected = rejected.remove(&dataset).unwrap_or_default();
        balances.push(balance(lake, contracts, dataset, count, &rejected, shop).await?);
    }
    Ok(balances)
}

/// The envelope of a line of quarantine, as it came.
pub(crate) fn quarantined_envelope(line: &[u8]) -> Result<Bytes> {
    #[derive(serde::Deserialize)]
    struct Quarantined {
        envelope: String,
    }
    let line: Quarantined =
        serde_json::from_slice(line).context("a line of quarantine is not as expected")?;
    Ok(line.envelope.into())
}

/// What identifies an event; an unreadable line is equal to itself only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Event {
    Readable { shop: String, id: String, received_at: String },
    Unreadable(Bytes),
}

fn add(events: &mut BTreeMap<String, HashSet<Event>>, line: &Bytes, shop: Option<&str>) {
    let (dataset, event) =
        read_event(line).unwrap_or_else(|| (UNKNOWN.to_owned(), Event::Unreadable(line.clone())));
    let is_wanted = match (&event, shop) {
        (_, None) => true,
        (Event::Readable { shop, .. }, Some(wanted)) => shop == wanted,
        // An unreadable line belongs to no shop.
        (Event::Unreadable(_), Some(_)) => false,
    };
    if is_wanted {
        events.entry(dataset).or_default().insert(event);
    }
}

/// The dataset that an envelope names, and its event; `None` if it is not an envelope.
fn read_event(line: &[u8]) -> Option<(String, Event)> {
    // Only these four are read: data may be nested deeper than any parser goes.
    let envelope: HashMap<String, &RawValue> = serde_json::from_slice(line).ok()?;
    let text = |name: &str| serde_json::from_str(envelope.get(name)?.get()).ok();
    let event = Event::Readable {
        shop: text("shopid")?,
        id: text("id")?,
        received_at: text("receivedat")?,
    };
    Some((text("dataset")?, event))
}

async fn balance(
    lake: &Lake,
    contracts: &Contracts,
    dataset: String,
    received: usize,
    rejected: &HashSet<Event>,
    shop: Option<&str>,
) -> Result<Balance> {
    let key: Vec<&str> = contracts.get(&dataset).map_or_else(
        || ENVELOPE.to_vec(),
        |contract| contract.key.iter().map(String::as_str).collect(),
    );
    let columns: Vec<&str> = key.iter().copied().chain(ENVELOPE).collect();
    let (mut keys, mut events) = (HashSet::new(), HashSet::new());
    for batch in lake.rows(&keys::silver_dataset(&dataset), &columns).await? {
        let unexpected = || format!("the rows of {dataset} in silver are not as expected");
        add_rows(&batch, &key, shop, &mut keys, &mut events).with_context(unexpected)?;
    }
    let redriven = rejected.iter().filter_map(silver_event).filter(|event| events.contains(event));
    let quarantined = rejected.len() - redriven.count();
    let duplicates = events.len() - keys.len().min(events.len());
    Ok(Balance { dataset, received, silver: keys.len(), quarantined, duplicates })
}

/// Shop, envelope id and time of receipt in microseconds, as silver has them.
type SilverEvent = (String, String, i64);

fn silver_event(event: &Event) -> Option<SilverEvent> {
    let Event::Readable { shop, id, received_at } = event else { return None };
    let time = DateTime::parse_from_rfc3339(received_at).ok()?;
    Some((shop.clone(), id.clone(), time.timestamp_micros()))
}

fn add_rows(
    batch: &RecordBatch,
    key: &[&str],
    shop: Option<&str>,
    keys: &mut HashSet<Box<[u8]>>,
    events: &mut HashSet<SilverEvent>,
) -> Result<()> {
    let column = |name: &str| {
        batch.column_by_name(name).with_context(|| format!("the column {name} is missing"))
    };
    let text = |name: &str| anyhow::Ok(cast(column(name)?, &DataType::Utf8)?);
    let (shops, ids) = (text("shop_id")?, text("_envelope_id")?);
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let times = cast(column("_received_at")?, &micros)?;
    let (shops, ids) = (shops.as_string::<i32>(), ids.as_string::<i32>());
    let times = times.as_primitive::<TimestampMicrosecondType>();

    let key = key.iter().map(|name| Ok(column(name)?.clone())).collect::<Result<Vec<_>>>()?;
    let fields = key.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&key)?;
    for index in 0..batch.num_rows() {
        if shop.is_none_or(|shop| shops.value(index) == shop) {
            keys.insert(rows.row(index).as_ref().into());
            let event = (shops.value(index), ids.value(index), times.value(index));
            events.insert((event.0.to_owned(), event.1.to_owned(), event.2));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
    use serde_json::{Value as Json, json};
    use shoplake_lake::MemoryStore;

    use super::*;
    use crate::lake::testing::{put_lines, put_rows};

    const AT: &str = "2026-11-29T12:00:00Z";

    fn envelope(shop: &str, id: &str) -> Json {
        json!({"dataset": "web_traffic", "shopid": shop, "id": id, "receivedat": AT})
    }

    fn quarantined(envelope: &str) -> String {
        json!({ "envelope": envelope }).to_string()
    }

    /// Two events of a shop, one of them rejected; three of another, two of them with one key; and
    /// lines that are in bronze and quarantine.
    async fn balances(odd: &[Json], shop: Option<&str>) -> Vec<Balance> {
        let store = MemoryStore::default();
        let events = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("b", "3")];
        let mut bronze: Vec<Vec<u8>> =
            events.iter().map(|(shop, id)| envelope(shop, id).to_string().into_bytes()).collect();
        bronze.push(b"\xff".to_vec());
        let mut rejected =
            vec![quarantined(&envelope("a", "2").to_string()), quarantined("unreadable")];
        for line in odd {
            bronze.push(line.to_string().into_bytes());
            rejected.push(quarantined(&line.to_string()));
        }
        put_lines(&store, "bronze/web/dt=2026-11-29/hour=12/1.gz", &bronze).await;
        put_lines(&store, "quarantine/web_traffic/dt=2026-11-29/1.ndjson.gz", &rejected).await;
        let text = |values: [&str; 4]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        let at = DateTime::parse_from_rfc3339(AT).unwrap().timestamp_micros();
        let times = TimestampMicrosecondArray::from(vec![at; 4]).with_timezone("UTC");
        let columns = vec![
            ("shop_id", text(["a", "b", "b", "b"])),
            ("event_id", text(["k1", "k1", "k1", "k2"])),
            ("_envelope_id", text(["1", "1", "2", "3"])),
            ("_received_at", Arc::new(times) as ArrayRef),
        ];
        put_rows(&store, "silver/web_traffic/dt=2026-11-29/hour=12/1.parquet", columns).await;
        let contracts = shoplake_testing::contracts();
        reconcile(&Lake::new(Arc::new(store)), &contracts, shop).await.unwrap()
    }

    fn web(received: usize, silver: usize, quarantined: usize, duplicates: usize) -> Balance {
        let dataset = "web_traffic".to_owned();
        Balance { dataset, received, silver, quarantined, duplicates }
    }

    #[tokio::test]
    async fn a_shop_is_balanced_without_the_others() {
        assert_eq!(balances(&[], Some("a")).await, [web(2, 1, 1, 0)]);
        assert_eq!(balances(&[], Some("b")).await, [web(3, 2, 0, 1)]);
    }

    #[tokio::test]
    async fn all_shops_include_unreadable_lines() {
        let [unreadable, all] = &balances(&[], None).await[..] else { panic!("two balances") };
        assert_eq!(unreadable.dataset, UNKNOWN);
        assert_eq!((unreadable.received, unreadable.quarantined), (1, 1));
        assert_eq!(*all, web(5, 3, 1, 1));
        assert!(check(std::slice::from_ref(all)).is_ok());
    }

    #[tokio::test]
    async fn lines_with_unexpected_members_are_counted() {
        let odd = |name: &str, value: Json| {
            let mut line = envelope("a", "odd");
            line[name] = value;
            line
        };
        let odd = [
            odd("receivedat", json!("0001-01-01T00:00:00+14:00")),
            odd("receivedat", json!("soon")),
            odd("shopid", json!(["a"])),
            odd("dataset", json!({})),
            odd("dataset", json!(null)),
        ];
        let [unreadable, all] = &balances(&odd, None).await[..] else { panic!("two balances") };
        assert_eq!((unreadable.received, unreadable.quarantined), (4, 4));
        assert_eq!(*all, web(7, 3, 3, 1));
    }

    #[test]
    fn an_event_is_readable_with_any_data() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        for data in [r#""\ud800""#, "1e999", &deep] {
            let line = format!(
                r#"{{"data": {data}, "dataset": "web_traffic", "shopid": "a",
                    "id": "1", "receivedat": "{AT}"}}"#
            );
            assert!(read_event(line.as_bytes()).is_some(), "{line}");
        }
    }

    #[test]
    fn a_balance_that_does_not_hold_is_named() {
        let error = check(&[web(5, 3, 1, 0)]).unwrap_err().to_string();
        assert!(error.contains("web_traffic") && error.contains("redrive"), "{error}");
        assert!(show(&[web(5, 3, 1, 0)]).ends_with("NO"));
    }
}
