//! Puts records in requests that respect the service's limits and repeats only what failed.

use std::{iter, time::Duration};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use super::{MAX_RECORD_BYTES, PutError, PutFailure, Record};

/// Kinesis `PutRecords`: at most 500 records in one request.
pub(super) const MAX_REQUEST_RECORDS: usize = 500;

/// Kinesis `PutRecords`: at most 5 MiB in one request, partition keys included. (AWS has since
/// raised it to 10 MiB; a smaller request costs nothing more and fits every implementation.)
pub(super) const MAX_REQUEST_BYTES: usize = 5 * 1_024 * 1_024;

/// One request, without any retry.
#[async_trait]
pub(super) trait Attempt: Send + Sync {
    /// Puts `batch` and returns for each record, in order, whether it was accepted.
    async fn attempt(&self, stream: &str, batch: &[&Record]) -> Vec<Result<(), PutFailure>>;
}

/// When to retry, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy {
    /// All attempts together, the waits included.
    pub(super) deadline: Duration,
    /// Wait before the first retry; it doubles from there, with jitter.
    pub(super) min_delay: Duration,
    /// Longest wait.
    pub(super) max_delay: Duration,
    /// The most retries, if they are not bounded by the deadline alone.
    pub(super) max_retries: usize,
}

impl RetryPolicy {
    fn delays(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(self.max_retries)
            .with_jitter()
            .build()
    }
}

/// Puts all records. Each of them is accepted or named in the error.
pub(super) async fn put_all(
    service: &impl Attempt,
    policy: RetryPolicy,
    stream: &str,
    records: &[Record],
) -> Result<(), PutError> {
    let deadline = Instant::now() + policy.deadline;
    let mut delays = policy.delays();
    let mut permanent = Vec::new();
    let mut permanent_failure = None;
    let mut last_failure = None;

    let mut pending: Vec<usize> = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        // Kinesis refuses a whole request for one record that is too large.
        if record.data.len() > MAX_RECORD_BYTES {
            permanent.push(index);
            permanent_failure.get_or_insert(PutFailure::TooLarge { bytes: record.data.len() });
        } else {
            pending.push(index);
        }
    }

    while !pending.is_empty() {
        let mut failed = Vec::new();
        for request in requests(records, &pending) {
            let batch: Vec<&Record> = request.iter().map(|&index| &records[index]).collect();
            let outcomes =
                timeout_at(deadline, service.attempt(stream, &batch)).await.unwrap_or_default();
            let unanswered = iter::repeat_with(|| {
                Err(PutFailure::Unavailable("no answer before the deadline".to_owned()))
            });
            for (index, outcome) in request.into_iter().zip(outcomes.into_iter().chain(unanswered))
            {
                match outcome {
                    Ok(()) => {}
                    Err(failure) if failure.is_transient() => {
                        failed.push(index);
                        last_failure = Some(failure);
                    }
                    Err(failure) => {
                        permanent.push(index);
                        permanent_failure.get_or_insert(failure);
                    }
                }
            }
        }
        pending = failed;

        if pending.is_empty() {
            break;
        }
        let Some(delay) = delays.next().filter(|&delay| Instant::now() + delay < deadline) else {
            break;
        };
        tracing::warn!(
            stream,
            records = pending.len(),
            delay_milliseconds = delay.as_millis() as u64,
            reason = last_failure.as_ref().map(tracing::field::display),
            "records not accepted, trying again"
        );
        // Retries in memory do not wait, and need no timer.
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }

    permanent.extend(pending);
    permanent.sort_unstable();
    match permanent_failure.or(last_failure) {
        Some(reason) if !permanent.is_empty() => {
            Err(PutError { stream: stream.to_owned(), unaccepted: permanent, reason })
        }
        _ => Ok(()),
    }
}

/// Groups the pending records, in order, into requests within the limits.
fn requests(records: &[Record], pending: &[usize]) -> Vec<Vec<usize>> {
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for &index in pending {
        let size = records[index].data.len() + records[index].partition_key.len();
        match requests.last_mut() {
            Some(request)
                if request.len() < MAX_REQUEST_RECORDS && bytes + size <= MAX_REQUEST_BYTES =>
            {
                request.push(index);
                bytes += size;
            }
            _ => {
                requests.push(vec![index]);
                bytes = size;
            }
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn record(size: usize) -> Record {
        Record { partition_key: "k".to_owned(), data: vec![b'x'; size] }
    }

    #[test]
    fn a_request_has_at_most_500_records() {
        let records = vec![record(1); 1_201];
        let pending: Vec<usize> = (0..records.len()).collect();
        let sizes: Vec<usize> = requests(&records, &pending).iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 201]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn each_record_is_in_one_request_within_the_limits(
            sizes in vec(0..MAX_RECORD_BYTES, 0..20),
        ) {
            let records: Vec<Record> = sizes.into_iter().map(record).collect();
            let pending: Vec<usize> = (0..records.len()).collect();
            let requests = requests(&records, &pending);
            prop_assert_eq!(requests.concat(), pending);
            for request in requests {
                let bytes: usize = request.iter().map(|&index| records[index].data.len() + 1).sum();
                prop_assert!(bytes <= MAX_REQUEST_BYTES);
            }
        }
    }

    /// Never answers.
    struct Silent;

    #[async_trait]
    impl Attempt for Silent {
        async fn attempt(&self, _: &str, _: &[&Record]) -> Vec<Result<(), PutFailure>> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_put_without_an_answer_ends_at_the_deadline() {
        let policy = RetryPolicy {
            deadline: Duration::ZERO,
            min_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            max_retries: usize::MAX,
        };
        let error = put_all(&Silent, policy, "s", &[record(1), record(1)]).await.unwrap_err();
        assert_eq!(error.unaccepted, [0, 1]);
        assert!(matches!(error.reason, PutFailure::Unavailable(_)));
    }
}
