//! The process of a connector: reads the environment, runs the task, ends with an exit code.

use std::{process::ExitCode, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use shoplake_aws::{
    sdk_config,
    stream::{KinesisStream, Stream},
};
use shoplake_contracts::ContractError;
use shoplake_lake::{S3Store, Store, StoreError};
use shoplake_platform::{
    clock::{Clock, SystemClock},
    config::ConfigError,
    telemetry,
};

use crate::{
    ApiError, Checkpoint, Destination, RetryPolicy, RunError, SecretError, SecretSource,
    SourceError,
};

/// A task has no caller that waits for it, so it outlasts a throttled stream where a function would
/// give up.
const STREAM_DEADLINE: Duration = Duration::from_secs(300);

/// All attempts of one call to AWS together.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What one process of a connector fetches: the settings from its environment, and how they become
/// batches.
///
/// [`main`] reads the task from the environment, opens the ports and calls [`run`](Self::run) once.
/// A task may be killed at any time; the next process continues from the checkpoints of its
/// batches.
#[async_trait]
pub trait Task: Sized + Send + Sync {
    /// Names the process in its logs.
    const NAME: &'static str;

    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be read.
    fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError>;

    /// Returns the shop whose rows are sent, and where to.
    fn destination(&self) -> &Destination;

    /// Returns where the source's secret is: an API's token, a database's password.
    fn secret(&self) -> &SecretSource;

    /// Fetches and sends the batches that are not complete.
    ///
    /// # Errors
    /// When a batch is not complete. Nothing is lost: run the task again.
    async fn run(&self, ports: &Ports<'_>) -> Result<Delivered, TaskError>;
}

/// What a task needs from outside.
pub struct Ports<'a> {
    /// The source's secret.
    pub secret: SecretString,
    /// Timeouts and retries of the source.
    pub retry_policy: RetryPolicy,
    /// Takes the rows.
    pub stream: &'a dyn Stream,
    /// Keeps the checkpoints.
    pub store: &'a dyn Store,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// The result of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Batches that are complete now and were not before.
    pub batches: u64,
    /// Their pages.
    pub pages: u64,
    /// Their rows.
    pub rows: u64,
    /// The sum of the rows' quantities.
    pub quantity_sum: i128,
}

impl Delivered {
    /// Adds a completed batch.
    pub fn add(&mut self, batch: &Checkpoint) {
        self.batches += 1;
        self.pages += batch.page;
        self.rows += batch.rows;
        self.quantity_sum += batch.quantity_sum;
    }
}

impl From<&Checkpoint> for Delivered {
    fn from(batch: &Checkpoint) -> Self {
        let mut delivered = Self::default();
        delivered.add(batch);
        delivered
    }
}

/// Why a task is not complete.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A variable of the environment is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The connector was built with an invalid contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// There is no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The source does not have some of the batches; all others are complete.
    #[error(
        "the source answered 404 to {} of the batches, expected a page: {}; check the base URL, \
         and whether the source has them; run them again once it does",
        batches.len(),
        batches.join(", ")
    )]
    Absent {
        /// Their names.
        batches: Vec<String>,
    },
}

impl From<ApiError> for TaskError {
    fn from(error: ApiError) -> Self {
        Self::Run(SourceError::Api(error).into())
    }
}

impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> Self {
        Self::Run(error.into())
    }
}

impl TaskError {
    /// Returns the exit code: 1 if running again may help, 2 if an operator has to act first.
    pub fn exit_code(&self) -> u8 {
        if self.is_transient() { 1 } else { 2 }
    }

    /// Returns whether a later run may succeed without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Config(_) | Self::Contract(_) | Self::Absent { .. } => false,
            Self::Secret(error) => error.is_transient(),
            Self::Run(error) => error.is_transient(),
        }
    }

    /// Returns whether the source is faulty in one batch only, so that others may succeed.
    pub fn is_of_batch(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_of_batch())
    }

    /// Returns whether the source does not have the batch.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Run(RunError::Source(SourceError::Api(error))) if error.is_not_found())
    }
}

/// Runs a task to its end; a connector's `main` calls nothing else.
pub async fn main<T: Task>() -> ExitCode {
    telemetry::init(T::NAME);
    match run::<T>().await {
        Ok(Delivered { batches, pages, rows, quantity_sum }) => {
            tracing::info!(batches, pages, rows, %quantity_sum, "all batches are complete");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let exit_code = error.exit_code();
            tracing::error!(
                %error,
                exit_code,
                "not complete; the next run continues where this one stopped"
            );
            exit_code.into()
        }
    }
}

async fn run<T: Task>() -> Result<Delivered, TaskError> {
    let task = T::from_env(SystemClock.now())?;
    let aws = sdk_config(CALL_TIMEOUT).await;
    let ports = Ports {
        secret: task.secret().read(&aws).await?,
        retry_policy: RetryPolicy::default(),
        stream: &KinesisStream::new(&aws).with_deadline(STREAM_DEADLINE),
        store: &S3Store::new(&aws, task.destination().lake_bucket.clone()),
        clock: &SystemClock,
    };
    task.run(&ports).await
}
