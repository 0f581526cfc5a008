//! Tables of all kinds in a real PostgreSQL. Ignored unless asked for, as they need a server whose
//! owner may create databases:
//! `OLTP_TEST_URL=postgres://owner@127.0.0.1:5432/postgres?sslmode=disable cargo test -p
//! shoplake-connector-oltp -- --ignored`

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "../../common/tests/support/life.rs"]
mod life;

use std::{
    collections::{BTreeMap, HashSet},
    env, fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use shoplake_aws::stream::{PutError, Record, Stream};
use shoplake_connector::{
    Delivered, Destination, Ports, RetryPolicy, SecretSource, Task, TaskError,
};
use shoplake_connector_oltp::{Database, Extract, Lookback};
use shoplake_platform::clock::ManualClock;
use tokio_postgres::{Client, NoTls};

use life::{Life, Process, World};

const STREAM: &str = "shoplake-test-oltp";
const TODAY: &str = "2026-11-21";

/// The dataset, its key, and the fields that the tests compare.
const DATASETS: [(&str, &str, &[&str]); 4] = [
    ("oltp_customers", "customer_id", &["last_name"]),
    ("oltp_products", "product_id", &["price"]),
    ("oltp_orders", "order_id", &["status", "total_amount"]),
    ("oltp_order_items", "order_item_id", &["order_id", "quantity"]),
];

/// A dataset and the id of a row.
type Key = (&'static str, String);
type Rows = BTreeMap<Key, String>;

/// Empty tables of the usual types.
const TABLES: &str = "
    create table customers (customer_id integer, first_name text, last_name text, email text,
        phone text, state text, city text, created_at timestamptz);
    create table products (product_id integer, product_name text, category text, price numeric,
        cost numeric, created_at timestamptz);
    create table orders (order_id integer, customer_id integer, order_date timestamptz, status text,
        total_amount numeric);
    create table order_items (order_item_id integer, order_id integer, product_id integer,
        quantity integer, unit_price numeric, subtotal numeric);
";

/// A database of its own, and what outlives a task.
struct Shop {
    /// Without a password, as the connector takes it.
    url: String,
    password: String,
    /// The owner's, with a password.
    owner: String,
    world: World,
}

impl Shop {
    /// A new database in which `sql` has run after the tables were made.
    async fn new(name: &str, options: &str, sql: &str) -> Self {
        let server = env::var("OLTP_TEST_URL").expect("OLTP_TEST_URL: the URL of a PostgreSQL");
        let admin = connect(&server).await;
        admin.batch_execute(&format!("drop database if exists {name} with (force)")).await.unwrap();
        admin.batch_execute(&format!("create database {name} {options}")).await.unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let owner = format!("{base}/{name}?sslmode=disable");
        let client = connect(&owner).await;
        client.batch_execute(TABLES).await.unwrap();
        client.batch_execute(sql).await.unwrap();
        let config: tokio_postgres::Config = server.parse().unwrap();
        let password =
            String::from_utf8(config.get_password().unwrap_or_default().to_vec()).unwrap();
        let (user, port) = (config.get_user().unwrap(), config.get_ports()[0]);
        let url = format!("postgres://{user}@127.0.0.1:{port}/{name}?sslmode=disable");
        Self { url, password, owner, world: World::default() }
    }

    /// The same database, of which nothing was sent.
    fn in_new_world(&self) -> Self {
        let (url, password, owner) = (&self.url, &self.password, &self.owner);
        let [url, password, owner] = [url, password, owner].map(Clone::clone);
        Self { url, password, owner, world: World::default() }
    }

    async fn run(&self, page_size: usize) -> Result<Delivered, TaskError> {
        self.attempt(&self.extract(page_size), usize::MAX).await
    }

    /// A full extract.
    fn extract(&self, page_size: usize) -> Extract {
        Extract {
            destination: Destination {
                shop: "acme".parse().unwrap(),
                stream_name: STREAM.to_owned(),
                lake_bucket: String::new(),
                backfill: None,
            },
            database: Database::new(&self.url, "").unwrap(),
            password: SecretSource::Value(self.password.as_str().into()),
            currency: "GBP".to_owned(),
            date: TODAY.parse().unwrap(),
            lookback: Lookback::All,
            time_zone: Tz::UTC,
            page_size,
        }
    }

    /// Runs a task that is killed after some steps.
    async fn attempt(&self, task: &Extract, steps: usize) -> Result<Delivered, TaskError> {
        let process = Process { world: &self.world, life: Life::of(steps) };
        self.run_with(task, 0, &process, &process).await
    }

    async fn run_with(
        &self,
        task: &Extract,
        retries: usize,
        stream: &dyn Stream,
        store: &Process<'_>,
    ) -> Result<Delivered, TaskError> {
        let min_delay = Duration::from_millis(1);
        let retry_policy = RetryPolicy { retries, min_delay, ..RetryPolicy::default() };
        let clock = ManualClock::new("2026-11-21T03:30:00Z".parse().unwrap());
        let secret = self.password.as_str().into();
        task.run(&Ports { secret, retry_policy, stream, store, clock: &clock }).await
    }

    /// Runs SQL as the owner.
    async fn execute(&self, sql: &str) {
        connect(&self.owner).await.batch_execute(sql).await.unwrap();
    }

    /// The rows that were sent of a dataset, in order.
    fn rows(&self, dataset: &str) -> Vec<Value> {
        let lines = self.world.stream.lines(STREAM);
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["dataset"] == dataset).map(|line| line["data"].clone()).collect()
    }

    /// A field of the rows that were sent of a dataset, in order.
    fn sent(&self, dataset: &str, field: &str) -> Vec<Value> {
        self.rows(dataset).iter().map(|row| row[field].clone()).collect()
    }

    /// The rows that count, by dataset and id: the newest of each id, unless it was deleted later.
    /// Of the items those that were read with the newest version of their order or later.
    fn counting(&self) -> Rows {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let mut newest: BTreeMap<Key, Value> = BTreeMap::new();
        for (dataset, id, _) in DATASETS {
            for row in self.rows(dataset) {
                let kept = newest.entry((dataset, text(&row, id))).or_insert_with(|| row.clone());
                if row["extracted_at"].as_str() > kept["extracted_at"].as_str() {
                    *kept = row;
                }
            }
        }
        let deletions = self.rows("oltp_deletions");
        let is_deleted = |dataset: &str, id: &str, row: &Value| {
            deletions.iter().any(|deletion| {
                deletion["dataset"] == dataset
                    && deletion["id"] == id
                    && deletion["extracted_at"].as_str() > row["extracted_at"].as_str()
            })
        };
        let counts = |dataset: &str, id: &str, row: &Value| {
            let order = row["order_id"].as_str().unwrap_or_default();
            match newest.get(&("oltp_orders", order.to_owned())) {
                Some(parent) if dataset == "oltp_order_items" => {
                    row["extracted_at"].as_str() >= parent["extracted_at"].as_str()
                        && !is_deleted("oltp_orders", order, parent)
                }
                _ => !is_deleted(dataset, id, row),
            }
        };
        let described = |dataset: &str, row: &Value| {
            let (_, _, fields) = DATASETS.iter().find(|(name, ..)| *name == dataset).unwrap();
            let values = fields.iter().map(|field| row[*field].to_string().replace('"', ""));
            values.collect::<Vec<_>>().join(" ")
        };
        newest
            .iter()
            .filter(|((dataset, id), row)| counts(dataset, id, row))
            .map(|((dataset, id), row)| ((*dataset, id.clone()), described(dataset, row)))
            .collect()
    }

    /// Checks that each control total has the number of the ids that its run has sent.
    fn check_control_totals(&self) {
        let lines = self.world.stream.lines(STREAM);
        let lines: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (totals, rows): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line["dataset"] == "control_totals");
        for total in totals {
            let of_run = |row: &&&Value| {
                row["subject"] == total["data"]["batch"] && row["run"] == total["data"]["run"]
            };
            let sent = rows.iter().filter(of_run);
            let ids: HashSet<_> = sent.map(|row| row["id"].as_str()).collect();
            assert_eq!(total["data"]["row_count"], ids.len(), "{total}");
        }
    }

    /// The same rows of the database.
    async fn wanted(&self) -> Rows {
        let client = connect(&self.owner).await;
        let mut wanted = Rows::new();
        for (dataset, id, fields) in DATASETS {
            let table = dataset.strip_prefix("oltp_").unwrap();
            let query =
                format!("select {id}::text, concat_ws(' ', {}) from {table}", fields.join(", "));
            for row in client.query(&query, &[]).await.unwrap() {
                wanted.insert((dataset, row.get(0)), row.get(1));
            }
        }
        wanted
    }

    /// The datasets that are complete.
    fn complete(&self) -> Vec<String> {
        let datasets = self.sent("control_totals", "dataset");
        datasets.iter().map(|dataset| dataset.as_str().unwrap().to_owned()).collect()
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs to an error that an operator has to act on; returns its text.
async fn refused(shop: &Shop, page_size: usize) -> String {
    let error = shop.run(page_size).await.unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn amounts_are_what_psql_shows_whatever_their_type() {
    for (column_type, values, expected) in [
        (
            "real",
            "12345.67, 54321.98, 1234567, 0.1, 'NaN', '-Infinity', null",
            "12345.67 54321.98 1234567 0.1 NaN -Infinity null",
        ),
        (
            "double precision",
            "0.1, 12345678901.2345, 1e20, 1e-7",
            "0.1 12345678901.2345 100000000000000000000 0.0000001",
        ),
        ("numeric(18, 4)", "2.5000, 100, 0", "2.5 100 0"),
        ("numeric", "'NaN', 12345678901234.5678", "NaN 12345678901234.5678"),
        ("money", "12345.67, -1", "12345.67 -1"),
        ("bigint", "9007199254740993, -100", "9007199254740993 -100"),
        (
            "text",
            "'1,50', ' 2.50 ', '1.5e3', '', '007', 'free', '.5'",
            "1,50 2.5 1.5e3  7 free 0.5",
        ),
        ("varchar(9)", "'2.50'", "2.5"),
    ] {
        let rows: Vec<_> =
            values.split(", ").enumerate().map(|(id, value)| format!("({id}, {value})")).collect();
        let sql = format!(
            "alter table products alter price type {column_type} using null; \
             insert into products (product_id, price) values {}",
            rows.join(", ")
        );
        let shop = Shop::new("amounts", "", &sql).await;

        shop.run(2).await.unwrap();

        let sent = shop.sent("oltp_products", "price");
        let texts: Vec<_> = sent.iter().map(|price| price.as_str().unwrap_or("null")).collect();
        assert_eq!(texts.join(" "), expected, "{column_type}");
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn texts_are_read_from_columns_of_any_type() {
    let sql = "create type color as enum ('red');
        alter table customers alter first_name type color using null,
            alter last_name type varchar(9), alter phone type bigint using null,
            alter email type numeric using null, alter state type char(5);
        insert into customers
        values (1, 'red', 'Day', 9007199254740993.10, 9007199254740993, 'NY', null)";
    let shop = Shop::new("texts", "", sql).await;

    shop.run(10).await.unwrap();

    let sent = ["first_name", "last_name", "email", "phone", "state", "city"]
        .map(|field| shop.sent("oltp_customers", field)[0].clone());
    let [text, last] = ["9007199254740993.10", "9007199254740993"].map(Value::from);
    assert_eq!(sent, ["red".into(), "Day".into(), text, last, "NY".into(), Value::Null]);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn an_id_that_is_not_unique_is_named() {
    let items = "insert into orders values (7, 1, '2026-11-20', 'paid', 1),
                                              (8, 1, '2026-11-20', 'paid', 1);
        insert into order_items
        select n, o, 1, 1, 1, 1 from generate_series(1, 3) as n, generate_series(7, 8) as o";
    for page_size in [1, 2, 3, 100] {
        let shop = Shop::new("repeated", "", items).await;

        let error = refused(&shop, page_size).await;

        for part in [
            "table order_items: order_item_id is not unique",
            "the value \"1\"",
            "differ in order_id",
            "a view",
        ] {
            assert!(error.contains(part), "{page_size}: {error}");
        }
        // Without their items, newer versions of the orders would hide the items that count.
        assert_eq!(shop.complete(), ["oltp_customers", "oltp_products"]);
        assert!(shop.sent("oltp_order_items", "quantity").is_empty());
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn rows_that_are_alike_in_all_columns_count_once() {
    let sql =
        "insert into order_items select n / 3, 7, 1, 2, 1, 1 from generate_series(0, 29) as n";
    for page_size in [1, 2, 3, 10, 100] {
        let shop = Shop::new("alike", "", sql).await;

        let delivered = shop.run(page_size).await.unwrap();

        assert_eq!((delivered.rows, shop.sent("oltp_order_items", "quantity").len()), (10, 10));
        assert_eq!(shop.sent("control_totals", "row_count")[2], 10);
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn an_unreadable_column_type_fails_only_its_table() {
    let shop =
        Shop::new("types", "", "alter table products alter price type jsonb using null").await;

    let error = refused(&shop, 100).await;

    assert!(
        error.contains("table products: column price has the type jsonb, expected numeric"),
        "{error}"
    );
    assert_eq!(shop.complete(), ["oltp_customers", "oltp_order_items", "oltp_orders"]);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn rows_before_an_unconvertible_value_are_sent() {
    let sql = "alter table products alter created_at type text;
        insert into products (product_id, created_at)
        select n, case when n = 40 then '31.02.2026' else '2026-02-03' end
        from generate_series(50, 1, -1) as n";
    let shop = Shop::new("values", "", sql).await;

    let error = refused(&shop, 15).await;

    let place =
        "table products, at the first row after product_id \"39\" or at a later one: PostgreSQL: ";
    assert!(
        error.starts_with(place) && error.contains("31.02.2026") && error.contains("22008"),
        "{error}"
    );
    assert_eq!(shop.sent("oltp_products", "product_id").len(), 30, "two whole pages");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn bytes_that_are_not_text_are_found_after_the_rows_before_them() {
    // A database in SQL_ASCII takes any bytes; WIN1252 has no character for 0x81.
    for (name, encoding, byte, expected) in [
        ("ascii", "SQL_ASCII", "E9", "invalid byte sequence for encoding \"UTF8\": 0xe9"),
        ("win", "WIN1252", "81", "character with byte sequence 0x81 in encoding \"WIN1252\""),
    ] {
        let options = format!("encoding {encoding} template template0 lc_collate 'C' lc_ctype 'C'");
        let sql = format!(
            "set client_encoding = '{encoding}';
             insert into customers (customer_id, last_name) values (1, 'Moore'), (3, 'Day');
             insert into customers (customer_id, first_name, last_name)
             select 2, 'Zo', convert_from('\\x4d{byte}'::bytea, '{encoding}')"
        );
        let shop = Shop::new(name, &options, &sql).await;

        let error = refused(&shop, 100).await;

        let place = "table customers, at the first row after customer_id \"1\" or at a later one: ";
        assert!(error.starts_with(place) && error.contains(expected), "{error}");
        assert_eq!(shop.complete(), ["oltp_products", "oltp_order_items", "oltp_orders"]);
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn a_query_that_the_server_ends_is_not_tried_again() {
    let sql = "drop table products;
        create view products as select 1 as product_id, pg_sleep(5)::text as product_name,
            '' as category, 1 as price, 1 as cost, now() as created_at;
        do $$ begin
            execute format('alter database %I set statement_timeout = 300', current_database());
        end $$";
    let shop = Shop::new("slow", "", sql).await;

    let error = refused(&shop, 100).await;

    assert!(error.starts_with("table products: PostgreSQL: "), "{error}");
    assert!(error.contains("57014") && error.contains("set statement_timeout"), "{error}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn a_locked_table_is_named_and_left_to_a_later_run() {
    let shop = Shop::new("locked", "", "").await;
    let mut other = connect(&shop.owner).await;
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("lock table orders").await.unwrap();

    let error =
        tokio::time::timeout(Duration::from_secs(60), shop.run(100)).await.unwrap().unwrap_err();

    assert_eq!(error.exit_code(), 1);
    let error = error.to_string();
    assert!(
        error.starts_with("table order_items: PostgreSQL: ") && error.contains("pg_locks"),
        "{error}"
    );
    assert_eq!(shop.complete(), ["oltp_customers", "oltp_products"]);
    transaction.rollback().await.unwrap();
    shop.run(100).await.unwrap();
    assert_eq!(shop.complete().len(), 2 + 4);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn times_without_a_zone_are_in_that_of_the_shop() {
    for (column_type, value, expected) in [
        ("timestamp", "2026-01-01 00:30:00.25", "2025-12-31T23:30:00.25Z"),
        ("timestamp", "2026-07-01 00:30", "2026-06-30T22:30:00Z"),
        ("date", "2026-07-01", "2026-06-30T22:00:00Z"),
        ("text", "2026-07-01 12:00", "2026-07-01T10:00:00Z"),
        ("text", "2026-07-01 12:00-07", "2026-07-01T19:00:00Z"),
        ("timestamptz", "2026-07-01 12:00-07", "2026-07-01T19:00:00Z"),
        ("timestamptz", "infinity", "infinityZ"),
        ("timestamptz", "2026-07-01 12:00-07 BC", "2026-07-01T19:00:00 BCZ"),
    ] {
        let sql = format!(
            "alter table products alter created_at type {column_type} using null;
             insert into products (product_id, created_at) values (1, '{value}'), (2, null)"
        );
        let shop = Shop::new("zones", "", &sql).await;

        let task = Extract { time_zone: Tz::Europe__Berlin, ..shop.extract(10) };
        shop.attempt(&task, usize::MAX).await.unwrap();

        let sent = shop.sent("oltp_products", "created_at");
        assert_eq!(sent, [Value::from(expected), Value::Null], "{column_type} {value}");
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn a_deleted_row_stops_counting_with_the_next_extract() {
    // Ids with characters that JSON escapes. The order is older than the lookback.
    let sql = "alter table customers alter customer_id type text;
        insert into customers select E'\"a\\\\\nb\" ' || n, '', 'Day' from generate_series(1, 30) n;
        insert into orders values (1, 1, '2020-01-01', 'paid', 1), (2, 1, '2020-01-01', 'paid', 2);
        insert into order_items values (10, 1, 1, 1, 1, 1), (20, 2, 1, 2, 1, 2)";
    let shop = Shop::new("deletions", "", sql).await;
    shop.run(7).await.unwrap();
    assert_eq!(shop.counting(), shop.wanted().await);
    assert!(shop.rows("oltp_deletions").is_empty());

    shop.execute(
        "delete from customers where customer_id like '%3%'; delete from orders where order_id = 1;
         delete from order_items where order_id = 1",
    )
    .await;
    let date = "2026-11-22".parse().unwrap();
    let task = Extract { date, lookback: Lookback::Days(1), ..shop.extract(3) };
    shop.attempt(&task, usize::MAX).await.unwrap();

    assert_eq!(shop.counting(), shop.wanted().await);
    assert_eq!(shop.rows("oltp_deletions").len(), 4 + 1);
    assert_eq!(shop.rows("oltp_orders").len(), 2, "they are older than the lookback");
    let totals = shop.rows("control_totals");
    let deleted = totals.iter().filter(|total| total["dataset"] == "oltp_deletions");
    let deleted: Vec<_> = deleted.map(|total| (&total["batch"], &total["row_count"])).collect();
    assert_eq!(
        deleted,
        [
            (&"2026-11-22_customers_deleted".into(), &4.into()),
            (&"2026-11-22_orders_deleted".into(), &1.into())
        ]
    );

    // What was deleted is not sent again; what is there again counts again.
    shop.execute("insert into customers select E'\"a\\\\\nb\" 3', '', 'Night'").await;
    let date = "2026-11-23".parse().unwrap();
    shop.attempt(&Extract { date, ..task }, usize::MAX).await.unwrap();
    assert_eq!(shop.counting(), shop.wanted().await);
    assert_eq!(shop.rows("oltp_deletions").len(), 5);
}

/// A stream that runs SQL in the source's database before it takes a request.
struct ChangesSource<'a> {
    shop: &'a Shop,
    sql: &'a str,
    /// How many requests come before.
    requests: AtomicUsize,
}

#[async_trait]
impl Stream for ChangesSource<'_> {
    async fn put(&self, stream: &str, records: Vec<Record>) -> Result<(), PutError> {
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.shop.execute(self.sql).await;
        }
        self.shop.world.stream.put(stream, records).await
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn changes_during_an_extract_are_left_to_the_next_one() {
    let sql = "insert into customers select n, '', 'Day' from generate_series(1, 3) as n;
        insert into orders select n, 1, '2026-11-20', 'paid', n from generate_series(1, 5) as n;
        insert into order_items select n, n, 1, 1, 1, 1 from generate_series(1, 5) as n";
    let changes = "update customers set last_name = 'Night';
        update orders set status = 'void'; update order_items set quantity = 2, order_id = 1;
        delete from orders where order_id = 5; delete from customers where customer_id = 2;
        insert into orders values (6, 1, '2026-11-21', 'paid', 1);
        insert into order_items values (6, 6, 1, 1, 1, 1)";
    let shop = Shop::new("changing", "", sql).await;
    let before = shop.wanted().await;

    let stream = ChangesSource { shop: &shop, sql: changes, requests: AtomicUsize::new(0) };
    let process = Process { world: &shop.world, life: Life::of(usize::MAX) };
    shop.run_with(&shop.extract(2), 0, &stream, &process).await.unwrap();

    assert_eq!(shop.counting(), before);
    assert_ne!(shop.wanted().await, before);
    let date = "2026-11-22".parse().unwrap();
    let next = Extract { date, lookback: Lookback::Days(2), ..shop.extract(2) };
    shop.attempt(&next, usize::MAX).await.unwrap();
    assert_eq!(shop.counting(), shop.wanted().await);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn a_lost_connection_hides_no_item() {
    let sql = "insert into customers select n, '', 'Day' from generate_series(1, 4) as n;
        insert into orders select n, 1, '2026-11-20', 'paid', n from generate_series(1, 4) as n;
        insert into order_items select n, n, 1, 1, 1, 1 from generate_series(1, 4) as n";
    let disconnect = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'shoplake-oltp-connector'";
    let shop = Shop::new("disconnected", "", sql).await;
    for requests in 0.. {
        let shop = shop.in_new_world();
        let (requests, sql) = (AtomicUsize::new(requests), disconnect);
        let stream = ChangesSource { shop: &shop, sql, requests };
        let process = Process { world: &shop.world, life: Life::of(usize::MAX) };

        shop.run_with(&shop.extract(2), 1, &stream, &process).await.unwrap();

        assert_eq!(shop.counting(), shop.wanted().await);
        if stream.requests.into_inner() < usize::MAX / 2 {
            return;
        }
    }
}

/// What happens between two steps of a history.
#[derive(Debug, Clone)]
enum Step {
    /// A change of the database.
    Change(String),
    /// An extract that may be killed, of the day before or of the next one.
    Extract { is_next_day: bool, lookback: Lookback, page_size: usize, steps: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..11_u8, 1..7_u8, 1..7_u8, 0..5_u8).prop_map(|(kind, id, other, number)| {
        let day = format!("date '{TODAY}' - {number}");
        match kind {
            0 => format!(
                "insert into orders values ({id}, {other}, {day}, 'new', {number})
                     on conflict (order_id) do update set order_date = {day};
                 insert into order_items
                 select {id} * 10 + n, {id}, 1, n, 1, n from generate_series(1, {number}) as n
                     on conflict (order_item_id) do nothing"
            ),
            1 => format!(
                "delete from orders where order_id = {id};
                 delete from order_items where order_id = {id}"
            ),
            2 => format!("delete from order_items where order_item_id = {id} * 10 + {number}"),
            3 => format!("update orders set order_date = {day} where order_id = {id}"),
            4 => format!("update orders set status = 's{number}' where order_id = {id}"),
            5 => format!("update order_items set quantity = {number} + 5 where order_id = {id}"),
            6 => format!(
                "update order_items set order_id = {other} where order_item_id = {id} * 10 + 1
                     and exists (select from orders where order_id = {other})"
            ),
            7 => format!(
                "insert into customers values ({id}, '', 'n{number}')
                     on conflict (customer_id) do update set last_name = excluded.last_name"
            ),
            8 => format!("delete from customers where customer_id in ({id}, {other})"),
            9 => format!(
                "insert into products (product_id, price) values ({id}, {number})
                     on conflict (product_id) do update set price = excluded.price"
            ),
            _ => format!("delete from products where product_id = {id}"),
        }
    });
    let lookback = prop_oneof![Just(Lookback::All), Just(Lookback::Days(2))];
    let steps = prop_oneof![3 => 0..90_usize, 1 => Just(usize::MAX)];
    let extract = (any::<bool>(), lookback, 1..9_usize, steps).prop_map(
        |(is_next_day, lookback, page_size, steps)| Step::Extract {
            is_next_day,
            lookback,
            page_size,
            steps,
        },
    );
    prop_oneof![3 => change.prop_map(Step::Change), 2 => extract]
}

/// Runs a history, then one more extract. Checks after each extract what it must not lose, and
/// after each complete one what has to have arrived.
async fn check_history(shop: &Shop, history: &[Step], last: Lookback) {
    let mut date: NaiveDate = TODAY.parse().unwrap();
    let end = [true, false].map(|is_next_day| Step::Extract {
        is_next_day,
        lookback: last,
        page_size: 3,
        // One more is a redelivery.
        steps: usize::MAX,
    });
    for step in history.iter().chain(&end) {
        let (is_next_day, lookback, page_size, steps) = match step {
            Step::Change(sql) => {
                shop.execute(sql).await;
                continue;
            }
            Step::Extract { is_next_day, lookback, page_size, steps } => {
                (*is_next_day, *lookback, *page_size, *steps)
            }
        };
        let before = shop.counting();
        date = if is_next_day { date + Days::new(1) } else { date };
        // The lookback ends at the same day for all of them.
        let lookback = match lookback {
            Lookback::All => Lookback::All,
            Lookback::Days(days) => {
                let since = TODAY.parse::<NaiveDate>().unwrap() - Days::new(days.into());
                Lookback::Days(u32::try_from((date - since).num_days()).unwrap())
            }
        };
        let task = Extract { date, lookback, ..shop.extract(page_size) };
        let outcome = shop.attempt(&task, steps).await;
        let (after, source) = (shop.counting(), shop.wanted().await);

        let order_of = |row: &str| row.split(' ').next().map(str::to_owned);
        for (key, row) in &before {
            // An item that has moved to an order that is not read again does not count.
            let is_moved = source.get(key).is_some_and(|now| order_of(now) != order_of(row));
            let is_there = source.contains_key(key) && !(key.0 == "oltp_order_items" && is_moved);
            assert!(!is_there || after.contains_key(key), "{key:?} is hidden after {step:?}");
        }
        if outcome.is_err() {
            continue;
        }
        let is_item = |key: &Key| key.0 == "oltp_order_items";
        for key in after.keys().filter(|key| !is_item(key)) {
            assert!(source.contains_key(key), "{key:?} was deleted before {step:?}");
        }
        let client = connect(&shop.owner).await;
        let recent = "select order_id::text from orders where order_date >= date '2026-11-19'";
        let recent = client.query(recent, &[]).await.unwrap();
        let recent: Vec<String> = recent.iter().map(|row| row.get(0)).collect();
        let is_read = |key: &Key, row: &str| match key.0 {
            _ if lookback == Lookback::All => true,
            "oltp_orders" => recent.contains(&key.1),
            "oltp_order_items" => recent.contains(&order_of(row).unwrap()),
            _ => true,
        };
        let read = |rows: &Rows| -> Rows {
            rows.iter()
                .filter(|(key, row)| is_read(key, row))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        assert_eq!(read(&after), read(&source), "after {step:?}");
    }
    shop.check_control_totals();
}

/// `OLTP_TEST_CASES` histories, by default 15: edits, moves and deletions, extracts that are killed
/// anywhere, and at the end extracts that are not.
#[test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
fn crashes_lose_neither_changes_nor_deletions() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let keys = "alter table customers add primary key (customer_id);
        alter table products add primary key (product_id);
        alter table orders add primary key (order_id);
        alter table order_items add primary key (order_item_id)";
    let shop = runtime.block_on(Shop::new("histories", "", keys));
    let cases = env::var("OLTP_TEST_CASES").map_or(15, |cases| cases.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let lookback = prop_oneof![Just(Lookback::All), Just(Lookback::Days(2))];
    proptest!(config, |(history in vec(step(), 1..25), last in lookback)| {
        runtime.block_on(async {
            shop.execute("truncate customers, products, orders, order_items").await;
            check_history(&shop.in_new_world(), &history, last).await;
        });
    });
}

/// Counts the bytes that it takes.
#[derive(Default)]
struct Discards(AtomicUsize);

#[async_trait]
impl Stream for Discards {
    async fn put(&self, _: &str, records: Vec<Record>) -> Result<(), PutError> {
        let bytes = records.iter().map(|record| record.data.len()).sum();
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Run it alone: the memory is that of all tests of the process.
#[tokio::test]
#[ignore = "needs a PostgreSQL, named by OLTP_TEST_URL"]
async fn a_million_orders_take_less_than_256_mb() {
    let orders = env::var("OLTP_TEST_ORDERS").unwrap_or_else(|_| "1000000".to_owned());
    let sql = format!(
        "alter table orders alter order_id type uuid using null;
         alter table order_items alter order_id type uuid using null;
         create function id(n integer) returns uuid language sql immutable
             as $$ select md5(n::text)::uuid $$;
         insert into orders select id(n), n % 1000, '2026-11-20', 'paid', 100
         from generate_series(1, {orders}) as n;
         insert into order_items select n, id(1 + n % {orders}), 1, 1, 100, 100
         from generate_series(1, {orders}) as n; analyze"
    );
    let shop = Shop::new("million", "", &sql).await;
    let process = Process { world: &shop.world, life: Life::of(usize::MAX) };
    let page_size = env::var("OLTP_TEST_PAGE_SIZE").map_or(500, |size| size.parse().unwrap());

    for day in 1..=2 {
        let (stream, started) = (Discards::default(), Instant::now());
        let date = NaiveDate::from_ymd_opt(2026, 11, 20 + day).unwrap();
        let task = Extract { date, ..shop.extract(page_size) };
        let delivered = shop.run_with(&task, 0, &stream, &process).await.unwrap();
        println!("{delivered:?}, {:?}, {} bytes", started.elapsed(), stream.0.into_inner());
        assert_eq!(delivered.rows.to_string(), (2 * orders.parse::<u64>().unwrap()).to_string());
    }

    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{} MB", peak / 1024);
    assert!(peak < 256 * 1024, "{peak} kB");
}
