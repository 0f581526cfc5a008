//! Runs transactions with the operations of the Data API. It does not use the SDK, so that tests
//! need no network.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use super::{RetryPolicy, deadline};
use crate::{Rows, WarehouseError, statement::Batch};

/// The operations of the Data API that a transaction needs.
#[async_trait]
pub(super) trait Operations: Send + Sync {
    /// Submits a batch and returns the id of its execution.
    async fn submit(&self, batch: &Batch) -> Result<String, WarehouseError>;
    /// Returns the progress of an execution.
    async fn describe(&self, id: &str) -> Result<Progress, WarehouseError>;
    /// Returns all rows of a finished statement.
    async fn rows(&self, statement_id: &str) -> Result<Rows, WarehouseError>;
    /// Stops an execution.
    async fn cancel(&self, id: &str) -> Result<(), WarehouseError>;
}

/// The progress of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is queued or runs.
    Running,
    /// It was committed.
    Finished {
        /// The id of each statement's rows, if it returned any.
        results: Vec<Option<String>>,
    },
    /// It was rolled back.
    Failed {
        /// The failed statement, from 0, if the service names it.
        statement: Option<usize>,
        /// The database's message.
        message: String,
    },
}

/// Runs a batch, again after it lost against a concurrent transaction.
///
/// It returns before the time of the caller is up, and cancels a transaction that still runs then.
pub(super) async fn run(
    api: &dyn Operations,
    policy: &RetryPolicy,
    batch: &Batch,
) -> Result<Vec<Option<Rows>>, WarehouseError> {
    let limit = Limit::new(policy);
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(policy.first_retry)
        .with_max_delay(policy.longest_retry)
        .with_jitter()
        .with_max_times(policy.conflict_retries)
        .build();
    loop {
        match attempt(api, policy, batch, limit).await {
            Err(error) if error.is_conflict() => {
                // A retry by the caller has a new deadline. An attempt without enough time would
                // only hold locks.
                let Some(delay) =
                    delays.next().filter(|delay| Instant::now() + *delay < limit.until)
                else {
                    return Err(error);
                };
                let retry_in_ms = delay.as_millis();
                tracing::info!(%error, retry_in_ms, "lost against a concurrent transaction");
                sleep(delay).await;
            }
            result => return result,
        }
    }
}

/// The time limit of a batch.
#[derive(Debug, Clone, Copy)]
struct Limit {
    until: Instant,
    /// The time from the start to `until`.
    time: Duration,
}

impl Limit {
    fn new(policy: &RetryPolicy) -> Self {
        let now = Instant::now();
        let own = now + policy.deadline;
        let until = deadline()
            .map_or(own, |end| end.checked_sub(2 * policy.cancel_time).unwrap_or(now).min(own));
        Self { until, time: until.saturating_duration_since(now) }
    }

    /// Waits for the answer to a request until the limit, then returns `None`. The timeouts of the
    /// SDK do not know that limit.
    async fn on<T>(self, request: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.until, request).await.ok()
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.until
    }
}

async fn attempt(
    api: &dyn Operations,
    policy: &RetryPolicy,
    batch: &Batch,
    limit: Limit,
) -> Result<Vec<Option<Rows>>, WarehouseError> {
    let unanswered = |operation| WarehouseError::Unanswered { operation, deadline: limit.time };
    if limit.is_over() {
        return Err(unanswered("BatchExecuteStatement"));
    }
    let id = limit
        .on(api.submit(batch))
        .await
        .unwrap_or_else(|| Err(unanswered("BatchExecuteStatement")))?;
    let results = wait(api, policy, batch, &id, limit).await?;
    let mut rows = Vec::with_capacity(results.len());
    for statement_id in results {
        rows.push(match statement_id {
            Some(statement_id) => {
                let found = limit.on(api.rows(&statement_id)).await;
                Some(found.unwrap_or_else(|| Err(unanswered("GetStatementResult")))?)
            }
            None => None,
        });
    }
    Ok(rows)
}

async fn wait(
    api: &dyn Operations,
    policy: &RetryPolicy,
    batch: &Batch,
    id: &str,
    limit: Limit,
) -> Result<Vec<Option<String>>, WarehouseError> {
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(policy.first_poll)
        .with_max_delay(policy.longest_poll)
        .with_factor(1.5)
        .without_max_times()
        .build();
    loop {
        match limit.on(api.describe(id)).await.transpose()? {
            Some(Progress::Finished { results }) => return Ok(results),
            Some(Progress::Failed { statement, message }) => {
                return Err(failure(id, batch, statement, message));
            }
            Some(Progress::Running) if !limit.is_over() => {
                let delay = delays.next().unwrap_or(policy.longest_poll);
                sleep(delay.min(limit.until.saturating_duration_since(Instant::now()))).await;
            }
            Some(Progress::Running) | None => {
                cancel(api, policy, id).await;
                return Err(WarehouseError::Deadline { id: id.to_owned(), deadline: limit.time });
            }
        }
    }
}

/// Cancels a transaction that takes too long. A late commit would be harmless, as transactions are
/// guarded, but the transaction would hold its locks.
async fn cancel(api: &dyn Operations, policy: &RetryPolicy, id: &str) {
    match tokio::time::timeout(policy.cancel_time, api.cancel(id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, execution = id, "cannot cancel a slow transaction");
        }
        Err(_) => tracing::warn!(execution = id, "no answer to the cancellation of a transaction"),
    }
}

fn failure(id: &str, batch: &Batch, statement: Option<usize>, message: String) -> WarehouseError {
    let (id, total) = (id.to_owned(), batch.sqls.len());
    match statement.and_then(|index| Some((index, batch.sqls.get(index)?))) {
        Some((index, sql)) => {
            WarehouseError::Statement { id, number: index + 1, total, sql: sql.clone(), message }
        }
        None => WarehouseError::RolledBack { id, total, message },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
    };

    use serde_json::json;

    use super::*;
    use crate::{Statement, data_api::within};

    /// A Data API that lets executions progress as scripted.
    #[derive(Default)]
    struct Scripted {
        progress: Mutex<VecDeque<Progress>>,
        submitted: AtomicUsize,
        cancelled: AtomicUsize,
        /// Whether a request is never answered, except a cancellation.
        hangs_on_submit: AtomicBool,
        hangs_on_describe: AtomicBool,
        hangs_on_cancel: AtomicBool,
    }

    impl Scripted {
        fn new(progress: impl IntoIterator<Item = Progress>) -> Self {
            Self { progress: Mutex::new(progress.into_iter().collect()), ..Self::default() }
        }
    }

    #[async_trait]
    impl Operations for Scripted {
        async fn submit(&self, _: &Batch) -> Result<String, WarehouseError> {
            hang(&self.hangs_on_submit).await;
            Ok(format!("e-{}", self.submitted.fetch_add(1, Ordering::Relaxed) + 1))
        }

        async fn describe(&self, _: &str) -> Result<Progress, WarehouseError> {
            hang(&self.hangs_on_describe).await;
            Ok(self.progress.lock().unwrap().pop_front().unwrap_or(Progress::Running))
        }

        async fn rows(&self, statement_id: &str) -> Result<Rows, WarehouseError> {
            Ok(Rows::new(vec![json!({"id": statement_id}).as_object().cloned().unwrap()]))
        }

        async fn cancel(&self, _: &str) -> Result<(), WarehouseError> {
            self.cancelled.fetch_add(1, Ordering::Relaxed);
            hang(&self.hangs_on_cancel).await;
            Ok(())
        }
    }

    /// Answers nothing for as long as the SDK waits for an answer.
    async fn hang(hangs: &AtomicBool) {
        if hangs.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(60)).await;
        }
    }

    fn policy_of(deadline: Duration) -> RetryPolicy {
        let zero = Duration::ZERO;
        RetryPolicy {
            first_poll: zero,
            longest_poll: zero,
            deadline,
            cancel_time: Duration::from_millis(100),
            conflict_retries: 2,
            first_retry: zero,
            longest_retry: zero,
        }
    }

    fn batch() -> Batch {
        Batch::new(vec![Statement::new("delete from t"), Statement::new("select 1 as id")]).unwrap()
    }

    fn conflict() -> Progress {
        Progress::Failed {
            statement: Some(0),
            message: "ERROR: 1023 DETAIL: Serializable isolation violation on table".into(),
        }
    }

    fn finished() -> Progress {
        Progress::Finished { results: vec![None, Some("e-1:2".into())] }
    }

    #[tokio::test]
    async fn a_slow_transaction_returns_its_rows() {
        let api = Scripted::new([Progress::Running, Progress::Running, finished()]);

        let results = run(&api, &policy_of(Duration::from_secs(60)), &batch()).await.unwrap();

        assert_eq!(results[0], None);
        assert_eq!(results[1].as_ref().map(Rows::len), Some(1));
        assert_eq!(api.submitted.into_inner(), 1);
    }

    #[tokio::test]
    async fn a_conflict_is_retried() {
        let api = Scripted::new([conflict(), conflict(), finished()]);
        assert!(run(&api, &policy_of(Duration::from_secs(60)), &batch()).await.is_ok());
        assert_eq!(api.submitted.into_inner(), 3);
    }

    #[tokio::test]
    async fn a_conflict_after_the_last_attempt_is_reported() {
        let api = Scripted::new([conflict(), conflict(), conflict(), finished()]);
        assert!(
            run(&api, &policy_of(Duration::from_secs(60)), &batch())
                .await
                .unwrap_err()
                .is_conflict()
        );
    }

    #[tokio::test]
    async fn a_wrong_statement_is_named_and_not_retried() {
        let api = Scripted::new([Progress::Failed {
            statement: Some(1),
            message: "column \"x\" does not exist".into(),
        }]);
        let error = run(&api, &policy_of(Duration::from_secs(60)), &batch()).await.unwrap_err();
        assert!(matches!(
            error,
            WarehouseError::Statement { number: 2, total: 2, ref sql, .. }
                if sql == "select 1 as id"
        ));
        assert_eq!(api.submitted.into_inner(), 1);
    }

    #[tokio::test]
    async fn a_transaction_past_its_deadline_is_cancelled() {
        let api = Scripted::new([]);
        let error = run(&api, &policy_of(Duration::from_millis(5)), &batch()).await.unwrap_err();
        assert!(matches!(error, WarehouseError::Deadline { .. }));
        assert_eq!(api.cancelled.into_inner(), 1);
    }

    /// What a caller has left: less than the policy's own deadline.
    const INVOCATION: Duration = Duration::from_millis(600);

    fn slow_policy() -> RetryPolicy {
        let millis = Duration::from_millis;
        RetryPolicy {
            first_poll: millis(1),
            longest_poll: millis(20),
            ..policy_of(Duration::from_secs(600))
        }
    }

    /// Runs a batch in an invocation; answers with the error, and whether it came before the
    /// invocation's end.
    async fn invoke(api: &Scripted, policy: &RetryPolicy) -> (WarehouseError, bool) {
        let began = Instant::now();
        let error = within(INVOCATION, run(api, policy, &batch())).await.unwrap_err();
        (error, began.elapsed() < INVOCATION)
    }

    #[tokio::test]
    async fn a_statement_without_end_is_cancelled_before_its_caller_ends() {
        let api = Scripted::new([]);
        let (error, is_in_time) = invoke(&api, &slow_policy()).await;
        assert!(is_in_time && matches!(error, WarehouseError::Deadline { .. }), "{error}");
        assert_eq!(api.cancelled.into_inner(), 1);
    }

    #[tokio::test]
    async fn requests_without_answer_end_before_the_caller_does() {
        for hangs in ["submit", "describe", "cancel"] {
            let api = Scripted::new([]);
            match hangs {
                "submit" => api.hangs_on_submit.store(true, Ordering::Relaxed),
                "describe" => api.hangs_on_describe.store(true, Ordering::Relaxed),
                _ => api.hangs_on_cancel.store(true, Ordering::Relaxed),
            }
            let (error, is_in_time) = invoke(&api, &slow_policy()).await;
            assert!(is_in_time, "{hangs}: {error}");
            assert_eq!(
                api.cancelled.into_inner(),
                usize::from(hangs != "submit"),
                "{hangs}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn conflicts_are_not_retried_beyond_the_caller_s_time() {
        let api = Scripted::new((0..1000).map(|_| conflict()));
        let retry = Duration::from_millis(100);
        let policy = RetryPolicy {
            first_retry: retry,
            longest_retry: retry,
            conflict_retries: 1000,
            ..slow_policy()
        };
        let (error, is_in_time) = invoke(&api, &policy).await;
        assert!(is_in_time && error.is_conflict(), "{error}");
        assert!(api.submitted.into_inner() > 1);
    }

    #[tokio::test]
    async fn without_time_to_cancel_nothing_is_submitted() {
        let api = Scripted::new([finished()]);
        let policy = RetryPolicy { cancel_time: INVOCATION, ..slow_policy() };
        let (error, _) = invoke(&api, &policy).await;
        assert!(matches!(error, WarehouseError::Unanswered { .. }), "{error}");
        assert_eq!(api.submitted.into_inner(), 0);
    }
}
