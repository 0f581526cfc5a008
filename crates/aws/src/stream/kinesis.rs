//! Kinesis Data Streams.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_kinesis::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::put_records::PutRecordsError,
    primitives::Blob,
    types::{PutRecordsRequestEntry, PutRecordsResultEntry},
};

use super::{
    PutError, PutFailure, Record, Stream,
    retry::{Attempt, RetryPolicy, put_all},
};

/// The default time limit of a put with all its retries. It is well below the 29 seconds after
/// which API Gateway gives up, so that the caller still gets an answer that names the accepted
/// events.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// A shard's throughput is counted per second, so the waits rise quickly to about a second.
const MIN_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Puts records to Kinesis and repeats only those that failed.
#[derive(Debug, Clone)]
pub struct KinesisStream {
    client: Client,
    deadline: Duration,
}

impl KinesisStream {
    /// Streams of the account and region of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        // A retry of the SDK would repeat whole requests inside the retry of single records:
        // attempts would multiply, and records that were accepted would be put again.
        let config = aws_sdk_kinesis::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), deadline: DEFAULT_DEADLINE }
    }

    /// Sets the time limit of a put.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

#[async_trait]
impl Stream for KinesisStream {
    async fn put(&self, stream: &str, records: Vec<Record>) -> Result<(), PutError> {
        let policy = RetryPolicy {
            deadline: self.deadline,
            min_delay: MIN_DELAY,
            max_delay: MAX_DELAY,
            max_retries: usize::MAX,
        };
        put_all(self, policy, stream, &records).await
    }
}

#[async_trait]
impl Attempt for KinesisStream {
    async fn attempt(&self, stream: &str, batch: &[&Record]) -> Vec<Result<(), PutFailure>> {
        let mut entries = Vec::with_capacity(batch.len());
        for record in batch {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(&record.partition_key)
                .data(Blob::new(record.data.as_slice()))
                .build();
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    return vec![Err(PutFailure::Refused(error.to_string())); batch.len()];
                }
            }
        }
        let response =
            self.client.put_records().stream_name(stream).set_records(Some(entries)).send().await;
        match response {
            Ok(response) => response.records().iter().map(outcome).collect(),
            Err(error) => vec![Err(request_failure(&error)); batch.len()],
        }
    }
}

/// Returns the result of one record. AWS documents two error codes for a record: the throughput of
/// its shard was exceeded, or an internal failure.
fn outcome(result: &PutRecordsResultEntry) -> Result<(), PutFailure> {
    let Some(code) = result.error_code() else {
        return Ok(());
    };
    let detail = format!("{code}: {}", result.error_message().unwrap_or_default());
    Err(match code {
        "ProvisionedThroughputExceededException" => PutFailure::Throttled(detail),
        _ => PutFailure::Unavailable(detail),
    })
}

/// Returns what the failure of a whole request means for its records.
fn request_failure(error: &SdkError<PutRecordsError>) -> PutFailure {
    let detail = error.code().map_or_else(
        || DisplayErrorContext(error).to_string(),
        |code| format!("{code}: {}", error.message().unwrap_or_default()),
    );
    match error {
        SdkError::ServiceError(service) => answered(
            error.code().unwrap_or_default(),
            service.raw().status().is_server_error(),
            detail,
        ),
        SdkError::ConstructionFailure(_) => PutFailure::Refused(detail),
        _ => PutFailure::Unavailable(detail),
    }
}

/// Returns what an error code of the service means.
fn answered(code: &str, is_server_error: bool, detail: String) -> PutFailure {
    match code {
        "ProvisionedThroughputExceededException"
        | "KMSThrottlingException"
        | "LimitExceededException"
        | "ThrottlingException" => PutFailure::Throttled(detail),
        _ if is_server_error => PutFailure::Unavailable(detail),
        _ => PutFailure::Refused(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: &str) -> PutRecordsResultEntry {
        PutRecordsResultEntry::builder().error_code(code).build()
    }

    #[test]
    fn an_error_of_a_record_is_retried() {
        let accepted = PutRecordsResultEntry::builder().sequence_number("1").build();
        assert_eq!(outcome(&accepted), Ok(()));
        assert!(matches!(
            outcome(&failed("ProvisionedThroughputExceededException")),
            Err(PutFailure::Throttled(_))
        ));
        assert!(matches!(outcome(&failed("InternalFailure")), Err(PutFailure::Unavailable(_))));
    }

    #[test]
    fn a_request_without_an_answer_is_retried() {
        let error = SdkError::timeout_error("no answer");
        assert!(request_failure(&error).is_transient());
        let error = SdkError::construction_failure("no stream name");
        assert!(!request_failure(&error).is_transient());
    }

    #[test]
    fn only_a_refusal_is_permanent() {
        for code in ["ProvisionedThroughputExceededException", "KMSThrottlingException"] {
            assert!(
                matches!(answered(code, false, String::new()), PutFailure::Throttled(_)),
                "{code}"
            );
        }
        assert!(matches!(
            answered("InternalFailure", true, String::new()),
            PutFailure::Unavailable(_)
        ));
        for code in
            ["ResourceNotFoundException", "AccessDeniedException", "KMSDisabledException", ""]
        {
            assert!(
                matches!(answered(code, false, String::new()), PutFailure::Refused(_)),
                "{code}"
            );
        }
    }
}
