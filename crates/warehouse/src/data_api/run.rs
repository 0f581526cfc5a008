//! What is done with the Data API's operations; knows nothing of the SDK, so that it is tested without a network.

use std::time::Instant;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder, Retryable};

use super::Policy;
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
pub(super) async fn run(
    api: &dyn Operations,
    policy: &Policy,
    batch: &Batch,
) -> Result<Vec<Option<Rows>>, WarehouseError> {
    let retries = ExponentialBuilder::new()
        .with_min_delay(policy.first_retry)
        .with_max_delay(policy.longest_retry)
        .with_jitter()
        .with_max_times(policy.conflict_retries);
    (|| attempt(api, policy, batch))
        .retry(retries)
        .when(WarehouseError::is_conflict)
        .notify(|error, delay| tracing::info!(%error, retry_in_ms = delay.as_millis(), "lost against a concurrent transaction"))
        .await
}

async fn attempt(
    api: &dyn Operations,
    policy: &Policy,
    batch: &Batch,
) -> Result<Vec<Option<Rows>>, WarehouseError> {
    let id = api.submit(batch).await?;
    let results = wait(api, policy, batch, &id).await?;
    let mut rows = Vec::with_capacity(results.len());
    for statement_id in results {
        rows.push(match statement_id {
            Some(statement_id) => Some(api.rows(&statement_id).await?),
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
) -> Result<Vec<Option<String>>, WarehouseError> {
    let submitted = Instant::now();
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(policy.first_poll)
        .with_max_delay(policy.longest_poll)
        .with_factor(1.5)
        .without_max_times()
        .build();
    loop {
        match api.describe(id).await? {
            Progress::Finished { results } => return Ok(results),
            Progress::Failed { statement, message } => return Err(failure(id, batch, statement, message)),
            Progress::Running if submitted.elapsed() >= policy.deadline => {
                // Otherwise it might still commit after its caller has given up. That would be harmless for whoever guards its
                // transactions, but it would also go on holding locks.
                if let Err(error) = api.cancel(id).await {
                    tracing::warn!(%error, execution = id, "could not cancel a transaction that took too long");
                }
                return Err(WarehouseError::Deadline { id: id.to_owned(), deadline: policy.deadline });
            }
            Progress::Running => tokio::time::sleep(delays.next().unwrap_or(policy.longest_poll)).await,
        }
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
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use serde_json::json;

    use super::*;
    use crate::Statement;

    /// A Data API that lets executions progress as scripted.
    #[derive(Default)]
    struct Scripted {
        progress: Mutex<VecDeque<Progress>>,
        submitted: AtomicUsize,
        cancelled: AtomicUsize,
    }

    impl Scripted {
        fn new(progress: impl IntoIterator<Item = Progress>) -> Self {
            Self { progress: Mutex::new(progress.into_iter().collect()), ..Self::default() }
        }
    }

    #[async_trait]
    impl Operations for Scripted {
        async fn submit(&self, _: &Batch) -> Result<String, WarehouseError> {
            Ok(format!("e-{}", self.submitted.fetch_add(1, Ordering::Relaxed) + 1))
        }

        async fn describe(&self, _: &str) -> Result<Progress, WarehouseError> {
            Ok(self.progress.lock().unwrap().pop_front().unwrap_or(Progress::Running))
        }

        async fn rows(&self, statement_id: &str) -> Result<Rows, WarehouseError> {
            Ok(Rows::new(vec![json!({"id": statement_id}).as_object().cloned().unwrap()]))
        }

        async fn cancel(&self, _: &str) -> Result<(), WarehouseError> {
            self.cancelled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    fn impatient(deadline: Duration) -> Policy {
        let zero = Duration::ZERO;
        Policy {
            first_poll: zero,
            longest_poll: zero,
            deadline,
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

        let results = run(&api, &impatient(Duration::MAX), &batch()).await.unwrap();

        assert_eq!(results[0], None);
        assert_eq!(results[1].as_ref().map(Rows::len), Some(1));
        assert_eq!(api.submitted.into_inner(), 1);
    }

    #[tokio::test]
    async fn given_a_lost_race_when_run_then_it_is_run_again() {
        let api = Scripted::new([conflict(), conflict(), finished()]);
        assert!(run(&api, &impatient(Duration::MAX), &batch()).await.is_ok());
        assert_eq!(api.submitted.into_inner(), 3);
    }

    #[tokio::test]
    async fn given_a_race_lost_too_often_when_run_then_the_conflict_is_reported() {
        let api = Scripted::new([conflict(), conflict(), conflict(), finished()]);
        assert!(run(&api, &impatient(Duration::MAX), &batch()).await.unwrap_err().is_conflict());
    }

    #[tokio::test]
    async fn given_a_wrong_statement_when_run_then_the_error_names_it_and_nothing_is_retried() {
        let api = Scripted::new([Progress::Failed {
            statement: Some(1),
            message: "column \"x\" does not exist".into(),
        }]);
        let error = run(&api, &impatient(Duration::MAX), &batch()).await.unwrap_err();
        assert!(
            matches!(error, WarehouseError::Statement { number: 2, total: 2, ref sql, .. } if sql == "select 1 as id")
        );
        assert_eq!(api.submitted.into_inner(), 1);
    }

    #[tokio::test]
    async fn given_a_transaction_that_does_not_end_when_the_deadline_passes_then_it_is_cancelled() {
        let api = Scripted::new([]);
        let error = run(&api, &impatient(Duration::ZERO), &batch()).await.unwrap_err();
        assert!(matches!(error, WarehouseError::Deadline { .. }));
        assert_eq!(api.cancelled.into_inner(), 1);
    }
}
