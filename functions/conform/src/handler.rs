//! One invocation: read, conform, write, count.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use shoplake_conform::{Conformer, Counts, Layout, Outcome};
use shoplake_contracts::BackfillName;
use shoplake_lake::{Condition, Metadata, PutError, Store, keys};
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::{
    Metrics, QUARANTINED_LINES, RECEIVED_EVENTS, WRITTEN_PARQUET, WRITTEN_SILVER_ROWS,
};

/// Where objects go.
pub const LAYOUT: Layout = Layout { silver: keys::silver, quarantine: keys::quarantine };

/// Objects written at the same time: a batch makes a handful, a replay of many days makes many.
const CONCURRENT_WRITES: usize = 16;

/// Bytes. A key has at most 1,024 of them, so anything longer is a Kinesis event, and megabytes
/// need not be read twice to find that out.
const LONGEST_OBJECT_EVENT: usize = 16_384;

/// The function and its ports.
pub struct Conform<S> {
    /// Decodes and validates.
    pub conformer: Conformer,
    /// The lake's bucket, the only one that bronze objects are read from.
    pub bucket: String,
    /// The lake.
    pub lake: S,
    /// Where what happened is counted.
    pub metrics: Metrics,
}

/// What the payload is, told by its fields alone; the records are read elsewhere.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, rename = "Records")]
    records: Option<sonic_rs::LazyValue<'a>>,
    bucket: Option<String>,
    key: Option<String>,
    backfill: Option<BackfillName>,
}

/// The function's answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an event source mapping.
    #[serde(rename_all = "camelCase")]
    Batch {
        /// Empty, or where to start again.
        batch_item_failures: Vec<BatchItemFailure>,
    },
    /// To the state machine.
    Object {
        /// What happened, by dataset.
        counts: BTreeMap<String, Counts>,
    },
}

/// The record from which a batch has to be delivered again.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its sequence number.
    pub item_identifier: String,
}

impl<S: Store> Conform<S> {
    /// Handles a Kinesis event, or the name of a bronze object, with a named backfill if its old
    /// rows are to be accepted.
    ///
    /// Bad data is quarantined and never fails an invocation. A fault of the system fails the whole
    /// batch from its first record on: objects are named after their batch, so the next attempt
    /// writes the same ones.
    ///
    /// # Errors
    /// When the payload is neither, or when the lake does not give or take an object;
    /// [`Failure::is_permanent`] tells which.
    pub async fn handle(&self, payload: &str) -> Result<Answer, Failure> {
        if payload.len() > LONGEST_OBJECT_EVENT {
            return self.batch(payload).await;
        }
        let event: Payload<'_> =
            sonic_rs::from_str(payload).map_err(|error| unexpected(&error.to_string()))?;
        match event {
            Payload { records: Some(_), .. } => self.batch(payload).await,
            Payload { bucket: Some(bucket), key: Some(key), backfill, .. } => {
                self.object(&bucket, &key, backfill.as_ref()).await
            }
            Payload { .. } => Err(unexpected("it has neither Records nor bucket and key")),
        }
    }

    async fn batch(&self, payload: &str) -> Result<Answer, Failure> {
        let outcome = self.conformer.conform_kinesis(payload).map_err(Failure::permanent)?;
        let first = outcome.first_sequence.clone();
        let batch_item_failures = match self.write(outcome).await {
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, first_sequence = first, "the batch will be delivered again");
                first
                    .into_iter()
                    .map(|item_identifier| BatchItemFailure { item_identifier })
                    .collect()
            }
        };
        Ok(Answer::Batch { batch_item_failures })
    }

    async fn object(
        &self,
        bucket: &str,
        key: &str,
        backfill: Option<&BackfillName>,
    ) -> Result<Answer, Failure> {
        if bucket != self.bucket {
            let problem = format!(
                "expected an object of the lake's bucket {:?}, got {bucket:?}",
                self.bucket
            );
            return Err(Failure::permanent(problem));
        }
        let object = self.lake.get(key).await.map_err(Failure::retryable)?;
        let object = object.ok_or_else(|| {
            Failure::permanent(format!("there is no object {key:?} in {bucket:?}"))
        })?;
        let outcome = self
            .conformer
            .conform_bronze(bucket, key, &object.bytes, backfill)
            .map_err(Failure::permanent)?;
        let counts = self.write(outcome).await.map_err(Failure::retryable)?;
        Ok(Answer::Object { counts })
    }

    async fn write(&self, outcome: Outcome) -> Result<BTreeMap<String, Counts>, PutError> {
        let Outcome { objects, counts, .. } = outcome;
        stream::iter(objects)
            .map(|object| async move {
                self.lake.put(&object.key, object.bytes, Metadata::new(), Condition::Always).await
            })
            .buffer_unordered(CONCURRENT_WRITES)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        for (dataset, counts) in &counts {
            let values = [
                (RECEIVED_EVENTS, counts.received),
                (WRITTEN_SILVER_ROWS, counts.silver_rows),
                (QUARANTINED_LINES, counts.quarantined),
                (WRITTEN_PARQUET, counts.bytes),
            ];
            self.metrics.emit(Some(dataset), &values.map(|(metric, value)| (metric, value as f64)));
            tracing::info!(
                dataset,
                received = counts.received,
                silver_rows = counts.silver_rows,
                quarantined = counts.quarantined,
                bytes = counts.bytes,
                "conformed"
            );
        }
        Ok(counts)
    }
}

fn unexpected(problem: &str) -> Failure {
    Failure::permanent(format!(
        "expected a Kinesis event or {{\"bucket\", \"key\"}}, but {problem}; check who invokes this function"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use shoplake_lake::MemoryStore;
    use shoplake_platform::metrics::MemorySink;

    use super::*;
    use crate::simulator::{contracts, envelope, event, payload};

    fn conform() -> (Conform<MemoryStore>, Arc<MemorySink>) {
        let sink = Arc::new(MemorySink::default());
        let conform = Conform {
            conformer: Conformer::new(contracts(), LAYOUT),
            bucket: "lake".to_owned(),
            lake: MemoryStore::default(),
            metrics: Metrics::new("conform", sink.clone()),
        };
        (conform, sink)
    }

    #[tokio::test]
    async fn given_a_good_and_a_bad_line_when_handled_then_nothing_is_delivered_again() {
        let (conform, sink) = conform();
        let records = vec![(7, envelope("m1", event("e1"))), (8, "garbage".to_owned())];

        let answer = conform.handle(&payload(&records)).await.unwrap();

        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"batchItemFailures":[]}"#);
        assert_eq!(conform.lake.keys().len(), 3, "{:?}", conform.lake.keys());
        assert_eq!((sink.total(WRITTEN_SILVER_ROWS), sink.total(QUARANTINED_LINES)), (1.0, 1.0));
    }

    #[tokio::test]
    async fn given_a_lake_that_is_down_when_handled_then_the_batch_starts_again_at_its_first_record()
     {
        let (conform, sink) = conform();
        conform.lake.fail([true]);

        let answer = conform.handle(&payload(&[(7, envelope("m1", event("e1")))])).await.unwrap();

        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#
        );
        assert!(sink.lines().is_empty(), "what was not written is not counted");
    }

    #[tokio::test]
    async fn given_a_bronze_object_when_handled_then_its_rows_are_counted() {
        let (conform, _) = conform();
        let key = "bronze/web/dt=2026-11-21/hour=10/x.gz";
        let lines = Bytes::from(format!("{}\n", envelope("m1", event("e1"))));
        conform.lake.put(key, lines, Metadata::new(), Condition::Always).await.unwrap();

        let answer =
            conform.handle(&format!(r#"{{"bucket":"lake","key":"{key}"}}"#)).await.unwrap();

        let Answer::Object { counts } = answer else { panic!("{answer:?}") };
        assert_eq!(counts["web_traffic"].silver_rows, 1);
        assert!(
            conform.lake.keys().contains(&"silver/web_traffic/dt=2026-11-20/x.parquet".to_owned())
        );
    }

    #[tokio::test]
    async fn given_what_no_retry_can_mend_when_handled_then_the_failure_is_permanent() {
        let (conform, _) = conform();
        for payload in [
            "nonsense",
            "{}",
            r#"{"bucket":"other","key":"k"}"#,
            r#"{"bucket":"lake","key":"k"}"#,
            r#"{"Records":[1]}"#,
        ] {
            assert!(conform.handle(payload).await.unwrap_err().is_permanent(), "{payload}");
        }
    }

    #[tokio::test]
    async fn given_a_lake_that_is_down_when_an_object_is_read_then_the_failure_is_retryable() {
        let (conform, _) = conform();
        conform.lake.fail([true]);
        assert!(
            !conform.handle(r#"{"bucket":"lake","key":"k"}"#).await.unwrap_err().is_permanent()
        );
    }
}
