//! Takes the events that shops and sites POST, and answers for each what became of it.

mod app;
mod envelopes;
mod events;
mod problem;
mod response;
mod route;
mod signature;

use std::{convert::Infallible, sync::Arc};

use lambda_http::{Error, service_fn};
use shoplake_contracts::Contracts;
use shoplake_platform::{
    aws,
    clock::SystemClock,
    config,
    metrics::Metrics,
    secrets::{CachedSecrets, SsmSecrets},
    stream::KinesisStream,
    telemetry,
};

use app::App;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init("webhook");
    let shops_path = config::required("SHOPS_PARAMETER_PATH")?;
    let stream_prefix = config::required("STREAM_PREFIX")?;
    let contracts = Contracts::load(&config::definitions_dir()?.join("schemas"))?;
    let aws = aws::config().await;
    let app = App {
        contracts,
        secrets: Arc::new(CachedSecrets::new(SsmSecrets::new(&aws, &shops_path))),
        stream: Arc::new(KinesisStream::new(&aws)),
        clock: Arc::new(SystemClock),
        metrics: Metrics::stdout("webhook"),
        stream_prefix,
    };
    let app = &app;
    lambda_http::run(service_fn(move |request| async move { Ok::<_, Infallible>(app.handle(request).await) }))
        .await
}
