//! The notify function: notifies people of the new rows of a gold partition, of each once.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use shoplake_aws::{sdk_config, topic::SnsTopic};
use shoplake_function_notify::{Notify, NotifyPolicy};
use shoplake_lake::S3Store;
use shoplake_platform::clock::SystemClock;
use shoplake_platform::{config, telemetry};

/// The time that a row needs before Lambda ends the process. A row that is interrupted between its
/// claim and its message is never notified.
const LAST_ROW: TimeDelta = TimeDelta::seconds(22);

/// The time limit of a call with all its attempts. Four calls (a claim, a message, its result and
/// the rows that are left) fit into the time of the last row.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("notify");
    let sdk = sdk_config(CALL_TIMEOUT).await;
    let within_hours = config::parsed("NOTIFY_WITHIN_HOURS")?.unwrap_or(48_u32);
    let notify = Notify {
        store: Arc::new(S3Store::new(&sdk, config::required("LAKE_BUCKET")?)),
        topic: Arc::new(SnsTopic::new(&sdk, config::required("TOPIC_ARN")?)),
        clock: Arc::new(SystemClock),
        policy: NotifyPolicy {
            within: TimeDelta::hours(within_hours.into()),
            ended: config::parsed("NOTIFY_ENDED")?.unwrap_or(false),
        },
    };
    let notify = &notify;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline =
            i64::try_from(event.context.deadline).ok().and_then(DateTime::from_timestamp_millis);
        let until = deadline.unwrap_or(DateTime::<Utc>::MAX_UTC) - LAST_ROW;
        notify.handle(event.payload, until).await.map_err(|failure| Diagnostic {
            error_type: failure.error_type().to_owned(),
            error_message: failure.to_string(),
        })
    }))
    .await
}
