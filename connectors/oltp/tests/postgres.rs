//! Tables of all kinds in a real PostgreSQL. Ignored unless asked for, as they need a server whose
//! owner may create databases:
//! `OLTP_TEST_URL=postgres://owner@127.0.0.1:5432/postgres?sslmode=disable cargo test -p
//! shoplake-connector-oltp -- --ignored`

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{env, time::Duration};

use serde_json::Value;
use shoplake_aws::stream::MemoryStream;
use shoplake_connector::{
    Delivered, Destination, Ports, RetryPolicy, SecretSource, Task, TaskError,
};
use shoplake_connector_oltp::{Database, Extract, Lookback};
use shoplake_lake::MemoryStore;
use shoplake_platform::clock::ManualClock;
use tokio_postgres::{Client, NoTls};

const STREAM: &str = "shoplake-test-oltp";

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
    stream: MemoryStream,
    store: MemoryStore,
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
        Self {
            url,
            password,
            owner,
            stream: MemoryStream::default(),
            store: MemoryStore::default(),
        }
    }

    async fn run(&self, page_size: usize) -> Result<Delivered, TaskError> {
        let task = Extract {
            destination: Destination {
                shop: "acme".parse().unwrap(),
                stream_name: STREAM.to_owned(),
                lake_bucket: String::new(),
                backfill: None,
            },
            database: Database::new(&self.url, "").unwrap(),
            password: SecretSource::Value(self.password.as_str().into()),
            currency: "GBP".to_owned(),
            date: "2026-11-21".parse().unwrap(),
            lookback: Lookback::All,
            page_size,
        };
        let retry_policy = RetryPolicy { retries: 0, ..RetryPolicy::default() };
        let clock = ManualClock::new("2026-11-21T03:30:00Z".parse().unwrap());
        let (stream, store) = (&self.stream, &self.store);
        let secret = self.password.as_str().into();
        task.run(&Ports { secret, retry_policy, stream, store, clock: &clock }).await
    }

    /// A field of the rows that were sent of a dataset, in order.
    fn sent(&self, dataset: &str, field: &str) -> Vec<Value> {
        let lines = self.stream.lines(STREAM);
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["dataset"] == dataset)
            .map(|line| line["data"][field].clone())
            .collect()
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
        assert_eq!(shop.complete(), ["oltp_customers", "oltp_products", "oltp_orders"]);
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
        assert_eq!(shop.sent("control_totals", "row_count")[3], 10);
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
    assert_eq!(shop.complete(), ["oltp_customers", "oltp_orders", "oltp_order_items"]);
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
        assert_eq!(shop.complete(), ["oltp_products", "oltp_orders", "oltp_order_items"]);
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

    assert!(error.starts_with("table products, at its first row"), "{error}");
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
        error.starts_with("table orders: PostgreSQL: ") && error.contains("pg_locks"),
        "{error}"
    );
    assert_eq!(shop.complete(), ["oltp_customers", "oltp_products"]);
    transaction.rollback().await.unwrap();
    shop.run(100).await.unwrap();
    assert_eq!(shop.complete().len(), 4);
}
