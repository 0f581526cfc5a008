//! The Lambda function of conform.

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use shoplake_aws::sdk_config;
use shoplake_conform::Conformer;
use shoplake_contracts::Contracts;
use shoplake_function_conform::{Conform, LAYOUT};
use shoplake_lake::S3Store;
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::Metrics;
use shoplake_platform::{config, telemetry};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("conform");
    let contracts = Contracts::load(&config::definitions_dir()?.join("schemas"))?;
    let bucket = config::required("LAKE_BUCKET")?;
    let lake = S3Store::new(&sdk_config(Duration::from_secs(50)).await, bucket.clone());
    let conform = Arc::new(Conform {
        conformer: Conformer::new(contracts, LAYOUT),
        bucket,
        lake,
        metrics: Metrics::stdout("conform"),
    });
    // Raw text: deserializing the whole event first would take half of the time.
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let conform = Arc::clone(&conform);
        async move { conform.handle(event.payload.get()).await.map_err(diagnostic) }
    }))
    .await
}

fn diagnostic(failure: Failure) -> Diagnostic {
    tracing::error!(error_type = failure.error_type(), %failure, "the invocation failed");
    Diagnostic { error_type: failure.error_type().to_owned(), error_message: failure.to_string() }
}
