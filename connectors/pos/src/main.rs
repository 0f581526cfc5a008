//! The task: one shop, one business day, then the end.

use std::{process::ExitCode, time::Duration};

use pos_connector::{Config, Job, JobError};
use shoplake_connector::{Checkpoint, Patience};
use shoplake_lake::S3Store;
use shoplake_platform::{
    aws,
    clock::{Clock, SystemClock},
    stream::KinesisStream,
    telemetry,
};

/// Nobody waits for this task, so it outlasts a throttled stream where a function would give up.
const STREAM_DEADLINE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init("pos-connector");
    match run().await {
        Ok(Checkpoint { page, rows, quantity_sum, .. }) => {
            tracing::info!(pages = page, rows, quantity_sum, "the day is complete");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let exit_code = error.exit_code();
            tracing::error!(%error, exit_code, "the day is not complete; the next run goes on where this one stopped");
            exit_code.into()
        }
    }
}

async fn run() -> Result<Checkpoint, JobError> {
    let config = Config::from_env(SystemClock.now())?;
    tracing::info!(shop_id = %config.shop, business_date = %config.business_date, "fetching");
    let aws = aws::config().await;
    let token = config.token.token(&aws).await?;
    let stream = KinesisStream::new(&aws).with_deadline(STREAM_DEADLINE);
    let store = S3Store::new(&aws, config.lake_bucket.clone());
    let patience = Patience::default();
    Job { config: &config, token, patience, stream: &stream, store: &store, clock: &SystemClock }.run().await
}
