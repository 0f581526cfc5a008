//! The control function: what an operator asks of the installation.

mod backfill;
mod handler;
mod queue;
mod secret;
mod shops;
mod vault;

use std::sync::Arc;

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_contracts::Contracts;
use shoplake_models::Models;
use shoplake_platform::{aws, config, telemetry};
use shoplake_warehouse::{DataApi, migrations::Migration};

use crate::{handler::Control, queue::SqsQueue, vault::SsmVault};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("control");
    let definitions = config::definitions_dir()?;
    let contracts = Contracts::load(&definitions.join("schemas"))?;
    let sdk = aws::config().await;
    let control = Arc::new(Control {
        models: Models::load(&definitions.join("glue-sql"), &contracts)?,
        migrations: Migration::read(&definitions.join("glue-sql/warehouse"))?,
        warehouse: DataApi::new(
            aws_sdk_redshiftdata::Client::new(&sdk),
            config::required("WAREHOUSE_WORKGROUP")?,
            config::required("WAREHOUSE_DATABASE")?,
        ),
        vault: SsmVault::new(
            aws_sdk_ssm::Client::new(&sdk),
            config::required("SHOPS_PARAMETER_PATH")?,
            config::required("SHOPS_KMS_KEY")?,
        ),
        queue: SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), config::required("DIRTY_QUEUE_URL")?),
    });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let control = Arc::clone(&control);
        async move {
            control.handle(event.payload).await.map_err(|failure| Diagnostic {
                error_type: failure.error_type().to_owned(),
                error_message: failure.to_string(),
            })
        }
    }))
    .await
}
