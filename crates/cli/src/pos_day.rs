//! One real day of sales through the running demo: polls it, waits until the warehouse has it, and
//! shows it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value as Json;
use shoplake_lake::keys;
use shoplake_warehouse::{Statement, Warehouse};
use tokio::time::{Instant, sleep};

use crate::demo::SHOP;
use crate::lake::Lake;
use crate::progress::step;
use crate::reconcile::{self, Balance, quarantined_envelope};
use crate::sources::Sources;
use crate::target::TargetArguments;
use crate::text::{Align, print_line, table};

const DATASET: &str = "pos_sales";
const SALES: &str = "sales.total_sales_by_region_product";
/// The name under which days older than the contract's time window are sent.
const BACKFILL: &str = "pos-day";
const SCALE: u32 = 4;

/// Sends one business day of CSV sales through the demo and waits until the warehouse has it
#[derive(Debug, Args)]
pub(crate) struct PosDayArguments {
    /// Folder with YYYY-MM-DD.csv or .csv.gz files.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The business date.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day)]
    date: NaiveDate,
    /// The shop that sold.
    #[arg(long, value_name = "SHOP", default_value = SHOP)]
    shop: String,
    /// How long the day may take to arrive in the warehouse.
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    timeout: u64,
    /// Prints the balance of the day as JSON.
    #[arg(long)]
    json: bool,
}

/// A day in this one spelling: files and partitions are called like it.
pub(crate) fn parse_day(text: &str) -> Result<NaiveDate, String> {
    text.parse::<NaiveDate>()
        .ok()
        .filter(|day| day.to_string() == text)
        .ok_or_else(|| "expected a day as YYYY-MM-DD, such as 2010-12-01".to_owned())
}

/// Polls the day, waits until it is in the warehouse, and shows it.
pub(crate) async fn run(arguments: PosDayArguments, target: &TargetArguments) -> Result<()> {
    let PosDayArguments { data, date, shop, timeout, json } = arguments;
    check_folder(&data, date)?;
    let target = target.load().await?;
    let (lake, warehouse) = (target.lake()?, target.warehouse()?);
    let sources = Sources::new(&target)?;
    let delivery = Delivery::begin(&lake, &shop, date).await?;
    step(&format!("poll the sales of {date}"), async {
        let folder = data.display().to_string();
        let api = sources.api("pos", &["--csv".to_owned(), folder]).await?;
        sources.run_pos_connector(&shop, &api, date, Some(BACKFILL)).await
    })
    .await?;
    let balance = step(
        "wait until the warehouse has the day",
        wait_until_complete(&lake, &warehouse, &delivery, Duration::from_secs(timeout)),
    )
    .await?;
    if json {
        print_line(serde_json::to_string(&balance)?)
    } else {
        print_line(show_sales(&warehouse, &shop, date).await?)?;
        print_line(reconcile::show(&[balance]))
    }
}

/// Rejects a folder that does not have the day.
fn check_folder(folder: &Path, day: NaiveDate) -> Result<()> {
    let shown = folder.display();
    let Ok(entries) = std::fs::read_dir(folder) else {
        let found = if folder.exists() { "a file" } else { "nothing" };
        bail!("invalid --data \"{shown}\": expected a folder, found {found}");
    };
    if ["", ".gz"].iter().any(|ending| folder.join(format!("{day}.csv{ending}")).is_file()) {
        return Ok(());
    }
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut days: Vec<NaiveDate> = names
        .filter(|name| name.get(10..).is_some_and(|ending| ending.starts_with(".csv")))
        .filter_map(|name| parse_day(&name[..10]).ok())
        .collect();
    days.sort();
    days.dedup();
    let has = match (days.first(), days.last()) {
        (Some(first), Some(last)) => format!("it has {} days from {first} to {last}", days.len()),
        _ => "it has no files YYYY-MM-DD.csv[.gz]".to_owned(),
    };
    bail!("{shown} has neither {day}.csv nor {day}.csv.gz; {has}")
}

/// One shop's day as one run of the connector sends it.
#[derive(Clone, Debug)]
struct Delivery {
    shop: String,
    day: NaiveDate,
    started: DateTime<Utc>,
    /// When its first row was sent: earlier than the start if the run resumes another one, whose
    /// rows its control total counts as well.
    rows_since: DateTime<Utc>,
}

/// The id of an envelope and the time of its receipt: with the shop they identify an event.
type Event = (String, DateTime<Utc>);

/// An envelope of bronze or quarantine.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    shopid: String,
    dataset: String,
    subject: Option<String>,
    receivedat: DateTime<Utc>,
    data: Json,
}

impl Delivery {
    /// Returns the delivery of a connector that starts now.
    async fn begin(lake: &Lake, shop: &str, day: NaiveDate) -> Result<Self> {
        #[derive(Deserialize)]
        struct Checkpoint {
            completed_at: Option<DateTime<Utc>>,
            /// When the delivery began.
            run: Option<DateTime<Utc>>,
        }
        let started = Utc::now();
        let checkpoint = keys::connector_checkpoint("pos", shop, &day.to_string());
        let checkpoints = lake.bodies(&checkpoint).await?;
        let resumed = checkpoints.iter().find_map(|checkpoint| {
            let checkpoint = serde_json::from_slice::<Checkpoint>(checkpoint).ok()?;
            let is_incomplete = checkpoint.completed_at.is_none();
            is_incomplete.then(|| checkpoint.run.unwrap_or(DateTime::UNIX_EPOCH))
        });
        let rows_since = resumed.unwrap_or(started);
        Ok(Self { shop: shop.to_owned(), day, started, rows_since })
    }

    /// Counts the day's events from the lake and the warehouse alone.
    async fn look(&self, lake: &Lake, warehouse: &dyn Warehouse) -> Result<Progress> {
        let mut progress = Progress::default();
        for line in lake.lines(&keys::bronze_source("pos")).await? {
            let Some(envelope) = self.own(&line) else { continue };
            if envelope.dataset == "control_totals" && envelope.receivedat >= self.started {
                progress.control_total = envelope.data["row_count"].as_u64();
            } else if envelope.dataset == DATASET {
                progress.received.insert((envelope.id, envelope.receivedat));
            }
        }
        for line in lake.lines(&keys::quarantine_dataset(DATASET)).await? {
            if let Some(envelope) = self.own(&quarantined_envelope(&line)?) {
                progress.quarantined.insert((envelope.id, envelope.receivedat));
            }
        }
        self.read_silver(lake, &mut progress).await?;
        progress.shown = self.shown(warehouse).await?;
        Ok(progress)
    }

    /// The envelope, if it belongs to this delivery.
    fn own(&self, line: &[u8]) -> Option<Envelope> {
        let envelope: Envelope = serde_json::from_slice(line).ok()?;
        let is_own = envelope.shopid == self.shop
            && envelope.subject.as_deref() == Some(self.day.to_string().as_str())
            && envelope.receivedat >= self.rows_since;
        is_own.then_some(envelope)
    }

    async fn read_silver(&self, lake: &Lake, progress: &mut Progress) -> Result<()> {
        let prefix = keys::silver_folder(DATASET, &format!("dt={}", self.day));
        let mut newest: HashMap<LineKey, Line> = HashMap::new();
        for batch in lake.rows(&prefix, &Line::COLUMNS).await? {
            let lines = Line::read(&batch)
                .with_context(|| format!("the rows under {prefix} are not as expected"))?;
            // What the delivery lacks of an earlier one no longer counts.
            let is_own =
                |line: &Line| line.shop == self.shop && line.received_at >= self.rows_since;
            for line in lines.into_iter().filter(is_own) {
                let event = (line.envelope_id.clone(), line.received_at);
                progress.silver.insert(event, line.key.clone());
                let is_newer =
                    newest.get(&line.key).is_none_or(|old| old.received_at <= line.received_at);
                if is_newer {
                    newest.insert(line.key.clone(), line);
                }
            }
        }
        for line in newest.into_values() {
            *progress.sold.entry(line.currency).or_default() += line.amount;
        }
        Ok(())
    }

    /// Net sales by currency as the warehouse shows them.
    async fn shown(&self, warehouse: &dyn Warehouse) -> Result<BTreeMap<String, Decimal>> {
        #[derive(Deserialize)]
        struct Shown {
            currency: String,
            net_sales: Decimal,
        }
        if !has_table(warehouse, SALES).await? {
            return Ok(BTreeMap::new());
        }
        let sql = format!(
            "select currency, sum(net_sales) as net_sales from {SALES} \
             where business_date = cast(:day as date) and shop_id = :shop group by currency"
        );
        let statement = Statement::new(sql).bind("day", self.day).bind("shop", &self.shop);
        let rows = warehouse.query(statement).await?.decode::<Shown>()?;
        Ok(rows.into_iter().map(|row| (row.currency, row.net_sales)).collect())
    }
}

/// Whether the warehouse has a table, given as `schema.table`; its first load creates it.
async fn has_table(warehouse: &dyn Warehouse, table: &str) -> Result<bool> {
    let (schema, name) = table.split_once('.').unwrap_or_default();
    let statement = Statement::new(
        "select table_name from information_schema.tables \
         where table_schema = :schema and table_name = :name",
    );
    let rows = warehouse.query(statement.bind("schema", schema).bind("name", name)).await?;
    Ok(!rows.is_empty())
}

/// Transaction and line number.
type LineKey = (String, i64);

/// A line of a sale in silver.
struct Line {
    shop: String,
    key: LineKey,
    currency: String,
    amount: Decimal,
    envelope_id: String,
    received_at: DateTime<Utc>,
}

impl Line {
    const COLUMNS: [&'static str; 9] = [
        "shop_id",
        "transaction_id",
        "line_no",
        "currency",
        "quantity",
        "unit_price",
        "discount",
        "_envelope_id",
        "_received_at",
    ];

    fn read(batch: &RecordBatch) -> Result<Vec<Self>> {
        let column = |name: &str, as_type: &DataType| {
            let column = batch
                .column_by_name(name)
                .with_context(|| format!("the column {name} is missing"))?;
            anyhow::Ok(cast(column, as_type)?)
        };
        let text = |name| column(name, &DataType::Utf8);
        let number = |name| column(name, &DataType::Int64);
        #[allow(clippy::cast_possible_truncation)]
        let money = |name| column(name, &DataType::Decimal128(38, SCALE as i8));
        let (shops, transactions) = (text("shop_id")?, text("transaction_id")?);
        let (currencies, envelopes) = (text("currency")?, text("_envelope_id")?);
        let (lines, quantities) = (number("line_no")?, number("quantity")?);
        let (prices, discounts) = (money("unit_price")?, money("discount")?);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let times = column("_received_at", &micros)?;

        let text = |array: &dyn Array, row: usize| array.as_string::<i32>().value(row).to_owned();
        let number = |array: &dyn Array, row: usize| array.as_primitive::<Int64Type>().value(row);
        let money = |array: &dyn Array, row: usize| {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            Decimal::try_from_i128_with_scale(value, SCALE)
        };
        (0..batch.num_rows())
            .map(|row| {
                let micros = times.as_primitive::<TimestampMicrosecondType>().value(row);
                let gross = Decimal::from(number(&quantities, row)) * money(&prices, row)?;
                Ok(Self {
                    shop: text(&shops, row),
                    key: (text(&transactions, row), number(&lines, row)),
                    currency: text(&currencies, row),
                    amount: gross - money(&discounts, row)?,
                    envelope_id: text(&envelopes, row),
                    received_at: DateTime::from_timestamp_micros(micros)
                        .context("a time of receipt is out of range")?,
                })
            })
            .collect()
    }
}

/// What there is of a delivery at each station.
#[derive(Debug, Default)]
struct Progress {
    /// Rows that the connector counted; unknown until its control total is in bronze.
    control_total: Option<u64>,
    received: HashSet<Event>,
    quarantined: HashSet<Event>,
    /// The key of each event in silver.
    silver: HashMap<Event, LineKey>,
    /// Net sales by currency that follow from the delivery's rows in silver.
    sold: BTreeMap<String, Decimal>,
    /// Net sales by currency that the warehouse shows.
    shown: BTreeMap<String, Decimal>,
}

impl Progress {
    /// What happened to the delivery's rows.
    fn balance(&self) -> Balance {
        let keys: HashSet<&LineKey> = self.silver.values().collect();
        let is_only_quarantined = |event: &&Event| !self.silver.contains_key(*event);
        Balance {
            dataset: DATASET.to_owned(),
            received: self.received.len(),
            silver: keys.len(),
            quarantined: self.quarantined.iter().filter(is_only_quarantined).count(),
            duplicates: self.silver.len() - keys.len(),
        }
    }

    /// What is missing, in the order of the stations; empty if the day is complete.
    fn missing(&self) -> Vec<String> {
        let Some(control_total) = self.control_total else {
            return vec!["the connector's control total is not in bronze".to_owned()];
        };
        let mut missing = Vec::new();
        let ids: HashSet<&str> = self.received.iter().map(|(id, _)| id.as_str()).collect();
        if ids.len() as u64 != control_total {
            missing.push(format!("bronze has {} of {control_total} rows", ids.len()));
        }
        let balance = self.balance();
        if !balance.holds() {
            let settled = self.silver.len() + balance.quarantined;
            let received = self.received.len();
            missing.push(format!("{settled} of {received} rows are in silver or in quarantine"));
        }
        if self.shown != self.sold {
            missing.push(format!(
                "the warehouse shows net sales of {}, expected {}",
                amounts(&self.shown),
                amounts(&self.sold)
            ));
        }
        missing
    }
}

/// Amounts by currency, in words.
fn amounts(amounts: &BTreeMap<String, Decimal>) -> String {
    if amounts.is_empty() {
        return "nothing".to_owned();
    }
    let amounts: Vec<_> =
        amounts.iter().map(|(currency, amount)| format!("{amount:.2} {currency}")).collect();
    amounts.join(", ")
}

/// Waits until the warehouse has this delivery, whatever else is under way in the demo.
async fn wait_until_complete(
    lake: &Lake,
    warehouse: &dyn Warehouse,
    delivery: &Delivery,
    timeout: Duration,
) -> Result<Balance> {
    let deadline = Instant::now() + timeout;
    loop {
        let progress = delivery.look(lake, warehouse).await?;
        let missing = progress.missing();
        if missing.is_empty() {
            return Ok(progress.balance());
        }
        if Instant::now() >= deadline {
            bail!(
                "the sales of {} of shop {} are not complete after {} s: {}. Look at \
                 .local/demo/logs, run `make redrive`, then run `make pos-day` again: a day that \
                 is sent twice counts once",
                delivery.day,
                delivery.shop,
                timeout.as_secs(),
                missing.join("; ")
            );
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn show_sales(warehouse: &dyn Warehouse, shop: &str, day: NaiveDate) -> Result<String> {
    #[derive(Deserialize)]
    struct Region {
        region: Option<String>,
        currency: String,
        net_sales: String,
        units_sold: String,
        units_returned: String,
    }
    let title = format!("net sales of {shop} by region on {day}");
    let columns = [
        ("region", Align::Left),
        ("currency", Align::Left),
        ("net_sales", Align::Right),
        ("units_sold", Align::Right),
        ("units_returned", Align::Right),
    ];
    let mut rows = Vec::new();
    // A day without trade creates no table.
    if has_table(warehouse, SALES).await? {
        let sql = format!(
            "select region, currency, sum(net_sales) as net_sales,
                cast(sum(units_sold) as varchar(40)) as units_sold,
                cast(sum(units_returned) as varchar(40)) as units_returned
            from {SALES} where business_date = cast(:day as date) and shop_id = :shop
            group by region, currency order by 3 desc"
        );
        let statement = Statement::new(sql).bind("day", day).bind("shop", shop);
        for row in warehouse.query(statement).await?.decode::<Region>()? {
            let region = row.region.unwrap_or_else(|| "–".to_owned());
            rows.push(vec![
                region,
                row.currency,
                row.net_sales,
                row.units_sold,
                row.units_returned,
            ]);
        }
    }
    Ok(table(&title, &columns, &rows))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::TimestampMicrosecondArray;
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
    use chrono::TimeDelta;
    use serde_json::{Map, json};
    use shoplake_lake::MemoryStore;
    use shoplake_warehouse::{RecordingWarehouse, Rows};

    use super::*;
    use crate::lake::testing::{put, put_lines, put_rows};

    const DAY: &str = "2010-12-01";

    /// A lake and a warehouse in memory, in which every station can be behind.
    #[derive(Clone, Default)]
    struct Stations {
        bronze: Vec<Json>,
        quarantine: Vec<Json>,
        /// Shop, number of the transaction, quantity, price in ten-thousandths, time of receipt.
        silver: Vec<(&'static str, u32, i64, i128, DateTime<Utc>)>,
        shown: Option<&'static str>,
        checkpoint: Option<Json>,
    }

    fn begin() -> DateTime<Utc> {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    fn envelope(shop: &str, id: &str, dataset: &str, at: DateTime<Utc>, data: Json) -> Json {
        json!({
            "id": id,
            "shopid": shop,
            "dataset": dataset,
            "subject": DAY,
            "receivedat": at,
            "data": data,
        })
    }

    impl Stations {
        /// Three rows of the day, one of them rejected; and another shop that is far behind.
        fn new() -> Self {
            let mut stations = Self { shown: Some("-5.0000"), ..Self::default() };
            let at = begin() + TimeDelta::seconds(1);
            stations.send(1, 2, 25_000, at);
            stations.send(2, -1, 100_000, at);
            stations.reject(3, at);
            stations.total(3, at);
            for number in 0..9 {
                let id = format!("o-{number}");
                stations.bronze.push(envelope("other", &id, DATASET, at, json!({})));
            }
            stations.bronze.push(envelope("acme", "web/1", "web_traffic", at, json!({})));
            for time in [json!("0001-01-01T00:00:00+14:00"), json!("soon"), json!(null), json!(7)] {
                let mut odd = envelope("acme", "odd", DATASET, at, json!({}));
                odd["receivedat"] = time;
                stations.bronze.push(odd);
            }
            stations
        }

        /// A row in bronze and in silver.
        fn send(&mut self, number: u32, quantity: i64, price: i128, at: DateTime<Utc>) {
            let id = format!("pos/{DAY}/t{number}/1");
            self.bronze.push(envelope("acme", &id, DATASET, at, json!({})));
            self.silver.push(("acme", number, quantity, price, at));
        }

        /// A row in bronze and in quarantine.
        fn reject(&mut self, number: u32, at: DateTime<Utc>) {
            let id = format!("pos/{DAY}/row-{number}");
            let rejected = envelope("acme", &id, DATASET, at, json!({}));
            self.quarantine.push(json!({"envelope": rejected.to_string()}));
            self.bronze.push(rejected);
        }

        /// The control total of a run.
        fn total(&mut self, rows: u32, at: DateTime<Utc>) {
            let id = format!("pos/{DAY}/control-total");
            let data = json!({"row_count": rows});
            self.bronze.push(envelope("acme", &id, "control_totals", at, data));
        }

        async fn lake(&self) -> Lake {
            let store = MemoryStore::default();
            let mut lines: Vec<Vec<u8>> =
                self.bronze.iter().map(|line| line.to_string().into_bytes()).collect();
            lines.push(b"\xff not an envelope".to_vec());
            put_lines(&store, "bronze/pos/dt=2026-11-29/hour=12/1.gz", &lines).await;
            let mut lines: Vec<String> = self.quarantine.iter().map(Json::to_string).collect();
            lines.push(json!({"envelope": "[]"}).to_string());
            put_lines(&store, "quarantine/pos_sales/dt=2026-11-29/1.ndjson.gz", &lines).await;
            if let Some(checkpoint) = &self.checkpoint {
                let key = format!("state/connectors/pos/acme/{DAY}.json");
                put(&store, &key, checkpoint.to_string()).await;
            }
            if !self.silver.is_empty() {
                let key = format!("silver/pos_sales/dt={DAY}/1.parquet");
                put_rows(&store, &key, self.columns()).await;
            }
            Lake::new(Arc::new(store))
        }

        fn columns(&self) -> Vec<(&'static str, ArrayRef)> {
            let rows = &self.silver;
            let text = |of: &dyn Fn(u32) -> String| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| of(row.1))))
            };
            let money = |values: Vec<i128>| -> ArrayRef {
                let values = Decimal128Array::from(values).with_precision_and_scale(18, 4);
                Arc::new(values.unwrap())
            };
            let shops = StringArray::from_iter_values(rows.iter().map(|row| row.0));
            let micros: Vec<i64> = rows.iter().map(|row| row.4.timestamp_micros()).collect();
            let times = TimestampMicrosecondArray::from(micros).with_timezone("UTC");
            let quantities: Vec<i64> = rows.iter().map(|row| row.2).collect();
            vec![
                ("shop_id", Arc::new(shops)),
                ("transaction_id", text(&|number| format!("t{number}"))),
                ("line_no", Arc::new(Int64Array::from(vec![1; rows.len()]))),
                ("currency", text(&|_| "GBP".to_owned())),
                ("quantity", Arc::new(Int64Array::from(quantities))),
                ("unit_price", money(rows.iter().map(|row| row.3).collect())),
                ("discount", money(vec![0; rows.len()])),
                ("_envelope_id", text(&|number| format!("pos/{DAY}/t{number}/1"))),
                ("_received_at", Arc::new(times)),
            ]
        }

        fn warehouse(&self) -> RecordingWarehouse {
            let shown = self.shown;
            RecordingWarehouse::answering(move |statements| {
                let is_catalog = statements[0].sql().contains("information_schema");
                let row = match shown {
                    None => return Ok(vec![Some(Rows::default())]),
                    Some(_) if is_catalog => json!({"table_name": "t"}),
                    Some(amount) => json!({"currency": "GBP", "net_sales": amount}),
                };
                let row: Map<String, Json> = row.as_object().cloned().unwrap_or_default();
                Ok(vec![Some(Rows::new(vec![row]))])
            })
        }

        async fn progress(&self, delivery: &Delivery) -> Progress {
            delivery.look(&self.lake().await, &self.warehouse()).await.unwrap()
        }
    }

    fn delivery(started: DateTime<Utc>, rows_since: DateTime<Utc>) -> Delivery {
        Delivery { shop: "acme".to_owned(), day: DAY.parse().unwrap(), started, rows_since }
    }

    fn balance(received: usize, silver: usize, quarantined: usize) -> Balance {
        let dataset = DATASET.to_owned();
        Balance { dataset, received, silver, quarantined, duplicates: 0 }
    }

    #[tokio::test]
    async fn other_shops_and_sources_are_not_waited_for() {
        let progress = Stations::new().progress(&delivery(begin(), begin())).await;
        assert_eq!(progress.missing(), Vec::<String>::new());
        assert_eq!(progress.balance(), balance(3, 2, 1));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_what_to_do() {
        type Lose = fn(&mut Stations);
        let cases: [(Lose, &str); 5] = [
            (|stations| drop(stations.bronze.remove(3)), "control total"),
            (|stations| drop(stations.bronze.remove(0)), "bronze has 2 of 3 rows"),
            (|stations| stations.quarantine.clear(), "2 of 3 rows are in silver or in quarantine"),
            (
                |stations| stations.shown = None,
                "the warehouse shows net sales of nothing, expected -5.00 GBP",
            ),
            (
                |stations| stations.shown = Some("5.0000"),
                "shows net sales of 5.00 GBP, expected -5.00 GBP",
            ),
        ];
        for (lose, mention) in cases {
            let mut stations = Stations::new();
            lose(&mut stations);
            let (lake, warehouse) = (stations.lake().await, stations.warehouse());
            let delivery = delivery(begin(), begin());
            let waited = wait_until_complete(&lake, &warehouse, &delivery, Duration::ZERO).await;
            let error = waited.unwrap_err().to_string();
            for word in [mention, "acme", DAY, "make redrive"] {
                assert!(error.contains(word), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn a_day_delivered_again_waits_for_the_new_delivery() {
        let mut stations = Stations::new();
        let later = begin() + TimeDelta::hours(1);
        let again = delivery(later, later);
        let missing = stations.progress(&again).await.missing();
        assert_eq!(missing, ["the connector's control total is not in bronze"]);
        stations.total(3, later);
        let missing = stations.progress(&again).await.missing();
        assert_eq!(missing[0], "bronze has 0 of 3 rows");
        stations.send(1, 2, 30_000, later);
        stations.send(4, 2, 30_000, later);
        stations.reject(3, later);
        // Silver has both deliveries; the second one counts, which lacks receipt 2: 4 * 3.00.
        let missing = stations.progress(&again).await.missing();
        assert_eq!(missing, ["the warehouse shows net sales of -5.00 GBP, expected 12.00 GBP"]);
        stations.shown = Some("12");
        let progress = stations.progress(&again).await;
        assert_eq!((progress.missing().len(), progress.balance()), (0, balance(3, 2, 1)));
    }

    #[tokio::test]
    async fn a_run_that_resumes_another_counts_its_rows() {
        let mut stations = Stations::new();
        stations.checkpoint = Some(json!({"rows": 2, "completed_at": null}));
        let day = DAY.parse().unwrap();
        let resumed = Delivery::begin(&stations.lake().await, "acme", day).await.unwrap();
        assert!(resumed.rows_since < begin() && begin() <= resumed.started);
        let run = "2026-11-29T12:00:00.000000Z";
        stations.checkpoint = Some(json!({"rows": 2, "run": run, "completed_at": null}));
        let of_run = Delivery::begin(&stations.lake().await, "acme", day).await.unwrap();
        assert_eq!(of_run.rows_since, begin());
        stations.total(3, resumed.started);
        assert_eq!(stations.progress(&resumed).await.balance().received, 3);
        stations.checkpoint = Some(json!({"rows": 3, "completed_at": "2026-11-29T12:00:00Z"}));
        let complete = Delivery::begin(&stations.lake().await, "acme", day).await.unwrap();
        assert_eq!(complete.rows_since, complete.started);
    }

    #[tokio::test]
    async fn a_day_without_trade_is_complete() {
        let mut stations = Stations::default();
        stations.total(0, begin());
        let progress = stations.progress(&delivery(begin(), begin())).await;
        assert_eq!((progress.missing().len(), progress.balance()), (0, balance(0, 0, 0)));
    }
}
