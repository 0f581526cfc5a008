//! Timeouts and retries of a source.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Timeouts and retries of one page, or of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// For a whole response.
    pub request_timeout: Duration,
    /// Wait before the second attempt; doubles with each further one, with jitter.
    pub min_delay: Duration,
    /// Longest wait between two attempts that the connector chooses itself.
    pub max_delay: Duration,
    /// Attempts after the first.
    pub retries: usize,
    /// All attempts at one page start within this time. A later run fetches the page if the source
    /// asks for a longer wait.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(60),
            min_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            retries: 8,
            deadline: Duration::from_secs(900),
        }
    }
}

impl RetryPolicy {
    /// Returns the waits between the attempts.
    pub fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::default()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(self.retries)
            .with_jitter()
            .build()
    }
}
