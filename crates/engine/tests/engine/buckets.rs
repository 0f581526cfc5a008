//! A model by bucket, and one that reads its days: row groups, and what is kept between jobs.

use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{Days, NaiveDate};
use shoplake_engine::DataFusion;
use shoplake_jobs::Partition;
use shoplake_lake::{Condition, ETag, Entry, Head, Metadata, Object, PutError, Store, StoreError};
use shoplake_testing::{Lake, Row, row, texts};

const ORDERS: &str = r#"-- grain = "one row per order"
-- key = ["shop_id", "order_id"]
-- partition = "bucket(order_id, 16)"
-- inputs = ["silver.oltp_orders"]

select shop_id, order_id, cast(order_date as date) as ordered_on, status
from silver.oltp_orders
"#;

const DAYS: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "ordered_on"]
-- partition = "ordered_on"
-- inputs = ["gold.orders_clean"]
-- by_column = { "gold.orders_clean" = "ordered_on" }

select shop_id, ordered_on, count(*) as orders, max(bucket) as bucket
from gold.orders_clean
group by shop_id, ordered_on
"#;

const BUCKET: u32 = 7;

/// What was read of a lake: objects as a whole, and bytes of parts.
struct Counting<'a> {
    lake: &'a Lake,
    read: Mutex<(usize, u64)>,
}

impl Counting<'_> {
    fn take(&self) -> (usize, u64) {
        std::mem::take(&mut self.read.lock().unwrap())
    }
}

#[async_trait]
impl Store for Counting<'_> {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.read.lock().unwrap().0 += 1;
        self.lake.store.get(key).await
    }
    async fn get_range(
        &self,
        key: &str,
        etag: &ETag,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, StoreError> {
        self.read.lock().unwrap().1 += range.end - range.start;
        self.lake.store.get_range(key, etag, range).await
    }
    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.lake.store.head(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.lake.store.list(prefix).await
    }
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError> {
        self.lake.store.put(key, bytes, metadata, condition).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.lake.store.delete(key).await
    }
}

fn order(id: &str, day: NaiveDate) -> Row {
    let placed = format!("{day}T10:00:00Z");
    // A text that does not compress well.
    let status = (0..4).map(|part| crc32fast::hash(format!("{id}.{part}").as_bytes()));
    let status: String = status.map(|part| format!("{part:08x}")).collect();
    row(
        &[
            ("shop_id", "acme"),
            ("total_amount", "1"),
            ("currency", "GBP"),
            ("extracted_at", "2011-12-01T00:00:00Z"),
            ("_received_at", "2011-12-01T00:00:00Z"),
        ],
        &[
            ("order_id", id),
            ("_envelope_id", id),
            ("order_date", placed.as_str()),
            ("status", status.as_str()),
        ],
    )
}

/// A bucket of orders, 200 on each of 100 days, in gold. Its object in silver has orders of other
/// buckets as well, as one from before a doubling has.
async fn lake() -> Lake {
    let lake = Lake::with_models(&[
        ("core/orders_clean.sql", ORDERS),
        ("intermediate/order_days.sql", DAYS),
    ]);
    let ids = (0..).map(|number| format!("o{number}"));
    let ids = ids.filter(|id| crc32fast::hash(id.as_bytes()) % 16 == BUCKET).take(20_000);
    let first = NaiveDate::from_ymd_opt(2010, 12, 1).unwrap();
    let rows =
        ids.enumerate().map(|(number, id)| order(&id, first + Days::new(number as u64 / 200)));
    let other = (0..).map(|number| format!("x{number}"));
    let other = other.filter(|id| crc32fast::hash(id.as_bytes()) % 16 != BUCKET).take(100);
    let rows: Vec<_> = rows.chain(other.map(|id| order(&id, first))).collect();
    lake.write("oltp_orders", "bucket=0007", "a", &rows).await;
    let committed = lake.commit("orders_clean", "0007").await;
    assert_eq!(committed.rows.num_rows(), 20_000);
    let days: Vec<_> = committed.dirtied.iter().map(|dirty| dirty.until.unwrap()).collect();
    assert_eq!(days, ["2011-03-10".parse::<Partition>().unwrap()]);
    lake
}

#[tokio::test]
async fn a_day_reads_the_row_groups_that_have_its_rows_once() {
    let lake = lake().await;
    let store = Counting { lake: &lake, read: Mutex::default() };
    let engine = DataFusion::default();
    let job = lake.job("order_days", "2010-12-20").await;
    let size = lake.store.head(&job.inputs[0].objects[0]).await.unwrap().unwrap().size;
    for expected_bytes in [1..size * 2 / 3, 0..1] {
        let output = shoplake_engine::run(&store, &job, None, &engine).await.unwrap();
        assert_eq!(texts(&output.rows), ["acme|2010-12-20|200|7"]);
        let (objects, bytes) = store.take();
        assert!(objects == 0 && expected_bytes.contains(&bytes), "{bytes} of {size} bytes");
    }
    // A day at the end of the object, and one after it.
    for (day, rows) in [("2011-03-10", 1), ("2011-03-11", 0)] {
        let output = lake.run("order_days", day).await.unwrap();
        assert_eq!(output.rows.num_rows(), rows, "{day}");
    }
}

#[tokio::test]
async fn a_replaced_bucket_is_a_missing_object() {
    let lake = lake().await;
    let job = lake.job("order_days", "2010-12-20").await;
    lake.store.delete(&job.inputs[0].objects[0]).await.unwrap();
    let error = shoplake_engine::run(&lake.store, &job, None, &DataFusion::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("was deleted after the job was planned"), "{error}");
}

#[tokio::test]
async fn objects_of_silver_are_kept_between_jobs() {
    let lake = lake().await;
    let store = Counting { lake: &lake, read: Mutex::default() };
    let engine = DataFusion::default();
    lake.write("oltp_orders", "bucket=0007", "b", &[]).await;
    let job = lake.job("orders_clean", "0007").await;
    for expected in [2, 0] {
        shoplake_engine::run(&store, &job, None, &engine).await.unwrap();
        assert_eq!(store.take().0, expected);
    }
}
