//! The transform function: runs one job document and commits its rows to gold.

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shoplake_aws::{EventBridge, sdk_config};
use shoplake_engine::{DataFusion, Limits};
use shoplake_function_transform::{Request, Transform};
use shoplake_lake::S3Store;
use shoplake_platform::clock::SystemClock;
use shoplake_platform::{config, telemetry};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("transform");
    let aws = sdk_config(Duration::from_secs(45)).await;
    let limits = config::parsed("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")?
        .map_or_else(Limits::default, Limits::of_process);
    let transform = Transform {
        store: Arc::new(S3Store::new(&aws, config::required("LAKE_BUCKET")?)),
        publisher: Arc::new(EventBridge::new(&aws, config::optional("EVENT_BUS", "default")?)),
        clock: Arc::new(SystemClock),
        engine: Arc::new(DataFusion::new(limits)),
    };
    let transform = &transform;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Request>| async move {
        transform.handle(&event.payload).await
    }))
    .await
}
