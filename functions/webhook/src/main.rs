//! The Lambda function behind API Gateway that receives the events of shops and sites.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::{Error, service_fn};
use shoplake_aws::sdk_config;
use shoplake_aws::secrets::{CachedSecrets, SsmSecrets};
use shoplake_aws::shops::{CachedShopList, LakeShopList};
use shoplake_aws::stream::KinesisStream;
use shoplake_contracts::Contracts;
use shoplake_function_webhook::Webhook;
use shoplake_ingest::{DEFAULT_LIMIT, Ingest};
use shoplake_lake::S3Store;
use shoplake_platform::clock::SystemClock;
use shoplake_platform::metrics::Metrics;
use shoplake_platform::{config, telemetry};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("webhook");
    let shops_path = config::required("SHOPS_PARAMETER_PATH")?;
    let stream_prefix = config::required("STREAM_PREFIX")?;
    let bucket = config::required("LAKE_BUCKET")?;
    let limit = config::parsed("NEW_PARTITIONS_PER_HOUR")?.unwrap_or(DEFAULT_LIMIT);
    let contracts = Contracts::load(&config::definitions_dir()?.join("schemas"))?;
    let aws = sdk_config(Duration::from_secs(9)).await;

    let clock = Arc::new(SystemClock);
    let list = LakeShopList::new(Arc::new(S3Store::new(&aws, bucket)));
    let shops = Arc::new(CachedShopList::new(Arc::new(list), clock.clone()));
    let secrets = CachedSecrets::new(SsmSecrets::new(&aws, shops_path), shops.clone());
    let stream = Arc::new(KinesisStream::new(&aws));
    let ingest = Ingest::new(contracts, shops, stream, Metrics::stdout("webhook"), stream_prefix)
        .with_partition_limit(limit);
    let webhook = Webhook { ingest, secrets: Arc::new(secrets), clock };

    let webhook = &webhook;
    lambda_http::run(service_fn(move |request| async move {
        Ok::<_, Infallible>(webhook.handle(request).await)
    }))
    .await
}
