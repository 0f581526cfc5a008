//! Handles one invocation: reads, conforms, writes and counts.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use shoplake_conform::{Conformer, Counts, Layout, Output};
use shoplake_contracts::BackfillName;
use shoplake_lake::{Condition, Metadata, PutError, Store, keys, shops};
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::{
    Metrics, QUARANTINED_LINES, RECEIVED_EVENTS, WRITTEN_PARQUET, WRITTEN_SILVER_ROWS,
};

/// The keys of objects.
pub const LAYOUT: Layout = Layout { silver: keys::silver, quarantine: keys::quarantine };

/// Objects written at the same time: a batch has a handful, a replay of many days has many.
const CONCURRENT_WRITES: usize = 16;

/// The most bytes of an event that names a bronze object: a key has at most 1,024. A longer event
/// is a Kinesis batch, and its megabytes are not parsed twice to find that out.
const MAX_OBJECT_EVENT_BYTES: usize = 16_384;

/// The function and its ports.
pub struct Conform<S> {
    /// Decodes and validates.
    pub conformer: Conformer,
    /// The lake's bucket, the only one that bronze objects are read from.
    pub bucket: String,
    /// The lake.
    pub lake: S,
    /// Counts received, written and quarantined lines.
    pub metrics: Metrics,
}

/// The fields by which the kinds of payload differ; the records are read elsewhere.
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
    /// For an event source mapping.
    #[serde(rename_all = "camelCase")]
    Batch {
        /// Empty, or the record from which to deliver again.
        batch_item_failures: Vec<BatchItemFailure>,
    },
    /// For the state machine.
    Object {
        /// The counts by dataset.
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
    /// Handles a Kinesis event, or the name of a bronze object with an optional backfill in which
    /// its old rows are accepted.
    ///
    /// Bad data is quarantined and never fails an invocation. A fault of the system fails the whole
    /// batch from its first record on: objects are named after their batch, so the next attempt
    /// writes the same objects. A bronze object has a receipt when all its objects are written: the
    /// sweep conforms an object without one again.
    ///
    /// # Errors
    ///
    /// If the payload is neither ([permanent](Failure::is_permanent)), or if the lake does not
    /// return or accept an object.
    pub async fn handle(&self, payload: &str) -> Result<Answer, Failure> {
        if payload.len() > MAX_OBJECT_EVENT_BYTES {
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
        let output = self.conformer.conform_kinesis(payload).map_err(Failure::permanent)?;
        let first = output.first_sequence.clone();
        let batch_item_failures = match self.write(output).await {
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
            return Err(Failure::permanent(format!(
                "expected an object of the lake's bucket {:?}, got {bucket:?}",
                self.bucket
            )));
        }
        let object = self.lake.get(key).await.map_err(Failure::retryable)?;
        let object = object.ok_or_else(|| {
            Failure::permanent(format!("the object {key:?} does not exist in {bucket:?}"))
        })?;
        let output = self
            .conformer
            .conform_bronze(bucket, key, &object.bytes, backfill)
            .map_err(Failure::permanent)?;
        let counts = self.write(output).await.map_err(Failure::retryable)?;
        if let Some(receipt) = keys::conformed(key) {
            let empty = Default::default();
            let put = self.lake.put(&receipt, empty, Metadata::new(), Condition::Always);
            put.await.map_err(Failure::retryable)?;
        }
        Ok(Answer::Object { counts })
    }

    async fn write(&self, output: Output) -> Result<BTreeMap<String, Counts>, PutError> {
        let Output { objects, counts, .. } = output;
        stream::iter(objects)
            .map(|object| async move {
                let metadata = shops::metadata(&object.shops);
                self.lake.put(&object.key, object.bytes, metadata, Condition::Always).await
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
        "expected a Kinesis event or {{\"bucket\", \"key\"}}, but {problem}; check the event \
         source mapping and the state machine that invoke this function"
    ))
}
