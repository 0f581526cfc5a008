//! `shoplake`: what operators and analysts do with a deployment.

mod catalog;
mod control;
mod demo;
mod lake;
mod pos_day;
mod progress;
mod reconcile;
mod report;
mod settle;
mod sources;
mod target;
mod text;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::target::TargetArguments;

/// Reports on and operates a deployment of Shoplake: the demo on this machine, or an environment
/// on AWS.
///
/// Exit codes: 0 the command succeeded, 1 it failed, 2 its arguments are invalid.
#[derive(Debug, Parser)]
#[command(name = "shoplake", version)]
struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Report(report::ReportArguments),
    Reconcile(reconcile::ReconcileArguments),
    PosDay(pos_day::PosDayArguments),
    DemoData(demo::DemoDataArguments),
    Redrive(control::RedriveArguments),
    #[command(subcommand)]
    Shop(control::ShopCommand),
    #[command(subcommand)]
    Backfill(control::BackfillCommand),
    Reload(control::PartitionsArguments),
    #[command(subcommand)]
    Reference(control::ReferenceCommand),
    Catalog(catalog::CatalogArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that has ended, such as `head`, needs no message.
            let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            if io != Some(ErrorKind::BrokenPipe) {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let target = arguments.target;
    match arguments.command {
        Command::Report(report) => report::run(report, &target).await,
        Command::Reconcile(reconcile) => reconcile::run(reconcile, &target).await,
        Command::PosDay(pos_day) => pos_day::run(pos_day, &target).await,
        Command::DemoData(demo) => demo::run(demo, &target).await,
        Command::Redrive(redrive) => control::redrive(redrive, &target).await,
        Command::Shop(shop) => control::shop(shop, &target).await,
        Command::Backfill(backfill) => control::backfill(backfill, &target).await,
        Command::Reload(partitions) => control::reload(partitions, &target).await,
        Command::Reference(reference) => control::reference(reference, &target).await,
        Command::Catalog(catalog) => catalog::run(catalog).await,
    }
}
