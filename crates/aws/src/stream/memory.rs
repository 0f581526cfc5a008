//! Streams in memory, with faults on request.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    PutError, PutFailure, Record, Stream,
    retry::{Attempt, RetryPolicy, put_all},
};

/// Retries are immediate and few, so that a permanent rejection is reported soon.
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    deadline: Duration::from_secs(60),
    min_delay: Duration::ZERO,
    max_delay: Duration::ZERO,
    max_retries: 4,
};

/// How often something is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The first so many times.
    First(usize),
    /// Each time.
    Always,
}

/// Streams in memory that behave like Kinesis: the same limits, the same retry of what failed.
#[derive(Default)]
pub struct MemoryStream {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Vec<Record>>,
    rejections: Vec<Rejection>,
    requests: usize,
}

struct Rejection {
    matches: Box<dyn Fn(&Record) -> bool + Send>,
    failure: PutFailure,
    times: Times,
}

impl MemoryStream {
    /// The records accepted by `stream`, in order.
    pub fn records(&self, stream: &str) -> Vec<Record> {
        self.with(|state| state.streams.get(stream).cloned().unwrap_or_default())
    }

    /// The lines of all records accepted by `stream`, in order.
    pub fn lines(&self, stream: &str) -> Vec<String> {
        self.records(stream)
            .iter()
            .flat_map(|record| record.data.split_inclusive(|&byte| byte == b'\n'))
            .map(|line| String::from_utf8_lossy(line).trim_end().to_owned())
            .collect()
    }

    /// The requests made so far, retries included.
    pub fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    /// From now on, rejects the records that match, so often, with this failure.
    pub fn reject(
        &self,
        times: Times,
        failure: PutFailure,
        matches: impl Fn(&Record) -> bool + Send + 'static,
    ) {
        let rejection = Rejection { matches: Box::new(matches), failure, times };
        self.with(|state| state.rejections.push(rejection));
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|state| {
            f.debug_struct("MemoryStream")
                .field("streams", &state.streams)
                .field("requests", &state.requests)
                .finish_non_exhaustive()
        })
    }
}

impl State {
    fn take(&mut self, stream: &str, record: &Record) -> Result<(), PutFailure> {
        for rejection in &mut self.rejections {
            if rejection.times == Times::First(0) || !(rejection.matches)(record) {
                continue;
            }
            if let Times::First(times) = &mut rejection.times {
                *times -= 1;
            }
            return Err(rejection.failure.clone());
        }
        self.streams.entry(stream.to_owned()).or_default().push(record.clone());
        Ok(())
    }
}

#[async_trait]
impl Stream for MemoryStream {
    async fn put(&self, stream: &str, records: Vec<Record>) -> Result<(), PutError> {
        put_all(self, RETRY_POLICY, stream, &records).await
    }
}

#[async_trait]
impl Attempt for MemoryStream {
    async fn attempt(&self, stream: &str, batch: &[&Record]) -> Vec<Result<(), PutFailure>> {
        self.with(|state| {
            state.requests += 1;
            batch.iter().map(|record| state.take(stream, record)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::stream::MAX_RECORD_BYTES;

    fn record(key: usize) -> Record {
        Record { partition_key: key.to_string(), data: format!("{key}\n").into_bytes() }
    }

    fn throttled() -> PutFailure {
        PutFailure::Throttled("ProvisionedThroughputExceededException".to_owned())
    }

    #[tokio::test]
    async fn only_a_rejected_record_is_put_again() {
        let stream = MemoryStream::default();
        stream.reject(Times::First(1), throttled(), |record| record.partition_key == "1");
        stream.put("s", (0..3).map(record).collect()).await.unwrap();
        assert_eq!(stream.lines("s"), ["0", "2", "1"]);
        assert_eq!(stream.requests(), 2);
    }

    #[tokio::test]
    async fn a_refused_record_is_not_retried() {
        let stream = MemoryStream::default();
        let refused = PutFailure::Refused("AccessDeniedException".to_owned());
        stream.reject(Times::Always, refused.clone(), |record| record.partition_key == "0");
        let error = stream.put("s", (0..3).map(record).collect()).await.unwrap_err();
        assert_eq!((error.unaccepted, error.reason), (vec![0], refused));
        assert_eq!(stream.lines("s"), ["1", "2"]);
        assert_eq!(stream.requests(), 1);
    }

    #[tokio::test]
    async fn a_record_that_is_too_large_fails_alone() {
        let stream = MemoryStream::default();
        let large =
            Record { partition_key: "large".to_owned(), data: vec![b'x'; MAX_RECORD_BYTES + 1] };
        let error = stream.put("s", vec![record(0), large]).await.unwrap_err();
        assert_eq!(error.unaccepted, [1]);
        assert_eq!(error.reason, PutFailure::TooLarge { bytes: MAX_RECORD_BYTES + 1 });
        assert_eq!(stream.lines("s"), ["0"]);
    }

    fn times() -> impl Strategy<Value = Times> {
        prop_oneof![
            4 => Just(Times::First(0)),
            3 => (1..8_usize).prop_map(Times::First),
            1 => Just(Times::Always),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_record_is_accepted_once_or_named_as_unaccepted(
            rejections in vec(times(), 0..1_200),
        ) {
            let stream = MemoryStream::default();
            let total = rejections.len();
            let rejected = |(_, times): &(usize, &Times)| **times != Times::First(0);
            for (key, &times) in rejections.iter().enumerate().filter(rejected) {
                let key = key.to_string();
                stream.reject(times, throttled(), move |record| record.partition_key == key);
            }
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let outcome = runtime.block_on(stream.put("s", (0..total).map(record).collect()));

            let mut unaccepted = outcome.err().map(|error| error.unaccepted).unwrap_or_default();
            for &index in &unaccepted {
                prop_assert!(matches!(rejections[index], Times::Always | Times::First(5..)));
            }
            let mut seen: Vec<usize> =
                stream.lines("s").iter().map(|line| line.parse().unwrap()).collect();
            seen.append(&mut unaccepted);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..total).collect::<Vec<_>>());
        }
    }
}
