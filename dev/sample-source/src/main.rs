//! Command line of the test equipment.

mod arguments;

use std::io::IsTerminal;

use anyhow::{Context, ensure};
use clap::Parser;
use serde::Serialize;
use serde_json::json;
use shoplake_sample_source::{
    Recorder, api,
    inventory::Hour,
    post::{EventSource, Plan, Sender, Summary},
};
use tracing_subscriber::EnvFilter;

use arguments::{Command, Dump, DumpedRows, Post};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let levels =
        EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    // stdout has the summary only, so that a script can read it.
    tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match arguments::Arguments::parse().command {
        Command::Pos(pos) => pos.serve.serve(pos.source.data_source(), pos.token).await,
        Command::Inventory(inventory) => {
            inventory.serve.serve(inventory.source.data_source(), inventory.token).await
        }
        Command::Web(web) => post(web.plan(), web.post).await,
        Command::Crm(crm) => post(crm.plan(), crm.post).await,
        Command::Dump(dump) => write(&dump),
        Command::Hostile(hostile) => hostile.run().await,
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    seconds: f64,
    events_per_second: f64,
}

async fn post<S: EventSource>(plan: Plan<S>, arguments: Post) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let summary = if let Some(path) = &arguments.dry_run {
        let mut recorder = Recorder::create(path).context("creating the file of the dry run")?;
        let summary = plan.dry_run(&mut recorder)?;
        recorder.finish()?;
        summary
    } else {
        let mut recorder = match &arguments.out {
            Some(path) => Recorder::create(path).context("creating the file of accepted events")?,
            None => Recorder::default(),
        };
        let concurrency = arguments.concurrency;
        let sent = Sender::new(arguments.target()?, concurrency)?.send(&plan, &mut recorder).await;
        // Events that were accepted before a failure stay in the file.
        recorder.finish()?;
        sent?
    };
    let seconds = started.elapsed().as_secs_f64();
    let unexpected_responses = summary.unexpected_responses;
    let events_per_second = (summary.sent as f64 / seconds).round();
    println!("{}", serde_json::to_string(&Report { summary, seconds, events_per_second })?);
    ensure!(
        unexpected_responses == 0,
        "{unexpected_responses} requests got an unexpected response; the log names them"
    );
    Ok(())
}

fn write(dump: &Dump) -> anyhow::Result<()> {
    let rows = match &dump.rows {
        DumpedRows::Pos { source, days } => {
            api::dump(&source.data_source(), days.iter(), &days.out)?
        }
        DumpedRows::Inventory { source, days } => {
            api::dump(&source.data_source(), days.iter().flat_map(Hour::of_day), &days.out)?
        }
    };
    println!("{}", json!({ "rows": rows }));
    Ok(())
}
