//! The notify function: tells people of the new rows of a gold partition, of each once.

mod claim;
mod episode;
mod handler;
mod message;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_aws::sdk_config;
use shoplake_aws::topic::SnsTopic;
use shoplake_lake::S3Store;
use shoplake_platform::clock::SystemClock;
use shoplake_platform::{config, telemetry};

use crate::handler::{Notify, Policy};

/// What a row that has just been started may still take before Lambda ends the process: a row that
/// is cut off between its claim and its message is never told of.
const LAST_ROW: TimeDelta = TimeDelta::seconds(18);

/// One call: three of them, a claim, a message and its settlement, fit into the time of the last
/// row.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("notify");
    let sdk = sdk_config(CALL_TIMEOUT).await;
    let notify = Notify {
        store: Arc::new(S3Store::new(&sdk, config::required("LAKE_BUCKET")?)),
        topic: Arc::new(SnsTopic::new(&sdk, config::required("TOPIC_ARN")?)),
        clock: Arc::new(SystemClock),
        policy: Policy {
            within: TimeDelta::hours(
                config::parsed("NOTIFY_WITHIN_HOURS")?.unwrap_or(48_u32).into(),
            ),
            ended: config::parsed("NOTIFY_ENDED")?.unwrap_or(false),
        },
    };
    let notify = &notify;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let ends =
            i64::try_from(event.context.deadline).ok().and_then(DateTime::from_timestamp_millis);
        let until = ends.unwrap_or(DateTime::<chrono::Utc>::MAX_UTC) - LAST_ROW;
        notify.handle(event.payload, until).await.map_err(|failure| Diagnostic {
            error_type: failure.error_type().to_owned(),
            error_message: failure.to_string(),
        })
    }))
    .await
}
