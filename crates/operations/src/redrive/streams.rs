//! Conforms batches of a stream that Lambda has given up from bronze, which has their envelopes.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Deserialize;
use shoplake_aws::DeadLetterMessage;
use shoplake_lake::{Store, StoreError, keys};
use shoplake_platform::failure::Failure;

use crate::failure::Failures;
use crate::response::{LeftBatches, Redriven};

use super::{MAX_MESSAGES, Redrive, unavailable};

/// The longest time that Firehose buffers. It names an object's folder after the first record in
/// the buffer.
const MAX_BUFFER: TimeDelta = TimeDelta::minutes(15);

/// The message of Lambda about a batch that it has given up: the fields that are read here.
#[derive(Debug, Deserialize)]
struct GivenUp {
    #[serde(rename = "KinesisBatchInfo")]
    batch: Batch,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    /// `arn:aws:kinesis:<region>:<account>:stream/<stream>`
    stream_arn: String,
    approximate_arrival_of_first_record: DateTime<Utc>,
    approximate_arrival_of_last_record: DateTime<Utc>,
}

impl Redrive {
    /// Conforms every bronze object that can hold a record of a failed batch, and deletes the
    /// message of the batch when all of these executions have started. Envelopes of other batches
    /// in the same objects become silver rows a second time; models read each key once.
    ///
    /// A message stays in the queue if Firehose may not have written all of its batch yet, or if
    /// bronze has no object of that time. A batch that fails stays as well, and keeps no other
    /// batch back.
    pub(crate) async fn batches(
        &self,
        lake: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<Redriven, Failure> {
        let mut seen = BTreeSet::new();
        let mut started = BTreeSet::new();
        let (mut batches, mut left) = (0, LeftBatches::default());
        let mut failures = Failures::default();
        let mut is_empty = false;
        while seen.len() < MAX_MESSAGES && !is_empty && !failures.show_an_outage() {
            let mut received = self.streams.receive().await.map_err(unavailable)?;
            // A message that stays becomes visible again, perhaps before this run ends.
            received.retain(|message| seen.insert(message.id.clone()));
            is_empty = received.is_empty();
            for message in received {
                let Some((source, batch)) = self.batch(&message.body) else {
                    tracing::error!(
                        message = message.id,
                        body = message.body,
                        "not a batch of a stream of this deployment"
                    );
                    left.not_understood += 1;
                    continue;
                };
                if now < batch.approximate_arrival_of_last_record + self.delivery_time() {
                    left.too_recent += 1;
                    continue;
                }
                match self.conform(lake, &message, &source, &batch, &mut started).await {
                    Ok(true) => {
                        batches += 1;
                        failures.succeeded();
                    }
                    Ok(false) => {
                        tracing::warn!(
                            message = message.id,
                            source,
                            ?batch,
                            "bronze has no object of that time"
                        );
                        left.not_in_bronze += 1;
                        failures.succeeded();
                    }
                    Err(failure) => {
                        let first = batch.approximate_arrival_of_first_record;
                        let id = &message.id;
                        failures
                            .add(format!("batch of {source} at {first}, message {id}"), failure);
                    }
                }
            }
        }
        tracing::info!(
            batches,
            objects = started.len(),
            too_recent = left.too_recent,
            not_in_bronze = left.not_in_bronze,
            not_understood = left.not_understood,
            "redrive of batches"
        );
        failures.or(Redriven::Streams {
            queue: "streams".to_owned(),
            batches,
            objects: started.len(),
            left,
            more: !is_empty,
        })
    }

    /// Conforms the objects of a batch that were not `started`, and deletes its message. Returns
    /// whether bronze has any.
    async fn conform(
        &self,
        lake: &dyn Store,
        message: &DeadLetterMessage,
        source: &str,
        batch: &Batch,
        started: &mut BTreeSet<String>,
    ) -> Result<bool, Failure> {
        let objects = bronze(lake, source, batch).await.map_err(Failure::retryable)?;
        if objects.is_empty() {
            return Ok(false);
        }
        for key in objects {
            if !started.contains(&key) {
                let start = self.executions.start_bronze_to_silver(&self.bucket, &key);
                start.await.map_err(unavailable)?;
                started.insert(key);
            }
        }
        self.streams.delete(message).await.map_err(unavailable)?;
        Ok(true)
    }

    /// Returns the source of a failed batch, and when its records arrived.
    fn batch(&self, body: &str) -> Option<(String, Batch)> {
        let GivenUp { batch } = serde_json::from_str(body).ok()?;
        let (_, stream) = batch.stream_arn.rsplit_once('/')?;
        let source = stream.strip_prefix(&self.stream_prefix)?.strip_prefix('-')?.to_owned();
        Some((source, batch))
    }

    /// Returns the time after which a record is in bronze unless the delivery fails: what Firehose
    /// buffers, and as much again to read and write it.
    fn delivery_time(&self) -> Duration {
        2 * self.firehose_buffer + Duration::from_secs(10)
    }
}

/// Returns the bronze objects that can hold a record of the batch: those in the folders of the
/// hours in which their first record can have arrived, and written after the batch began to arrive.
async fn bronze(lake: &dyn Store, source: &str, batch: &Batch) -> Result<Vec<String>, StoreError> {
    let (first, last) =
        (batch.approximate_arrival_of_first_record, batch.approximate_arrival_of_last_record);
    let floor = |time: DateTime<Utc>| time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time);
    let mut hour = floor(first - MAX_BUFFER);
    let mut objects = Vec::new();
    while hour <= last {
        objects.extend(lake.list(&keys::bronze_hour(source, hour)).await?);
        hour += TimeDelta::hours(1);
    }
    // S3 truncates the time of an object to the second.
    let began = first - TimeDelta::seconds(1);
    Ok(objects
        .into_iter()
        .filter(|entry| entry.last_modified >= began)
        .map(|entry| entry.key)
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use shoplake_aws::{Execution, Fault, MemoryDeadLetterQueue, MemoryExecutions};
    use shoplake_lake::{Condition, MemoryStore, Metadata};

    use super::*;
    use crate::testing;

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    /// The message that AWS documents for a Kinesis batch and an SQS destination.
    fn given_up(stream: &str, first: &str, last: &str) -> String {
        json!({
            "requestContext": {
                "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
                "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:conform",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 1
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST",
            "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": at(last),
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
                "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
                "approximateArrivalOfFirstRecord": at(first),
                "approximateArrivalOfLastRecord": at(last),
                "batchSize": 500,
                "streamArn": format!("arn:aws:kinesis:eu-west-1:123456789012:stream/{stream}")
            }
        })
        .to_string()
    }

    /// A lake with objects of `folder/name`, each written at a time.
    async fn lake(objects: &[(&str, &str)]) -> MemoryStore {
        let lake = MemoryStore::default();
        for (key, written) in objects {
            lake.set_now(at(written));
            lake.put(key, "x".into(), Metadata::new(), Condition::Always).await.unwrap();
        }
        lake
    }

    fn redrive(
        dead_letter_queue: Vec<String>,
    ) -> (Redrive, Arc<MemoryDeadLetterQueue>, Arc<MemoryExecutions>) {
        let (dead_letter_queue, executions) = (
            Arc::new(MemoryDeadLetterQueue::with_bodies(dead_letter_queue)),
            Arc::new(MemoryExecutions::default()),
        );
        let redrive = Redrive {
            streams: dead_letter_queue.clone(),
            executions: executions.clone(),
            ..testing::redrive()
        };
        (redrive, dead_letter_queue, executions)
    }

    async fn batches(redrive: &Redrive, lake: &MemoryStore, time: &str) -> Value {
        json!(redrive.batches(lake, at(time)).await.unwrap())
    }

    fn conformed(executions: &MemoryExecutions) -> Vec<String> {
        let key = |execution| match execution {
            Execution::BronzeToSilver { key, .. } => key,
            other => panic!("unexpected {other:?}"),
        };
        executions.started().into_iter().map(key).collect()
    }

    const BEFORE: (&str, &str) = ("bronze/web/dt=2026-11-21/hour=09/a.gz", "09:30:00");
    const LATE: (&str, &str) = ("bronze/web/dt=2026-11-21/hour=09/b.gz", "10:04:00");
    const SAME_HOUR: (&str, &str) = ("bronze/web/dt=2026-11-21/hour=10/c.gz", "10:09:00");
    const NEXT_HOUR: (&str, &str) = ("bronze/web/dt=2026-11-21/hour=11/d.gz", "11:05:00");
    const OTHER: (&str, &str) = ("bronze/crm/dt=2026-11-21/hour=10/e.gz", "10:09:00");

    #[tokio::test]
    async fn objects_that_can_hold_a_batch_are_conformed() {
        let lake = lake(&[BEFORE, LATE, SAME_HOUR, NEXT_HOUR, OTHER]).await;
        let (redrive, dead_letter_queue, executions) =
            redrive(vec![given_up("shoplake-local-web", "10:02:00.5", "10:05:00")]);
        let answer = batches(&redrive, &lake, "12:00:00").await;
        assert_eq!((&answer["batches"], &answer["objects"]), (&json!(1), &json!(2)), "{answer}");
        assert_eq!(conformed(&executions), [LATE.0, SAME_HOUR.0]);
        assert!(dead_letter_queue.bodies().is_empty());
    }

    #[tokio::test]
    async fn batches_of_one_time_conform_each_object_once() {
        let lake = lake(&[SAME_HOUR]).await;
        let batch = given_up("shoplake-local-web", "10:02:00", "10:05:00");
        let (redrive, dead_letter_queue, executions) = redrive(vec![batch; 12]);
        let answer = batches(&redrive, &lake, "12:00:00").await;
        assert_eq!((&answer["batches"], &answer["objects"]), (&json!(12), &json!(1)));
        assert_eq!(conformed(&executions).len(), 1);
        assert!(dead_letter_queue.bodies().is_empty());
    }

    #[tokio::test]
    async fn a_batch_that_is_not_in_bronze_stays_in_the_queue() {
        let recent = given_up("shoplake-local-web", "10:02:00", "10:05:00");
        let missing = given_up("shoplake-local-crm", "08:00:00", "08:00:01");
        let foreign = given_up("other-web", "08:00:00", "08:00:01");
        let (redrive, dead_letter_queue, executions) =
            redrive(vec![recent.clone(), missing, foreign, "?".to_owned()]);
        let lake = lake(&[LATE]).await;
        // A minute of gathering: two minutes and ten seconds until all is there.
        let answer = batches(&redrive, &lake, "10:07:09").await;
        assert_eq!(
            answer["left"],
            json!({"too_recent": 1, "not_in_bronze": 1, "not_understood": 2})
        );
        assert_eq!((dead_letter_queue.bodies().len(), conformed(&executions).len()), (4, 0));

        dead_letter_queue.reappear();
        let answer = batches(&redrive, &lake, "10:07:10").await;
        assert_eq!(answer["batches"], 1);
        assert!(!dead_letter_queue.bodies().contains(&recent));
    }

    #[tokio::test]
    async fn a_batch_stays_until_all_its_executions_have_started() {
        let lake = lake(&[LATE, SAME_HOUR]).await;
        let (redrive, dead_letter_queue, executions) =
            redrive(vec![given_up("shoplake-local-web", "10:02:00", "10:05:00")]);
        executions.fail([None, Some(Fault::Refused)]);
        assert!(!redrive.batches(&lake, at("12:00:00")).await.unwrap_err().is_permanent());
        assert_eq!(dead_letter_queue.bodies().len(), 1);

        dead_letter_queue.reappear();
        redrive.batches(&lake, at("12:00:00")).await.unwrap();
        assert_eq!(conformed(&executions), [LATE.0, LATE.0, SAME_HOUR.0]);
        assert!(dead_letter_queue.bodies().is_empty());
    }

    #[tokio::test]
    async fn a_batch_that_fails_keeps_no_other_back() {
        let lake = lake(&[SAME_HOUR, OTHER]).await;
        let (redrive, dead_letter_queue, executions) = redrive(vec![
            given_up("shoplake-local-web", "10:02:00", "10:05:00"),
            given_up("shoplake-local-crm", "10:02:00", "10:05:00"),
        ]);
        executions.fail([Some(Fault::Refused)]);

        let failure = redrive.batches(&lake, at("12:00:00")).await.unwrap_err();

        assert!(failure.to_string().starts_with("batch of web at 2026-11-21 10:02"), "{failure}");
        assert_eq!(conformed(&executions), [OTHER.0]);
        assert_eq!(dead_letter_queue.bodies().len(), 1);
    }

    #[tokio::test]
    async fn a_batch_around_midnight_reads_both_days() {
        let yesterday = ("bronze/web/dt=2026-11-20/hour=23/a.gz", "00:05:00");
        let today = ("bronze/web/dt=2026-11-21/hour=00/b.gz", "00:08:00");
        let (redrive, _, executions) =
            redrive(vec![given_up("shoplake-local-web", "00:01:00", "00:06:00")]);
        redrive.batches(&lake(&[yesterday, today]).await, at("12:00:00")).await.unwrap();
        assert_eq!(conformed(&executions), [yesterday.0, today.0]);
    }
}
