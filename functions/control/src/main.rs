//! The control function: what an operator asks of the installation.

mod backfill;
mod days;
mod freshness;
mod handler;
mod redrive;
mod references;
mod reload;
mod secret;
mod shop_list;
mod shops;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_aws::secrets::SsmSecretStore;
use shoplake_aws::stream::KinesisStream;
use shoplake_aws::topic::SnsTopic;
use shoplake_aws::{
    Executions, SqsDeadLetterQueue, SqsDirtyQueue, StateMachineArns, StepFunctions, sdk_config,
};
use shoplake_contracts::Contracts;
use shoplake_lake::S3Store;
use shoplake_models::Models;
use shoplake_platform::metrics::Metrics;
use shoplake_platform::{config, telemetry};
use shoplake_warehouse::{DataApi, migrations::Migration, within};

use crate::freshness::Freshness;
use crate::handler::Control;
use crate::redrive::Redrive;

/// The time limit of a put to a stream. It is longer than the webhook's: an operator can wait.
const PUT_DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("control");
    let definitions = config::definitions_dir()?;
    let contracts = Contracts::load(&definitions.join("schemas"))?;
    let sdk = sdk_config(Duration::from_secs(60)).await;
    let bucket = config::required("LAKE_BUCKET")?;
    let executions: Arc<dyn Executions> = Arc::new(StepFunctions::new(
        &sdk,
        StateMachineArns {
            bronze_to_silver: config::required("BRONZE_TO_SILVER_ARN")?,
            silver_to_gold: config::required("SILVER_TO_GOLD_ARN")?,
            silver_to_gold_glue: None,
        },
    ));
    let control = Arc::new(Control {
        models: Models::load(&definitions.join("glue-sql"), &contracts)?,
        migrations: Migration::read(&definitions.join("glue-sql/warehouse"))?,
        warehouse: DataApi::new(
            aws_sdk_redshiftdata::Client::new(&sdk),
            config::required("WAREHOUSE_WORKGROUP")?,
            config::required("WAREHOUSE_DATABASE")?,
        ),
        secrets: SsmSecretStore::new(
            &sdk,
            config::required("SHOPS_PARAMETER_PATH")?,
            config::required("SHOPS_KMS_KEY")?,
        ),
        queue: SqsDirtyQueue::new(&sdk, config::required("DIRTY_QUEUE_URL")?),
        lake: Arc::new(S3Store::new(&sdk, bucket.clone())),
        freshness: Freshness::new(
            &contracts,
            Arc::new(SnsTopic::new(&sdk, config::required("ALERTS_TOPIC_ARN")?)),
            Metrics::stdout("control"),
        ),
        executions: Arc::clone(&executions),
        redrive: Redrive {
            contracts,
            dirty: Arc::new(SqsDeadLetterQueue::new(
                &sdk,
                config::required("DIRTY_DEAD_LETTERS_URL")?,
            )),
            streams: Arc::new(SqsDeadLetterQueue::new(
                &sdk,
                config::required("CONFORM_FAILED_QUEUE_URL")?,
            )),
            executions,
            bucket,
            stream: Arc::new(KinesisStream::new(&sdk).with_deadline(PUT_DEADLINE)),
            stream_prefix: config::required("STREAM_PREFIX")?,
            firehose_buffer: Duration::from_secs(
                config::required("FIREHOSE_BUFFER_SECONDS")?.parse()?,
            ),
        },
    });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let control = Arc::clone(&control);
        async move {
            // Lambda ends the process then, and would leave a transaction running that holds locks.
            let remaining =
                event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
            within(remaining, control.handle(event.payload)).await.map_err(|failure| Diagnostic {
                error_type: failure.error_type().to_owned(),
                error_message: failure.to_string(),
            })
        }
    }))
    .await
}
