//! How long a source is waited for.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Timeouts and retries of one page, or of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a whole response.
    pub request_timeout: Duration,
    /// Wait before the second attempt; doubles with each further one, with jitter.
    pub min_delay: Duration,
    /// Longest wait between two attempts that the connector chooses itself.
    pub max_delay: Duration,
    /// Longest wait that an API may ask for. One that asks for more is left to a later run.
    pub longest_retry_after: Duration,
    /// Attempts after the first.
    pub retries: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(60),
            min_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(600),
            retries: 8,
        }
    }
}

impl Patience {
    /// The waits between the attempts at something that is tried again as a whole.
    pub fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        self.backoff().build()
    }

    pub(crate) fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(self.retries)
            .with_jitter()
    }
}
