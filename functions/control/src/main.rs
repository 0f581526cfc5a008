//! The control function: what an operator asks of the installation.

mod backfill;
mod days;
mod freshness;
mod handler;
mod letters;
mod machines;
mod queue;
mod redrive;
mod references;
mod reload;
mod secret;
mod secret_store;
mod shop_list;
mod shops;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_contracts::Contracts;
use shoplake_lake::S3Store;
use shoplake_models::Models;
use shoplake_platform::metrics::Metrics;
use shoplake_platform::stream::KinesisStream;
use shoplake_platform::topic::SnsTopic;
use shoplake_platform::{aws, config, telemetry};
use shoplake_warehouse::{DataApi, migrations::Migration, within};

use crate::freshness::Freshness;
use crate::handler::Control;
use crate::letters::SqsLetters;
use crate::machines::{Machines, StepFunctions};
use crate::queue::SqsQueue;
use crate::redrive::Redrive;
use crate::secret_store::SsmSecretStore;

/// Nobody waits for a redrive as a shop waits for its webhook.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("control");
    let definitions = config::definitions_dir()?;
    let contracts = Contracts::load(&definitions.join("schemas"))?;
    let sdk = aws::config(Duration::from_secs(60)).await;
    let sqs = aws_sdk_sqs::Client::new(&sdk);
    let bucket = config::required("LAKE_BUCKET")?;
    let machines: Arc<dyn Machines> = Arc::new(StepFunctions {
        client: aws_sdk_sfn::Client::new(&sdk),
        bronze_to_silver_arn: config::required("BRONZE_TO_SILVER_ARN")?,
        silver_to_gold_arn: config::required("SILVER_TO_GOLD_ARN")?,
        bucket: bucket.clone(),
    });
    let control = Arc::new(Control {
        models: Models::load(&definitions.join("glue-sql"), &contracts)?,
        migrations: Migration::read(&definitions.join("glue-sql/warehouse"))?,
        warehouse: DataApi::new(
            aws_sdk_redshiftdata::Client::new(&sdk),
            config::required("WAREHOUSE_WORKGROUP")?,
            config::required("WAREHOUSE_DATABASE")?,
        ),
        secrets: SsmSecretStore::new(
            aws_sdk_ssm::Client::new(&sdk),
            config::required("SHOPS_PARAMETER_PATH")?,
            config::required("SHOPS_KMS_KEY")?,
        ),
        queue: SqsQueue::new(sqs.clone(), config::required("DIRTY_QUEUE_URL")?),
        lake: Arc::new(S3Store::new(&sdk, bucket)),
        freshness: Freshness::new(
            &contracts,
            Arc::new(SnsTopic::new(&sdk, config::required("ALERTS_TOPIC_ARN")?)),
            Metrics::stdout("control"),
        ),
        machines: Arc::clone(&machines),
        redrive: Redrive {
            contracts,
            dirty: Arc::new(SqsLetters::new(
                sqs.clone(),
                config::required("DIRTY_DEAD_LETTERS_URL")?,
            )),
            streams: Arc::new(SqsLetters::new(sqs, config::required("CONFORM_FAILED_QUEUE_URL")?)),
            machines,
            stream: Arc::new(KinesisStream::new(&sdk).with_deadline(PATIENCE)),
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
