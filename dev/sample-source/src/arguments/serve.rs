//! How an API is played.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::Args;
use shoplake_sample_source::api::{DataSource, Faults, Server};
use tokio::net::TcpListener;

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Is written with the port once requests are taken.
    #[arg(long)]
    port_file: Option<PathBuf>,
}

impl Listen {
    /// Listens, and writes the port to the port file.
    pub(crate) async fn bind(&self) -> anyhow::Result<TcpListener> {
        let listener = TcpListener::bind(self.listen).await.context("listening")?;
        let address = listener.local_addr()?;
        if let Some(path) = &self.port_file {
            // Renamed into place: a reader that waits for the file never reads half a number.
            let partial = path.with_extension("partial");
            std::fs::write(&partial, address.port().to_string())
                .context("writing the port file")?;
            std::fs::rename(&partial, path).context("writing the port file")?;
        }
        tracing::info!(%address, "playing the API");
        Ok(listener)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,
    /// Answers every n-th request with 503.
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_every: u64,
    /// Answers every n-th request with 429.
    #[arg(long, default_value_t = 0, value_name = "N")]
    throttle_every: u64,
    /// The value of Retry-After in a 429.
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    retry_after: u64,
}

impl Serve {
    /// Serves `source` until the process is interrupted.
    pub(crate) async fn serve(self, source: impl DataSource, token: String) -> anyhow::Result<()> {
        let listener = self.listen.bind().await?;
        let faults = Faults {
            fail_every: self.fail_every,
            throttle_every: self.throttle_every,
            retry_after_seconds: self.retry_after,
        };
        let server = Server::new(source, token, faults);
        tokio::select! {
            served = server.serve(listener) => served.context("serving"),
            signal = tokio::signal::ctrl_c() => signal.context("waiting for an interrupt"),
        }
    }
}
