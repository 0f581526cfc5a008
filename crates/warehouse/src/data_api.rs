//! Redshift Serverless through the Data API: a transaction is submitted, waited for, and its
//! results are fetched.

mod run;
mod sdk;

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{Rows, Statement, Warehouse, WarehouseError, statement::Batch};

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs `work`, whose process may end after `remaining`: a transaction that does not finish in that
/// time is cancelled before, and one that cannot be cancelled in time is not begun.
///
/// A Lambda function calls this with the remaining time of each invocation.
pub async fn within<T>(remaining: Duration, work: impl Future<Output = T>) -> T {
    DEADLINE.scope(Instant::now() + remaining, work).await
}

/// When the process of this task's caller may end, if it said so.
fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// How patient the warehouse is.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Wait before the first look at a submitted transaction; it grows with each look.
    pub first_poll: Duration,
    /// Longest wait between two looks.
    pub longest_poll: Duration,
    /// How long a transaction may take, attempts after conflicts included, if its caller has not
    /// said how long (see [`within`]). Then it is cancelled.
    pub deadline: Duration,
    /// How long the cancellation of a transaction may take. Of a caller's time, twice as much is
    /// kept for it: for the request, and for the caller's answer.
    pub cancel_time: Duration,
    /// How often a transaction that loses against a concurrent one is run again.
    pub conflict_retries: usize,
    /// Wait before the first such retry; it doubles with each, with jitter, so that two losers do
    /// not meet again.
    pub first_retry: Duration,
    /// Longest wait between two such retries, before jitter.
    pub longest_retry: Duration,
}

impl Default for Policy {
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
    policy: Policy,
}

impl DataApi {
    /// The database `database` of the workgroup `workgroup`, with the caller's IAM identity.
    pub fn new(
        client: aws_sdk_redshiftdata::Client,
        workgroup: impl Into<String>,
        database: impl Into<String>,
    ) -> Self {
        Self {
            api: sdk::Sdk { client, workgroup: workgroup.into(), database: database.into() },
            policy: Policy::default(),
        }
    }

    /// The same database, waited for otherwise.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
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
