//! Command line of the test equipment.

mod arguments;

use anyhow::{Context, ensure};
use clap::Parser;
use sample_source::{pos, web};
use serde::Serialize;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use arguments::{Command, Pos, Web};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let levels = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    // stdout is the summary's alone, so that a script can read it.
    tracing_subscriber::fmt().with_env_filter(levels).with_writer(std::io::stderr).init();
    match arguments::Arguments::parse().command {
        Command::Pos(arguments) => play_pos(arguments).await,
        Command::Web(arguments) => play_web(arguments).await,
    }
}

async fn play_pos(arguments: Pos) -> anyhow::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await.context("listening")?;
    let address = listener.local_addr()?;
    if let Some(path) = &arguments.port_file {
        // Renamed into place, so that whoever waits for the file never reads half a number.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, address.port().to_string()).context("writing the port file")?;
        std::fs::rename(&partial, path).context("writing the port file")?;
    }
    tracing::info!(%address, "playing the POS API");
    let faults = arguments.faults();
    let server = pos::Server::new(arguments.source.days(), arguments.token, faults);
    tokio::select! {
        served = server.serve(listener) => served.context("serving"),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for an interrupt"),
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    summary: web::Summary,
    seconds: f64,
    events_per_second: f64,
}

async fn play_web(arguments: Web) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let plan = arguments.plan();
    let summary = if let Some(path) = &arguments.dry_run {
        let mut recorder = web::Recorder::create(path).context("creating the file of the dry run")?;
        let summary = plan.rehearse(&mut recorder)?;
        recorder.finish()?;
        summary
    } else {
        let mut recorder = match &arguments.out {
            Some(path) => web::Recorder::create(path).context("creating the file of accepted events")?,
            None => web::Recorder::default(),
        };
        let concurrency = arguments.concurrency;
        let sent = web::Sender::new(arguments.target()?, concurrency)?.send(plan, &mut recorder).await;
        // What was accepted before a failure stays on record.
        recorder.finish()?;
        sent?
    };
    let seconds = started.elapsed().as_secs_f64();
    let surprises = summary.surprises;
    let events_per_second = (summary.sent as f64 / seconds).round();
    println!("{}", serde_json::to_string(&Report { summary, seconds, events_per_second })?);
    ensure!(surprises == 0, "{surprises} requests did not get the expected answer; the log names them");
    Ok(())
}
