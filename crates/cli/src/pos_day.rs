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
use crate::target::Target;
use crate::text::{Align, table};

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
pub(crate) async fn run(arguments: PosDayArguments, target: &Target) -> Result<()> {
    let PosDayArguments { data, date, shop, timeout, json } = arguments;
    check_folder(&data, date)?;
    let (lake, warehouse) = (target.lake()?, target.warehouse()?);
    let sources = Sources::new(target)?;
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
        println!("{}", serde_json::to_string(&balance)?);
    } else {
        println!("{}", show_sales(&warehouse, &shop, date).await?);
        println!("{}", reconcile::show(&[balance]));
    }
    Ok(())
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
    /// Earlier than the start if the run resumes another one: its control total counts both.
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
        }
        let started = Utc::now();
        let checkpoints = lake.bodies(&format!("state/connectors/pos/{shop}/{day}.json")).await?;
        let resumes = checkpoints.iter().any(|checkpoint| {
            serde_json::from_slice::<Checkpoint>(checkpoint)
                .is_ok_and(|checkpoint| checkpoint.completed_at.is_none())
        });
        let rows_since = if resumes { DateTime::<Utc>::MIN_UTC } else { started };
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
        for line in lake.lines(&format!("quarantine/{DATASET}/")).await? {
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
        let prefix = keys::silver_prefix(DATASET, &format!("dt={}", self.day));
        let mut newest: HashMap<LineKey, Line> = HashMap::new();
        for batch in lake.rows(&prefix, &Line::COLUMNS).await? {
            let lines = Line::read(&batch)
                .with_context(|| format!("the rows under {prefix} are not as expected"))?;
            for line in lines.into_iter().filter(|line| line.shop == self.shop) {
                if line.received_at >= self.rows_since {
                    let event = (line.envelope_id.clone(), line.received_at);
                    progress.silver.insert(event, line.key.clone());
                }
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
    /// Net sales by currency that follow from the shop's rows in silver.
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
                 .local/demo/logs, run `make redrive`, then run `make pos-day` again: a day that is \
                 sent twice counts once",
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
