//! One shop's day.

use secrecy::SecretString;
use shoplake_connector::{ApiError, Batch, Checkpoint, PagedApi, Patience, Run, RunError, SourceError};
use shoplake_lake::Store;
use shoplake_platform::{clock::Clock, config::ConfigError, stream::Stream};

use crate::{Config, TokenError, describe};

/// The day, and what it needs of the world.
pub struct Job<'a> {
    /// What to fetch and where to put it.
    pub config: &'a Config,
    /// For the POS API.
    pub token: SecretString,
    /// How long the POS API is waited for.
    pub patience: Patience,
    /// Takes the sales.
    pub stream: &'a dyn Stream,
    /// Keeps the checkpoint.
    pub store: &'a dyn Store,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// The day is not complete.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The environment is not as it should be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<ApiError> for JobError {
    fn from(error: ApiError) -> Self {
        Self::Run(SourceError::Api(error).into())
    }
}

impl JobError {
    /// The process's exit code: 1 if running again may help, 2 if somebody has to do something first.
    pub fn exit_code(&self) -> u8 {
        let is_transient = match self {
            Self::Config(_) | Self::Token(TokenError::Missing { .. }) => false,
            Self::Token(TokenError::Unavailable { .. }) => true,
            Self::Run(error) => error.is_transient(),
        };
        if is_transient { 1 } else { 2 }
    }
}

impl Job<'_> {
    /// Fetches and sends what is left of the day.
    ///
    /// # Errors
    /// Nothing is lost by any of them: run the day again.
    pub async fn run(self) -> Result<Checkpoint, JobError> {
        let day = self.config.business_date.to_string();
        let limit = self.config.page_size.to_string();
        let query = [("business_date", day.as_str()), ("limit", limit.as_str())];
        let source = PagedApi::new(&self.config.base_url, "v1/sales", &query, self.token, self.patience)?;
        let batch = Batch {
            shop: self.config.shop.clone(),
            connector: "pos",
            dataset: "pos_sales",
            name: day.clone(),
            business_date: self.config.business_date,
        };
        let run = Run {
            batch: &batch,
            source: &source,
            describe,
            stream: self.stream,
            stream_name: &self.config.stream_name,
            store: self.store,
            clock: self.clock,
        };
        Ok(run.run().await?)
    }
}
