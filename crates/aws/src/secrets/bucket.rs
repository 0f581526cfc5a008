//! A rate limit.

use chrono::{DateTime, TimeDelta, Utc};

/// Holds up to `burst` tokens, and gains one in each interval.
#[derive(Debug)]
pub(super) struct TokenBucket {
    tokens: u32,
    burst: u32,
    interval: TimeDelta,
    /// When the last token was gained.
    filled_at: DateTime<Utc>,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(burst: u32, interval: TimeDelta, now: DateTime<Utc>) -> Self {
        Self { tokens: burst, burst, interval, filled_at: now }
    }

    /// Takes a token if there is one; returns whether it did.
    pub(super) fn take(&mut self, now: DateTime<Utc>) -> bool {
        while self.tokens < self.burst && now - self.filled_at >= self.interval {
            self.tokens += 1;
            self.filled_at += self.interval;
        }
        if self.tokens == self.burst {
            // A full bucket gains no tokens.
            self.filled_at = now;
        }
        let taken = self.tokens > 0;
        self.tokens -= u32::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_token_an_interval() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let mut bucket = TokenBucket::new(2, TimeDelta::seconds(10), at(0));
        let mut taken = |seconds, times| (0..times).filter(|_| bucket.take(at(seconds))).count();
        assert_eq!(taken(1_000, 5), 2);
        assert_eq!(taken(1_009, 5), 0);
        assert_eq!(taken(1_010, 5), 1);
        assert_eq!(taken(1_025, 5), 1);
        assert_eq!(taken(1_030, 5), 1);
        assert_eq!(taken(9_000, 5), 2);
    }
}
