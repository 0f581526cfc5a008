//! Batches of a stream that conform has given up: their envelopes are in bronze, and are conformed
//! from there.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use shoplake_lake::{Store, StoreError, keys};
use shoplake_platform::failure::Failure;

use super::{MAX_LETTERS, Redrive, retryable};

/// The longest that Firehose gathers. It names an object's folder after the first record that it
/// gathered.
const LONGEST_BUFFER: TimeDelta = TimeDelta::minutes(15);

/// What Lambda sends to the destination of a batch that it has given up, as far as it is needed.
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
    /// Has every bronze object conformed that can hold a record of a batch that was given up, and
    /// deletes the letter when all of these executions have started. Envelopes of other batches in
    /// the same objects become silver rows once more; models read each key once.
    ///
    /// A letter stays for the next time if Firehose may not have written all of its batch yet, or
    /// has written nothing of that time.
    pub(crate) async fn batches(
        &self,
        lake: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<Value, Failure> {
        let mut seen = BTreeSet::new();
        let mut started = BTreeSet::new();
        let (mut batches, mut too_recent, mut not_in_bronze, mut not_understood) = (0, 0, 0, 0);
        let mut is_empty = false;
        while seen.len() < MAX_LETTERS && !is_empty {
            let mut received = self.streams.receive().await.map_err(retryable)?;
            // A letter that is left comes back after a while, perhaps before this is done.
            received.retain(|letter| seen.insert(letter.id.clone()));
            is_empty = received.is_empty();
            for letter in received {
                let Some((source, batch)) = self.batch(&letter.body) else {
                    tracing::error!(
                        letter = letter.id,
                        body = letter.body,
                        "not a batch of one of our streams"
                    );
                    not_understood += 1;
                    continue;
                };
                if now < batch.approximate_arrival_of_last_record + self.settling() {
                    too_recent += 1;
                    continue;
                }
                let objects = bronze(lake, &source, &batch).await.map_err(Failure::retryable)?;
                if objects.is_empty() {
                    tracing::warn!(
                        letter = letter.id,
                        source,
                        ?batch,
                        "nothing of that time in bronze"
                    );
                    not_in_bronze += 1;
                    continue;
                }
                for key in objects {
                    if !started.contains(&key) {
                        self.executions
                            .start_bronze_to_silver(&self.bucket, &key)
                            .await
                            .map_err(retryable)?;
                        started.insert(key);
                    }
                }
                self.streams.delete(&letter).await.map_err(retryable)?;
                batches += 1;
            }
        }
        tracing::info!(
            batches,
            objects = started.len(),
            too_recent,
            not_in_bronze,
            "redrive of batches"
        );
        Ok(json!({
            "queue": "streams",
            "batches": batches,
            "objects": started.len(),
            "left": {"too_recent": too_recent, "not_in_bronze": not_in_bronze, "not_understood": not_understood},
            "more": !is_empty,
        }))
    }

    /// The source whose batch was given up, and when its records arrived.
    fn batch(&self, body: &str) -> Option<(String, Batch)> {
        let GivenUp { batch } = serde_json::from_str(body).ok()?;
        let (_, stream) = batch.stream_arn.rsplit_once('/')?;
        let source = stream.strip_prefix(&self.stream_prefix)?.strip_prefix('-')?.to_owned();
        Some((source, batch))
    }

    /// After this time a record is in bronze, unless delivery is in trouble: what Firehose gathers,
    /// and as much again to read it and to write it.
    fn settling(&self) -> Duration {
        2 * self.firehose_buffer + Duration::from_secs(10)
    }
}

/// The bronze objects that can hold a record of the batch: in the folders of the hours in which
/// their first record can have arrived, and written after the batch began to arrive.
async fn bronze(lake: &dyn Store, source: &str, batch: &Batch) -> Result<Vec<String>, StoreError> {
    let (first, last) =
        (batch.approximate_arrival_of_first_record, batch.approximate_arrival_of_last_record);
    let floor = |time: DateTime<Utc>| time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time);
    let mut hour = floor(first - LONGEST_BUFFER);
    let mut objects = Vec::new();
    while hour <= last {
        objects.extend(lake.list(&keys::bronze_hour(source, hour)).await?);
        hour += TimeDelta::hours(1);
    }
    // S3 dates objects by the second.
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
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
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
        letters: Vec<String>,
    ) -> (Redrive, Arc<MemoryDeadLetterQueue>, Arc<MemoryExecutions>) {
        let (letters, executions) = (
            Arc::new(MemoryDeadLetterQueue::with_bodies(letters)),
            Arc::new(MemoryExecutions::default()),
        );
        let redrive = Redrive {
            streams: letters.clone(),
            executions: executions.clone(),
            ..testing::redrive()
        };
        (redrive, letters, executions)
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
    async fn given_a_batch_then_the_objects_that_can_hold_it_are_conformed_and_it_is_forgotten() {
        let lake = lake(&[BEFORE, LATE, SAME_HOUR, NEXT_HOUR, OTHER]).await;
        let (redrive, letters, executions) =
            redrive(vec![given_up("shoplake-local-web", "10:02:00.5", "10:05:00")]);
        let answer = redrive.batches(&lake, at("12:00:00")).await.unwrap();
        assert_eq!((&answer["batches"], &answer["objects"]), (&json!(1), &json!(2)), "{answer}");
        assert_eq!(conformed(&executions), [LATE.0, SAME_HOUR.0]);
        assert!(letters.bodies().is_empty());
    }

    #[tokio::test]
    async fn given_many_batches_of_the_same_time_then_each_object_is_conformed_once() {
        let lake = lake(&[SAME_HOUR]).await;
        let batch = given_up("shoplake-local-web", "10:02:00", "10:05:00");
        let (redrive, letters, executions) = redrive(vec![batch; 12]);
        let answer = redrive.batches(&lake, at("12:00:00")).await.unwrap();
        assert_eq!((&answer["batches"], &answer["objects"]), (&json!(12), &json!(1)));
        assert_eq!(conformed(&executions).len(), 1);
        assert!(letters.bodies().is_empty());
    }

    #[tokio::test]
    async fn given_a_batch_that_may_not_be_in_bronze_yet_or_is_not_there_then_its_letter_stays() {
        let recent = given_up("shoplake-local-web", "10:02:00", "10:05:00");
        let missing = given_up("shoplake-local-crm", "08:00:00", "08:00:01");
        let foreign = given_up("someone-else-web", "08:00:00", "08:00:01");
        let (redrive, letters, executions) =
            redrive(vec![recent.clone(), missing, foreign, "?".to_owned()]);
        let lake = lake(&[LATE]).await;
        // A minute of gathering: two minutes and ten seconds until all is there.
        let answer = redrive.batches(&lake, at("10:07:09")).await.unwrap();
        assert_eq!(
            answer["left"],
            json!({"too_recent": 1, "not_in_bronze": 1, "not_understood": 2})
        );
        assert_eq!((letters.bodies().len(), conformed(&executions).len()), (4, 0));

        letters.reappear();
        let answer = redrive.batches(&lake, at("10:07:10")).await.unwrap();
        assert_eq!(answer["batches"], 1);
        assert!(!letters.bodies().contains(&recent));
    }

    #[tokio::test]
    async fn given_an_execution_that_can_not_be_started_then_the_letter_stays_and_the_next_time_does_it_all()
     {
        let lake = lake(&[LATE, SAME_HOUR]).await;
        let (redrive, letters, executions) =
            redrive(vec![given_up("shoplake-local-web", "10:02:00", "10:05:00")]);
        executions.fail([None, Some(Fault::Refused)]);
        assert!(!redrive.batches(&lake, at("12:00:00")).await.unwrap_err().is_permanent());
        assert_eq!(letters.bodies().len(), 1);

        letters.reappear();
        redrive.batches(&lake, at("12:00:00")).await.unwrap();
        assert_eq!(conformed(&executions), [LATE.0, LATE.0, SAME_HOUR.0]);
        assert!(letters.bodies().is_empty());
    }

    #[tokio::test]
    async fn given_a_batch_around_midnight_then_the_folders_of_both_days_count() {
        let yesterday = ("bronze/web/dt=2026-11-20/hour=23/a.gz", "00:05:00");
        let today = ("bronze/web/dt=2026-11-21/hour=00/b.gz", "00:08:00");
        let (redrive, _, executions) =
            redrive(vec![given_up("shoplake-local-web", "00:01:00", "00:06:00")]);
        redrive.batches(&lake(&[yesterday, today]).await, at("12:00:00")).await.unwrap();
        assert_eq!(conformed(&executions), [yesterday.0, today.0]);
    }
}
