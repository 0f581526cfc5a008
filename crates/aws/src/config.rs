//! The SDK's configuration.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};

/// Attempts of one call, the first included. The SDK waits with exponential backoff and jitter
/// between them.
const MAX_ATTEMPTS: u32 = 4;

/// The longest wait between two attempts: a Lambda's caller is waiting.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A connection inside a region opens within milliseconds, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time from sending a request to the first byte of its response, an upload's body included.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the configuration of all clients of a process: credentials, region and endpoint from the
/// environment (`AWS_ENDPOINT_URL` included), and bounded retries.
///
/// `operation_timeout` bounds all attempts of one call together. Choose it shorter than the time
/// limit of the caller: the call then fails with its reason before the caller is ended, and the
/// caller's own retry (Lambda, Step Functions, SQS) takes over.
pub async fn sdk_config(operation_timeout: Duration) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(
            RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_max_backoff(MAX_BACKOFF),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT.min(operation_timeout / 2))
                .operation_timeout(operation_timeout)
                .build(),
        )
        .load()
        .await
}
