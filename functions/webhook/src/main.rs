//! Receives the events that shops and sites POST, and answers for each whether it was accepted.

mod accepted_ids;
mod app;
mod envelopes;
mod events;
mod partition_limit;
mod problem;
mod response;
mod route;
mod signature;
mod text;

use std::{convert::Infallible, sync::Arc, time::Duration};

use lambda_http::{Error, service_fn};
use shoplake_aws::{
    sdk_config,
    secrets::{CachedSecrets, SsmSecrets},
    shops::{CachedShopList, LakeShopList},
    stream::KinesisStream,
};
use shoplake_contracts::Contracts;
use shoplake_lake::S3Store;
use shoplake_platform::{clock::SystemClock, config, metrics::Metrics, telemetry};

use accepted_ids::AcceptedIds;
use app::App;
use partition_limit::{DEFAULT_LIMIT, PartitionLimit};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("webhook");
    let shops_path = config::required("SHOPS_PARAMETER_PATH")?;
    let stream_prefix = config::required("STREAM_PREFIX")?;
    let bucket = config::required("LAKE_BUCKET")?;
    let partition_limit = config::parsed("NEW_PARTITIONS_PER_HOUR")?.unwrap_or(DEFAULT_LIMIT);
    let contracts = Contracts::load(&config::definitions_dir()?.join("schemas"))?;
    let aws = sdk_config(Duration::from_secs(9)).await;
    let list = LakeShopList::new(Arc::new(S3Store::new(&aws, bucket)));
    let shops = Arc::new(CachedShopList::new(Arc::new(list), Arc::new(SystemClock)));
    let app = App {
        contracts,
        secrets: Arc::new(CachedSecrets::new(
            SsmSecrets::new(&aws, shops_path),
            Arc::clone(&shops),
        )),
        shops,
        stream: Arc::new(KinesisStream::new(&aws)),
        clock: Arc::new(SystemClock),
        metrics: Metrics::stdout("webhook"),
        stream_prefix,
        accepted_ids: AcceptedIds::default(),
        partition_limit: PartitionLimit::new(partition_limit),
    };
    let app = &app;
    lambda_http::run(service_fn(move |request| async move {
        Ok::<_, Infallible>(app.handle(request).await)
    }))
    .await
}
