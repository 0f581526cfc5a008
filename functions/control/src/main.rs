//! The control function: serves the requests of operators.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_aws::secrets::SsmSecretStore;
use shoplake_aws::stream::KinesisStream;
use shoplake_aws::topic::SnsTopic;
use shoplake_aws::{
    Executions, SqsDeadLetterQueue, SqsDirtyQueue, StateMachineArns, StepFunctions, Topic,
    sdk_config,
};
use shoplake_contracts::Contracts;
use shoplake_index::ModelIndex;
use shoplake_lake::S3Store;
use shoplake_operations::{Freshness, Operations, Redrive};
use shoplake_platform::{
    clock::SystemClock,
    config::{ConfigError, definitions_dir, parsed, required},
    metrics::Metrics,
    telemetry,
};
use shoplake_warehouse::{DataApi, migrations::Migration, within};

/// The time limit of a call to AWS with all its attempts, and of a put to a stream. It is longer
/// than the webhook's, because an operator can wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("control");
    let operations = operations().await?;
    let operations = &operations;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        // Lambda ends the process at the deadline, and a transaction would keep its locks.
        let remaining =
            event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let response = shoplake_function_control::handle(operations, event.payload);
        within(remaining, response).await.map_err(|failure| Diagnostic {
            error_type: failure.error_type().to_owned(),
            error_message: failure.to_string(),
        })
    }))
    .await
}

async fn operations() -> Result<Operations, Error> {
    let definitions = definitions_dir()?;
    let contracts = Contracts::load(&definitions.join("schemas"))?;
    let sdk = sdk_config(CALL_TIMEOUT).await;
    let bucket = required("LAKE_BUCKET")?;
    let executions: Arc<dyn Executions> = Arc::new(StepFunctions::new(
        &sdk,
        StateMachineArns {
            bronze_to_silver: required("BRONZE_TO_SILVER_ARN")?,
            silver_to_gold: required("SILVER_TO_GOLD_ARN")?,
            silver_to_gold_glue: None,
        },
    ));
    let topic: Arc<dyn Topic> = Arc::new(SnsTopic::new(&sdk, required("ALERTS_TOPIC_ARN")?));
    let dead_letter_queue = |url| Arc::new(SqsDeadLetterQueue::new(&sdk, url));
    Ok(Operations {
        models: ModelIndex::read(&definitions.join("models.json"))?,
        migrations: Migration::read(&definitions.join("glue-sql/warehouse"))?,
        warehouse: Arc::new(DataApi::new(
            aws_sdk_redshiftdata::Client::new(&sdk),
            required("WAREHOUSE_WORKGROUP")?,
            required("WAREHOUSE_DATABASE")?,
        )),
        secrets: Arc::new(SsmSecretStore::new(
            &sdk,
            required("SHOPS_PARAMETER_PATH")?,
            required("SHOPS_KMS_KEY")?,
        )),
        queue: Arc::new(SqsDirtyQueue::new(&sdk, required("DIRTY_QUEUE_URL")?)),
        lake: Arc::new(S3Store::new(&sdk, bucket.clone())),
        freshness: Freshness::new(&contracts, Arc::clone(&topic), Metrics::stdout("control")),
        executions: Arc::clone(&executions),
        topic,
        redrive: Redrive {
            contracts,
            dirty: dead_letter_queue(required("DIRTY_DEAD_LETTER_QUEUE_URL")?),
            streams: dead_letter_queue(required("CONFORM_FAILED_QUEUE_URL")?),
            executions,
            bucket,
            stream: Arc::new(KinesisStream::new(&sdk).with_deadline(CALL_TIMEOUT)),
            stream_prefix: required("STREAM_PREFIX")?,
            firehose_buffer: firehose_buffer()?,
        },
        clock: Arc::new(SystemClock),
    })
}

/// Returns how long Firehose buffers records before it writes them to bronze.
fn firehose_buffer() -> Result<Duration, ConfigError> {
    let name = "FIREHOSE_BUFFER_SECONDS";
    // A missing variable is an error here, and `None` for `parsed`.
    required(name)?;
    Ok(Duration::from_secs(parsed::<u64>(name)?.unwrap_or_default()))
}
