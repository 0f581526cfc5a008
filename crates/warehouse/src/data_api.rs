//! Redshift Serverless through the Data API: submits a transaction, waits for it, and fetches its
//! results.

mod run;
mod sdk;

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{Rows, Statement, Warehouse, WarehouseError, statement::Batch};

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs `work` in a process that may end after `remaining`. A transaction that takes longer is
/// cancelled before that, and one without enough time for its cancellation is not submitted.
///
/// A Lambda function calls this with the remaining time of each invocation.
pub async fn within<T>(remaining: Duration, work: impl Future<Output = T>) -> T {
    DEADLINE.scope(Instant::now() + remaining, work).await
}

/// Returns when the process of the caller may end, if it is known.
fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// Timeouts and retries of transactions.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Delay before the first poll of a submitted transaction. It grows with each poll.
    pub first_poll: Duration,
    /// Longest delay between two polls.
    pub longest_poll: Duration,
    /// Time limit of a transaction, retries included, outside of [`within`]. After it, the
    /// transaction is cancelled.
    pub deadline: Duration,
    /// Time limit of a cancellation. Twice as much of the caller's time is reserved: for the
    /// request and for the answer of the caller.
    pub cancel_time: Duration,
    /// Retries of a transaction that loses against a concurrent one.
    pub conflict_retries: usize,
    /// Delay before the first retry. It doubles with each one, with jitter, so that two losers do
    /// not collide again.
    pub first_retry: Duration,
    /// Longest delay between two retries, before jitter.
    pub longest_retry: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_poll: Duration::from_millis(40),
            longest_poll: Duration::from_secs(2),
            deadline: Duration::from_secs(10 * 60),
            cancel_time: Duration::from_secs(3),
            conflict_retries: 12,
            first_retry: Duration::from_millis(250),
            longest_retry: Duration::from_secs(8),
        }
    }
}

/// A database of a Redshift Serverless workgroup.
#[derive(Debug, Clone)]
pub struct DataApi {
    api: sdk::Sdk,
    policy: RetryPolicy,
}

impl DataApi {
    /// Returns the database `database` of the workgroup `workgroup`, with the IAM identity of the
    /// caller.
    pub fn new(
        client: aws_sdk_redshiftdata::Client,
        workgroup: impl Into<String>,
        database: impl Into<String>,
    ) -> Self {
        Self {
            api: sdk::Sdk { client, workgroup: workgroup.into(), database: database.into() },
            policy: RetryPolicy::default(),
        }
    }

    /// Returns the database with another policy.
    #[must_use]
    pub fn with_policy(self, policy: RetryPolicy) -> Self {
        Self { policy, ..self }
    }
}

#[async_trait]
impl Warehouse for DataApi {
    async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Option<Rows>>, WarehouseError> {
        run::run(&self.api, &self.policy, &Batch::new(statements)?).await
    }
}
