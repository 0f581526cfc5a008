//! The Lambda function load: see the library.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_aws::sdk_config;
use shoplake_function_load::Load;
use shoplake_index::ModelIndex;
use shoplake_lake::S3Store;
use shoplake_platform::{clock::SystemClock, config, metrics::Metrics, telemetry};
use shoplake_warehouse::{DataApi, Literal, Loader, within};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("load");
    let sdk = sdk_config(Duration::from_secs(25)).await;
    let client = aws_sdk_redshiftdata::Client::new(&sdk);
    let bucket = config::required("LAKE_BUCKET")?;
    let warehouse = DataApi::new(
        client,
        config::required("WAREHOUSE_WORKGROUP")?,
        config::required("WAREHOUSE_DATABASE")?,
    );
    let load = Arc::new(Load {
        loader: Loader::new(Arc::new(warehouse)),
        store: Arc::new(S3Store::new(&sdk, bucket.clone())),
        models: ModelIndex::read(&config::definitions_dir()?.join("models.json"))?,
        bucket,
        role: Literal::new(config::required("WAREHOUSE_COPY_ROLE_ARN")?)?,
        clock: Arc::new(SystemClock),
        metrics: Metrics::stdout("load"),
    });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let load = Arc::clone(&load);
        async move {
            // At the deadline Lambda freezes the process, and a running transaction would keep its
            // locks.
            let remaining =
                event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
            within(remaining, load.handle(event.payload)).await.map_err(|failure| Diagnostic {
                error_type: failure.error_type().to_owned(),
                error_message: failure.to_string(),
            })
        }
    }))
    .await
}
