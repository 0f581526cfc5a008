//! How this system talks to AWS.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};

/// Attempts of one call, the first included. The SDK waits with exponential backoff and jitter between them.
const MAX_ATTEMPTS: u32 = 4;

/// Longest wait between two attempts: a Lambda's caller is waiting.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A connection inside a region opens in milliseconds; one that takes this long will not open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time from sending a request to the first byte of its response, an upload's body included.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// All attempts of one call together. Above it the caller's own retry (Lambda, Step Functions, SQS) takes over.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials, region and endpoint from the environment (`AWS_ENDPOINT_URL` is honoured), with bounded retries.
pub async fn config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_max_backoff(MAX_BACKOFF))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        .load()
        .await
}
