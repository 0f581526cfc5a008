//! What is done with the Data API's operations; knows nothing of the SDK, so that it is tested
//! without a network.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Policy, deadline};
use crate::{Rows, WarehouseError, statement::Batch};

/// The operations of the Data API that a transaction needs.
#[async_trait]
pub(super) trait Operations: Send + Sync {
    /// Submits a batch and answers with its execution's id.
    async fn submit(&self, batch: &Batch) -> Result<String, WarehouseError>;
    /// How far an execution is.
    async fn describe(&self, id: &str) -> Result<Progress, WarehouseError>;
    /// All rows of a finished statement.
    async fn rows(&self, statement_id: &str) -> Result<Rows, WarehouseError>;
    /// Stops an execution.
    async fn cancel(&self, id: &str) -> Result<(), WarehouseError>;
}

/// How far an execution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is queued or runs.
    Running,
    /// It was committed.
    Finished {
        /// Per statement, the id under which its rows are, if it returned any.
        results: Vec<Option<String>>,
    },
    /// It was rolled back.
    Failed {
        /// The statement at fault, counted from 0, where the service says which.
        statement: Option<usize>,
        /// The database's message.
        message: String,
    },
}

/// Runs a batch to its end; one that loses against a concurrent transaction is run again.
///
/// It returns before the caller's own time is up, and leaves no transaction running that it knows
/// of.
pub(super) async fn run(
    api: &dyn Operations,
    policy: &Policy,
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
                // The caller's own retry has a whole new deadline, an attempt without enough time
                // only holds locks.
                let Some(delay) =
                    delays.next().filter(|delay| Instant::now() + *delay < limit.until)
                else {
                    return Err(error);
                };
                tracing::info!(%error, retry_in_ms = delay.as_millis(), "lost against a concurrent transaction");
                sleep(delay).await;
            }
            result => return result,
        }
    }
}

/// Until when a batch may run.
#[derive(Debug, Clone, Copy)]
struct Limit {
    until: Instant,
    /// How long that was in the beginning.
    time: Duration,
}

impl Limit {
    fn new(policy: &Policy) -> Self {
        let now = Instant::now();
        let own = now + policy.deadline;
        let until = deadline()
            .map_or(own, |end| end.checked_sub(2 * policy.cancel_time).unwrap_or(now).min(own));
        Self { until, time: until.saturating_duration_since(now) }
    }

    /// Waits for the answer to a request as long as there is time. None if there is not: one
    /// request may take as long as the SDK's own timeouts, which know nothing of the caller's.
    async fn on<T>(self, request: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.until, request).await.ok()
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.until
    }
}

async fn attempt(
    api: &dyn Operations,
    policy: &Policy,
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
    policy: &Policy,
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

/// Cancels a transaction whose caller gives up. It might still commit otherwise, which does no harm
/// where transactions are guarded, but it would also go on holding its locks.
async fn cancel(api: &dyn Operations, policy: &Policy, id: &str) {
    match tokio::time::timeout(policy.cancel_time, api.cancel(id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, execution = id, "could not cancel a transaction that took too long");
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

    fn impatient(deadline: Duration) -> Policy {
        let zero = Duration::ZERO;
        Policy {
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
    async fn given_a_transaction_that_takes_a_while_when_run_then_its_rows_come_in_the_end() {
        let api = Scripted::new([Progress::Running, Progress::Running, finished()]);

        let results = run(&api, &impatient(Duration::from_secs(60)), &batch()).await.unwrap();

        assert_eq!(results[0], None);
        assert_eq!(results[1].as_ref().map(Rows::len), Some(1));
        assert_eq!(api.submitted.into_inner(), 1);
    }

    #[tokio::test]
    async fn given_a_lost_race_when_run_then_it_is_run_again() {
        let api = Scripted::new([conflict(), conflict(), finished()]);
        assert!(run(&api, &impatient(Duration::from_secs(60)), &batch()).await.is_ok());
        assert_eq!(api.submitted.into_inner(), 3);
    }

    #[tokio::test]
    async fn given_a_race_lost_too_often_when_run_then_the_conflict_is_reported() {
        let api = Scripted::new([conflict(), conflict(), conflict(), finished()]);
        assert!(
            run(&api, &impatient(Duration::from_secs(60)), &batch())
                .await
                .unwrap_err()
                .is_conflict()
        );
    }

    #[tokio::test]
    async fn given_a_wrong_statement_when_run_then_the_error_names_it_and_nothing_is_retried() {
        let api = Scripted::new([Progress::Failed {
            statement: Some(1),
            message: "column \"x\" does not exist".into(),
        }]);
        let error = run(&api, &impatient(Duration::from_secs(60)), &batch()).await.unwrap_err();
        assert!(
            matches!(error, WarehouseError::Statement { number: 2, total: 2, ref sql, .. } if sql == "select 1 as id")
        );
        assert_eq!(api.submitted.into_inner(), 1);
    }

    #[tokio::test]
    async fn given_a_transaction_that_does_not_end_when_the_deadline_passes_then_it_is_cancelled() {
        let api = Scripted::new([]);
        let error = run(&api, &impatient(Duration::from_millis(5)), &batch()).await.unwrap_err();
        assert!(matches!(error, WarehouseError::Deadline { .. }));
        assert_eq!(api.cancelled.into_inner(), 1);
    }

    /// What a caller has left: less than the policy's own deadline.
    const INVOCATION: Duration = Duration::from_millis(600);

    fn patient() -> Policy {
        let millis = Duration::from_millis;
        Policy {
            first_poll: millis(1),
            longest_poll: millis(20),
            ..impatient(Duration::from_secs(600))
        }
    }

    /// Runs a batch in an invocation; answers with the error, and whether it came before the
    /// invocation's end.
    async fn invoke(api: &Scripted, policy: &Policy) -> (WarehouseError, bool) {
        let began = Instant::now();
        let error = within(INVOCATION, run(api, policy, &batch())).await.unwrap_err();
        (error, began.elapsed() < INVOCATION)
    }

    #[tokio::test]
    async fn a_statement_without_end_is_cancelled_before_its_caller_ends() {
        let api = Scripted::new([]);
        let (error, is_in_time) = invoke(&api, &patient()).await;
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
            let (error, is_in_time) = invoke(&api, &patient()).await;
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
        let policy = Policy {
            first_retry: retry,
            longest_retry: retry,
            conflict_retries: 1000,
            ..patient()
        };
        let (error, is_in_time) = invoke(&api, &policy).await;
        assert!(is_in_time && error.is_conflict(), "{error}");
        assert!(api.submitted.into_inner() > 1);
    }

    #[tokio::test]
    async fn without_time_to_cancel_nothing_is_submitted() {
        let api = Scripted::new([finished()]);
        let policy = Policy { cancel_time: INVOCATION, ..patient() };
        let (error, _) = invoke(&api, &policy).await;
        assert!(matches!(error, WarehouseError::Unanswered { .. }), "{error}");
        assert_eq!(api.submitted.into_inner(), 0);
    }
}
