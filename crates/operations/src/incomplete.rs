//! Finds batches that stay incomplete.
//!
//! A delivery whose rows do not all arrive fails nothing: it does not count, and the delivery
//! before it stays. Only the time that has passed shows that its rows are lost. The model `batches`
//! says which deliveries are complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shoplake_aws::topic::{Message, Topic, subject};
use shoplake_contracts::Contracts;
use shoplake_gold::Gold;
use shoplake_lake::{Condition, Metadata, Object, PutError, Store, keys};
use shoplake_platform::failure::Failure;

use crate::failure::Failures;
use crate::response::IncompleteBatch;

/// The model with the newest delivery of each batch.
const MODEL: &str = "batches";

/// Its column that says whether a delivery is complete.
const IS_COMPLETE: &str = "is_complete";

/// The name of the state: `state/freshness/_incomplete_batches.json`. No dataset has it.
const STATE: &str = "_incomplete_batches";

/// How long after its limit a batch is looked for: a check that does not run for some days misses
/// nothing.
const LOOKED_FOR: TimeDelta = TimeDelta::days(14);

/// The number of concurrent requests: after a backfill there are objects of many days.
const CONCURRENT_READS: usize = 16;

/// The most batches that an alert lists.
const MAX_LISTED: usize = 20;

/// The batches that are not complete within the `fresh_within` of their dataset.
pub(crate) struct IncompleteBatches {
    /// By dataset; only those whose batches are snapshots.
    limits: BTreeMap<String, Duration>,
    topic: Arc<dyn Topic>,
}

/// The runs that people were alerted about, by [`IncompleteBatch::id`].
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Alerted {
    runs: BTreeMap<String, String>,
}

impl IncompleteBatches {
    pub(crate) fn new(contracts: &Contracts, topic: Arc<dyn Topic>) -> Self {
        let limit = |contract: &shoplake_contracts::Contract| {
            contract.batch.as_ref()?;
            Some((contract.dataset.clone(), contract.fresh_within?))
        };
        Self { limits: contracts.iter().filter_map(limit).collect(), topic }
    }

    /// Returns the batches that have been incomplete for longer than their limit, and alerts people
    /// once about each. An object that cannot be read keeps no other batch back.
    ///
    /// # Errors
    /// At the end, if an object or the state cannot be read. The failure names it.
    pub(crate) async fn check(
        &self,
        lake: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<Vec<IncompleteBatch>, Failure> {
        let Some(longest) = self.limits.values().max() else { return Ok(Vec::new()) };
        let since = TimeDelta::from_std(*longest)
            .ok()
            .and_then(|longest| now.checked_sub_signed(longest + LOOKED_FOR))
            .unwrap_or(DateTime::UNIX_EPOCH);
        let entries = lake.list(&keys::gold_model(MODEL)).await.map_err(Failure::retryable)?;
        let recent = entries.into_iter().filter(|entry| entry.last_modified >= since);
        let results: Vec<_> = stream::iter(recent)
            .map(|entry| async move {
                let batches = read(lake, &entry.key).await;
                (entry.key, batches)
            })
            .buffered(CONCURRENT_READS)
            .collect()
            .await;
        let (mut failures, mut late) = (Failures::default(), Vec::new());
        for (key, result) in results {
            match result {
                Ok(batches) => {
                    late.extend(batches.into_iter().filter(|batch| self.is_late(batch, now)));
                }
                Err(failure) => failures.add(key, failure),
            }
        }
        let key = keys::freshness(STATE);
        let current = lake.get(&key).await.map_err(Failure::retryable)?;
        let state = current.as_ref().map(|object| serde_json::from_slice(&object.bytes));
        let state = state.transpose().unwrap_or_else(|error| {
            // A duplicate alert is better than none.
            tracing::error!(key, %error, "the state cannot be read and is replaced");
            None
        });
        let alerted: Alerted = state.unwrap_or_default();
        let runs = late.iter().map(|batch| (batch.id(), batch.run.clone().unwrap_or_default()));
        let mut found = Alerted { runs: runs.collect() };
        if !failures.is_empty() {
            // The batches of the objects that cannot be read may still be incomplete.
            for (id, run) in &alerted.runs {
                found.runs.entry(id.clone()).or_insert_with(|| run.clone());
            }
        }
        let is_new = |batch: &&mut IncompleteBatch| {
            alerted.runs.get(&batch.id()) != found.runs.get(&batch.id())
        };
        late.iter_mut().filter(is_new).for_each(|batch| batch.alerted = true);
        let new: Vec<_> = late.iter().filter(|batch| batch.alerted).collect();
        if !new.is_empty() {
            // Before the state: a duplicate alert is better than none.
            self.topic.publish(&message(&new, now)).await.map_err(Failure::retryable)?;
        }
        if found != alerted {
            let etag = current.map(|object| object.head.etag);
            let condition = etag.map_or(Condition::Absent, Condition::Matches);
            let bytes = json!(found).to_string().into();
            match lake.put(&key, bytes, Metadata::new(), condition).await {
                // Another check has found the same.
                Ok(_) | Err(PutError::Conflict { .. }) => {}
                Err(PutError::Store(error)) => return Err(Failure::retryable(error)),
            }
        }
        failures.or(late)
    }

    fn is_late(&self, batch: &IncompleteBatch, now: DateTime<Utc>) -> bool {
        let limit =
            self.limits.get(&batch.dataset).and_then(|limit| TimeDelta::from_std(*limit).ok());
        limit.is_some_and(|limit| now - batch.completed_at > limit)
    }
}

impl IncompleteBatch {
    fn id(&self) -> String {
        format!("{}/{}/{}", self.dataset, self.shop_id, self.batch)
    }
}

fn message(batches: &[&IncompleteBatch], now: DateTime<Utc>) -> Message {
    let count = batches.len();
    let what = match batches {
        [batch] => format!("incomplete batch {} of {}", batch.batch, batch.dataset),
        _ => format!("{count} incomplete batches"),
    };
    let listed: Vec<_> = batches.iter().take(MAX_LISTED).collect();
    let body = json!({
        "what": format!("{what}: other rows or quantities have arrived than a connector sent"),
        "batches": listed,
        "batches_not_listed": count - listed.len(),
        "checked_at": now.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "next": "The delivery does not count; the complete one before it does. If rows are \
                 missing, check the conform-failed queue and the executions of bronze-to-silver, \
                 and redrive what failed. If bronze lacks the rows, or there are more rows or \
                 another quantity than expected, run the connector again for the batch. There is \
                 one alert for each delivery.",
    });
    Message {
        subject: subject(&format!("Shoplake: {what}")),
        body: body.to_string(),
        attributes: batches
            .first()
            .map(|batch| ("dataset", batch.dataset.clone()))
            .into_iter()
            .collect(),
    }
}

/// Returns the incomplete batches of an object; none if it no longer exists.
async fn read(lake: &dyn Store, key: &str) -> Result<Vec<IncompleteBatch>, Failure> {
    let Some(object) = lake.get(key).await.map_err(Failure::retryable)? else {
        return Ok(Vec::new());
    };
    incomplete(object).map_err(|problem| {
        let advice = "delete it and backfill its partition";
        Failure::permanent(format!("cannot read it: {problem}; {advice}"))
    })
}

/// Returns the incomplete batches of an object of [`MODEL`].
fn incomplete(object: Object) -> Result<Vec<IncompleteBatch>, String> {
    let gold = Gold::decode(object.bytes).map_err(|error| error.to_string())?;
    // Versions of the model before the column do not say which batches are complete.
    if gold.rows.column_by_name(IS_COMPLETE).is_none() {
        return Ok(Vec::new());
    }
    let column = |name: &str, data_type: &DataType| {
        let column = gold.rows.column_by_name(name);
        let column = column.ok_or_else(|| format!("the column {name} is missing"))?;
        cast(column, data_type).map_err(|error| format!("the column {name}: {error}"))
    };
    let texts = ["shop_id", "dataset", "batch", "run"].map(|name| column(name, &DataType::Utf8));
    let [shops, datasets, names, runs] = all(texts)?;
    let numbers = ["expected_rows", "landed_rows", "rejected_rows"];
    let [expected, landed, rejected] = all(numbers.map(|name| column(name, &DataType::Int64)))?;
    let quantities = ["expected_quantity", "landed_quantity"];
    let [expected_quantity, landed_quantity] =
        all(quantities.map(|name| column(name, &DataType::Int64)))?;
    let is_complete = column(IS_COMPLETE, &DataType::Boolean)?;
    let completed = column("completed_at", &DataType::Timestamp(TimeUnit::Microsecond, None))?;

    let text = |column: &dyn Array, row| column.as_string::<i32>().value(row).to_owned();
    let number = |column: &dyn Array, row| column.as_primitive::<Int64Type>().value(row);
    let quantity = |column: &dyn Array, row| column.is_valid(row).then(|| number(column, row));
    let row = |row: usize| {
        let micros = completed.as_primitive::<TimestampMicrosecondType>().value(row);
        IncompleteBatch {
            shop_id: text(&shops, row),
            dataset: text(&datasets, row),
            batch: text(&names, row),
            run: runs.is_valid(row).then(|| text(&runs, row)),
            completed_at: DateTime::from_timestamp_micros(micros).unwrap_or_default(),
            expected_rows: number(&expected, row),
            arrived_rows: number(&landed, row) + number(&rejected, row),
            expected_quantity: quantity(&expected_quantity, row),
            arrived_quantity: quantity(&landed_quantity, row),
            alerted: false,
        }
    };
    let rows = 0..gold.rows.num_rows();
    Ok(rows.filter(|row| !is_complete.as_boolean().value(*row)).map(row).collect())
}

/// Returns all values, or the first error.
fn all<T, const N: usize>(results: [Result<T, String>; N]) -> Result<[T; N], String> {
    let values = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    values.try_into().map_err(|_| "unexpected number of columns".to_owned())
}

#[cfg(test)]
mod tests {
    use shoplake_aws::topic::MemoryTopic;
    use shoplake_lake::MemoryStore;
    use shoplake_testing::{Lake, Row, row};

    use super::*;

    const RUN: &str = "2026-11-21T04:30:00.000000Z";
    const LATER: &str = "2026-11-21T05:30:00.000000Z";
    const FOLDER: &str = "dt=2026-11-20";

    fn at(hour: i64) -> DateTime<Utc> {
        "2026-11-21T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hour)
    }

    fn sale(line: u32, run: &str) -> Row {
        let line = line.to_string();
        row(
            &[
                ("shop_id", "acme"),
                ("transaction_id", "t1"),
                ("store_id", "s1"),
                ("region", "north"),
                ("product_id", "p1"),
                ("quantity", "1"),
                ("unit_price", "1"),
                ("discount", "0"),
                ("currency", "GBP"),
                ("sold_at", "2026-11-20T10:00:00Z"),
                ("business_date", "2026-11-20"),
                ("_received_at", "2026-11-21T05:00:00Z"),
                ("_batch", "2026-11-20"),
            ],
            &[("line_no", &line), ("_envelope_id", &line), ("_run", run)],
        )
    }

    /// The control total of so many rows, each of one unit.
    fn total(rows: &str, run: &str) -> Row {
        row(
            &[
                ("shop_id", "acme"),
                ("dataset", "pos_sales"),
                ("batch", "2026-11-20"),
                ("business_date", "2026-11-20"),
                ("completed_at", "2026-11-21T06:00:00Z"),
                ("_envelope_id", "total"),
                ("_received_at", "2026-11-21T06:00:00Z"),
            ],
            &[("row_count", rows), ("quantity_sum", rows), ("run", run)],
        )
    }

    /// A lake with a delivery of three rows, of which one is lost.
    struct Fixture {
        lake: Lake,
        topic: Arc<MemoryTopic>,
        batches: IncompleteBatches,
    }

    impl Fixture {
        async fn new() -> Self {
            let lake = Lake::new();
            let topic = Arc::new(MemoryTopic::default());
            let batches = IncompleteBatches::new(&lake.contracts, topic.clone());
            let fixture = Self { lake, topic, batches };
            fixture.write("a", &[sale(1, RUN), sale(2, RUN)], &[total("3", RUN)]).await;
            fixture
        }

        async fn write(&self, name: &str, sales: &[Row], totals: &[Row]) {
            self.lake.store.set_now(at(6));
            self.lake.write("pos_sales", FOLDER, name, sales).await;
            self.lake.write("control_totals", FOLDER, name, totals).await;
            self.lake.commit(MODEL, "2026-11-20").await;
        }

        async fn check(&self, hour: i64) -> Vec<IncompleteBatch> {
            self.batches.check(&self.lake.store, at(hour)).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_batch_that_stays_incomplete_alerts_once() {
        let fixture = Fixture::new().await;
        assert_eq!(fixture.check(6 + 48).await, [], "two days are not more than two days");

        let late = fixture.check(6 + 49).await;
        let expected = IncompleteBatch {
            shop_id: "acme".to_owned(),
            dataset: "pos_sales".to_owned(),
            batch: "2026-11-20".to_owned(),
            run: Some(RUN.to_owned()),
            completed_at: at(6),
            expected_rows: 3,
            arrived_rows: 2,
            expected_quantity: Some(3),
            arrived_quantity: Some(2),
            alerted: true,
        };
        assert_eq!(late, [expected]);
        let message = fixture.topic.messages().remove(0);
        assert_eq!(message.subject, "Shoplake: incomplete batch 2026-11-20 of pos_sales");
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["batches"][0]["arrived_rows"], 2);
        assert!(body["next"].as_str().unwrap().contains("run the connector again"));

        assert!(!fixture.check(6 + 50).await[0].alerted);
        assert_eq!(fixture.topic.messages().len(), 1);
    }

    #[tokio::test]
    async fn a_batch_whose_rows_arrive_is_not_late() {
        let fixture = Fixture::new().await;
        fixture.write("b", &[sale(3, RUN)], &[]).await;
        assert_eq!(fixture.check(6 + 49).await, []);
        assert_eq!(fixture.topic.messages().len(), 0);
    }

    /// As many rows as were sent, of another quantity: it does not count, so it is incomplete.
    #[tokio::test]
    async fn a_batch_of_another_quantity_is_late() {
        let fixture = Fixture::new().await;
        let mut changed = sale(3, RUN);
        changed.insert("quantity", "7".to_owned());
        changed.insert("_received_at", "2026-11-21T04:59:00Z".to_owned());
        fixture.write("b", &[changed], &[]).await;
        let [late] = &fixture.check(6 + 49).await[..] else { panic!("one batch") };
        assert_eq!((late.expected_rows, late.arrived_rows), (3, 3));
        assert_eq!((late.expected_quantity, late.arrived_quantity), (Some(3), Some(9)));
        fixture.write("c", &[sale(3, RUN)], &[]).await;
        assert_eq!(fixture.check(6 + 50).await, []);
    }

    #[tokio::test]
    async fn a_later_delivery_that_stays_incomplete_alerts_again() {
        let fixture = Fixture::new().await;
        assert!(fixture.check(6 + 49).await[0].alerted);
        fixture.write("b", &[sale(1, LATER)], &[total("3", LATER)]).await;
        let late = fixture.check(6 + 50).await;
        assert_eq!((late[0].run.as_deref(), late[0].alerted), (Some(LATER), true));
        assert_eq!(fixture.topic.messages().len(), 2);
    }

    #[tokio::test]
    async fn a_failed_alert_is_repeated_by_a_later_check() {
        let fixture = Fixture::new().await;
        fixture.topic.fail([Some(shoplake_aws::Fault::Refused)]);
        let failed = fixture.batches.check(&fixture.lake.store, at(6 + 49)).await;
        assert!(!failed.unwrap_err().is_permanent());
        assert!(fixture.check(6 + 50).await[0].alerted);
    }

    #[tokio::test]
    async fn an_unreadable_object_keeps_no_other_batch_back() {
        let fixture = Fixture::new().await;
        let broken = format!("{}0/data.parquet", keys::gold_model(MODEL));
        let put = async |bytes: &'static str| {
            let store = &fixture.lake.store;
            store.put(&broken, bytes.into(), Metadata::new(), Condition::Always).await.unwrap();
        };
        put("?").await;
        for hour in [49, 50] {
            let failure = fixture.batches.check(&fixture.lake.store, at(6 + hour)).await;
            let failure = failure.unwrap_err();
            let text = failure.to_string();
            assert!(failure.is_permanent() && text.starts_with(&broken), "{text}");
        }
        assert_eq!(fixture.topic.messages().len(), 1, "once");

        // The object of the batch that was alerted cannot be read for a while.
        let entries = fixture.lake.store.list(&keys::gold_model(MODEL)).await.unwrap();
        let key = &entries.last().unwrap().key;
        let object = fixture.lake.store.get(key).await.unwrap().unwrap();
        for bytes in ["?".into(), object.bytes] {
            let put = fixture.lake.store.put(key, bytes, Metadata::new(), Condition::Always);
            put.await.unwrap();
            fixture.batches.check(&fixture.lake.store, at(6 + 51)).await.unwrap_err();
        }
        assert_eq!(fixture.topic.messages().len(), 1, "it is not forgotten");
    }

    #[tokio::test]
    async fn an_unreadable_state_is_replaced() {
        let fixture = Fixture::new().await;
        let key = keys::freshness(STATE);
        let put = fixture.lake.store.put(&key, "?".into(), Metadata::new(), Condition::Always);
        put.await.unwrap();
        assert!(fixture.check(6 + 49).await[0].alerted);
        assert!(!fixture.check(6 + 50).await[0].alerted);
    }

    #[tokio::test]
    async fn without_snapshots_nothing_is_listed() {
        let batches =
            IncompleteBatches::new(&Contracts::default(), Arc::new(MemoryTopic::default()));
        assert_eq!(batches.check(&MemoryStore::default(), at(1)).await.unwrap(), []);
    }
}
