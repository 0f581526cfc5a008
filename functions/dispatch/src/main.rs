//! The dispatch function: dirty partitions in, state machine executions out.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shoplake_aws::{EventBridge, SqsDirtyQueue, StateMachineArns, StepFunctions, sdk_config};
use shoplake_contracts::Contracts;
use shoplake_function_dispatch::{Dispatch, Engines};
use shoplake_lake::S3Store;
use shoplake_models::Models;
use shoplake_platform::clock::SystemClock;
use shoplake_platform::metrics::Metrics;
use shoplake_platform::{config, telemetry};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("dispatch");
    let definitions = config::definitions_dir()?;
    let contracts = Contracts::load(&definitions.join("schemas"))?;
    let sdk = sdk_config(Duration::from_secs(25)).await;
    let engines = Engines {
        lambda_runs: config::parsed("MAX_RUNS")?.unwrap_or(20),
        glue_runs: config::parsed("MAX_GLUE_RUNS")?.unwrap_or(0),
        glue_above_bytes: config::parsed("GLUE_ABOVE_BYTES")?.unwrap_or(u64::MAX),
    };
    let dispatch = Arc::new(Dispatch {
        models: Models::load(&definitions.join("glue-sql"), &contracts)?,
        lake: S3Store::new(&sdk, config::required("LAKE_BUCKET")?),
        executions: StepFunctions::new(
            &sdk,
            StateMachineArns {
                bronze_to_silver: config::required("BRONZE_TO_SILVER_ARN")?,
                silver_to_gold: config::required("SILVER_TO_GOLD_ARN")?,
                silver_to_gold_glue: config::parsed("SILVER_TO_GOLD_GLUE_ARN")?,
            },
        ),
        engines,
        old_days_per_hour: config::parsed("OLD_DAYS_PER_HOUR")?,
        publisher: EventBridge::new(&sdk, config::optional("EVENT_BUS", "default")?),
        queue: SqsDirtyQueue::new(&sdk, config::required("DIRTY_QUEUE_URL")?),
        clock: SystemClock,
        metrics: Metrics::stdout("dispatch"),
    });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let dispatch = Arc::clone(&dispatch);
        async move { Ok::<_, Error>(dispatch.handle(event.payload).await) }
    }))
    .await
}
