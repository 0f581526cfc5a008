//! Operators' actions, which the control function carries out.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value as Json;
use shoplake_contracts::envelope::UNKNOWN;
use shoplake_contracts::{BackfillName, Contracts, ShopId};
use shoplake_jobs::Partition;
use shoplake_operations::response::Reference;
use shoplake_operations::{FailedQueue, RedriveTarget, Request};

use crate::pos_day::parse_day;
use crate::target::{DefinitionArguments, Target, TargetArguments};
use crate::text::print_line;

/// Runs what failed again: all dead-letter messages, or quarantined events that are valid by now
#[derive(Debug, Args)]
pub(crate) struct RedriveArguments {
    /// The dead-letter messages of one queue only.
    #[arg(long, value_name = "QUEUE", conflicts_with = "dataset")]
    queue: Option<Queue>,
    /// A dataset, whose quarantined events are tried again.
    #[arg(long, value_name = "DATASET", requires = "day")]
    dataset: Option<String>,
    /// The day on which those events arrived.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "dataset", value_parser = parse_day)]
    day: Option<NaiveDate>,
    #[command(flatten)]
    definitions: DefinitionArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Queue {
    /// Batches of events that conform gave up on.
    Streams,
    /// Partitions that could not be computed.
    Dirty,
}

impl From<Queue> for FailedQueue {
    fn from(queue: Queue) -> Self {
        match queue {
            Queue::Streams => Self::Streams,
            Queue::Dirty => Self::Dirty,
        }
    }
}

/// Adds a shop, or gives it another webhook secret
#[derive(Debug, Subcommand)]
pub(crate) enum ShopCommand {
    /// Gives a new shop its webhook secret.
    Add { shop: ShopId },
    /// Gives a shop another webhook secret. The one before stays valid until the next rotation.
    Rotate { shop: ShopId },
    /// Adds the shops that have a secret to the list of shops.
    Sync,
}

/// Lets a shop send old events, or computes the partitions of a model again
#[derive(Debug, Subcommand)]
pub(crate) enum BackfillCommand {
    /// Lets a shop send events that are older than the time windows of their datasets.
    Open {
        shop: ShopId,
        /// The name of the backfill, which its events carry.
        #[arg(long)]
        name: BackfillName,
        /// The end of the backfill, at most 31 days ahead.
        #[arg(long, value_name = "RFC 3339")]
        until: DateTime<Utc>,
    },
    /// Ends a shop's backfill.
    Close { shop: ShopId },
    /// Computes partitions of a model again.
    Run(PartitionsArguments),
}

/// Loads partitions of a model into the warehouse as they are in gold
#[derive(Debug, Args)]
pub(crate) struct PartitionsArguments {
    model: String,
    /// The first partition: a day such as 2010-12-01, an hour such as 2010-12-01T09 or a bucket
    /// such as 0007, as the model has them.
    #[arg(long, value_name = "PARTITION")]
    from: Partition,
    /// The last partition.
    #[arg(long, value_name = "PARTITION")]
    to: Partition,
}

/// Reads or replaces the rows of a reference table
#[derive(Debug, Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Prints the columns and the rows of a table.
    Get {
        table: String,
        /// Prints the rows only, as `set` takes them.
        #[arg(long)]
        csv: bool,
    },
    /// Replaces the rows of a table.
    Set {
        table: String,
        /// All rows, with a header.
        #[arg(value_name = "FILE.csv")]
        csv: PathBuf,
    },
}

/// Runs what failed again.
pub(crate) async fn redrive(arguments: RedriveArguments, target: &TargetArguments) -> Result<()> {
    let contracts = arguments.definitions.contracts()?;
    let requests = redrive_requests(&arguments, &contracts)?;
    let target = target.load().await?;
    for request in requests {
        let mut answer = invoke(&target, &request).await?;
        if let (Json::Object(answer), Json::Object(request)) =
            (&mut answer, serde_json::to_value(request)?)
        {
            for (name, value) in request.into_iter().filter(|(name, _)| name != "action") {
                answer.entry(name).or_insert(value);
            }
        }
        print_line(answer)?;
    }
    Ok(())
}

/// The requests to the control function: everything that failed, if nothing is named.
fn redrive_requests(arguments: &RedriveArguments, contracts: &Contracts) -> Result<Vec<Request>> {
    let queue = |queue: Queue| RedriveTarget::Queue(queue.into());
    let targets = match (arguments.queue, &arguments.dataset, arguments.day) {
        (Some(named), ..) => vec![queue(named)],
        (None, Some(dataset), Some(day)) => {
            let sent = contracts.iter().filter(|contract| contract.parent.is_none());
            // Lines of a dataset that was not deployed yet are in quarantine as an unknown one's.
            let known: Vec<&str> =
                sent.map(|contract| contract.dataset.as_str()).chain([UNKNOWN]).collect();
            if !known.contains(&dataset.as_str()) {
                bail!("invalid --dataset \"{dataset}\": expected one of {}", known.join(", "));
            }
            vec![RedriveTarget::Quarantine { dataset: dataset.clone(), day }]
        }
        _ => vec![queue(Queue::Streams), queue(Queue::Dirty)],
    };
    Ok(targets.into_iter().map(Request::Redrive).collect())
}

/// Adds a shop or changes its secret.
pub(crate) async fn shop(command: ShopCommand, target: &TargetArguments) -> Result<()> {
    let request = match command {
        ShopCommand::Add { shop } => Request::AddShop { shop_id: shop },
        ShopCommand::Rotate { shop } => Request::RotateSecret { shop_id: shop },
        ShopCommand::Sync => Request::SyncShops,
    };
    print(target, &request).await
}

/// Opens, closes or runs a backfill.
pub(crate) async fn backfill(command: BackfillCommand, target: &TargetArguments) -> Result<()> {
    let request = match command {
        BackfillCommand::Open { shop, name, until } => {
            Request::OpenBackfill { shop_id: shop, name, until }
        }
        BackfillCommand::Close { shop } => Request::CloseBackfill { shop_id: shop },
        BackfillCommand::Run(PartitionsArguments { model, from, to }) => {
            Request::Backfill { model, from, to }
        }
    };
    print(target, &request).await
}

/// Loads partitions of a model again.
pub(crate) async fn reload(
    partitions: PartitionsArguments,
    target: &TargetArguments,
) -> Result<()> {
    let PartitionsArguments { model, from, to } = partitions;
    print(target, &Request::Reload { model, from, to }).await
}

/// Reads or replaces a reference table.
pub(crate) async fn reference(command: ReferenceCommand, target: &TargetArguments) -> Result<()> {
    match command {
        ReferenceCommand::Get { table, csv } => {
            let request = Request::GetReference { table };
            if !csv {
                return print(target, &request).await;
            }
            let answer = invoke(&target.load().await?, &request).await?;
            print_line(serde_json::from_value::<Reference>(answer)?.csv.trim_end_matches('\n'))
        }
        ReferenceCommand::Set { table, csv } => {
            let rows = std::fs::read_to_string(&csv)
                .with_context(|| format!("cannot read {}", csv.display()))?;
            print(target, &Request::SetReference { table, csv: rows }).await
        }
    }
}

/// Prints the answer to a request.
async fn print(target: &TargetArguments, request: &Request) -> Result<()> {
    print_line(invoke(&target.load().await?, request).await?)
}

/// Invokes the control function.
async fn invoke(target: &Target, request: &Request) -> Result<Json> {
    let functions: std::collections::BTreeMap<String, String> = target.output("functions")?;
    let function = functions.get("control").context("the deployment has no control function")?;
    let output = aws_sdk_lambda::Client::new(target.sdk())
        .invoke()
        .function_name(function)
        .payload(Blob::new(serde_json::to_vec(request)?))
        .send()
        .await
        .map_err(|error| anyhow!(DisplayErrorContext(error).to_string()))
        .with_context(|| {
            format!(
                "cannot invoke {function}; check the region, and that \
                 `aws sts get-caller-identity` names the right account"
            )
        })?;
    let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
    let answer: Json = serde_json::from_slice(&payload)
        .with_context(|| format!("{function} answered with what is not JSON"))?;
    if output.function_error.is_some() {
        let reason = answer["errorMessage"].as_str().map_or(answer.to_string(), str::to_owned);
        bail!("{function} rejected the request: {reason}");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Redrive {
        #[command(flatten)]
        arguments: RedriveArguments,
    }

    fn requests(words: &[&str]) -> Result<Vec<Json>> {
        let words = [&["redrive"], words].concat();
        let arguments = Redrive::try_parse_from(words)?.arguments;
        let requests = redrive_requests(&arguments, &shoplake_testing::contracts())?;
        Ok(requests.into_iter().map(|request| json!(request)).collect())
    }

    #[test]
    fn everything_that_failed_is_redriven_if_nothing_is_named() {
        let streams = json!({"action": "redrive", "queue": "streams"});
        let dirty = json!({"action": "redrive", "queue": "dirty"});
        assert_eq!(requests(&[]).unwrap(), [streams, dirty.clone()]);
        assert_eq!(requests(&["--queue", "dirty"]).unwrap(), [dirty]);
    }

    #[test]
    fn events_of_an_unknown_dataset_can_be_redriven() {
        let asked = requests(&["--dataset", "_unknown", "--day", "2026-11-21"]).unwrap();
        let expected = json!({"action": "redrive", "quarantine": "_unknown", "day": "2026-11-21"});
        assert_eq!(asked, [expected]);
    }

    #[test]
    fn invalid_arguments_are_named() {
        for (words, mention) in [
            (&["--queue", "x"][..], "streams, dirty"),
            (&["--dataset", "web_traffic"], "--day"),
            (&["--day", "2026-11-21"], "--dataset"),
            (&["--dataset", "sales", "--day", "2026-01-01"], "pos_sales"),
            (&["--dataset", "pos_sales", "--day", "20260101"], "YYYY-MM-DD"),
            (&["--queue", "dirty", "--dataset", "a", "--day", "2026-01-01"], "cannot be used"),
        ] {
            let error = requests(words).unwrap_err().to_string();
            assert!(error.contains(mention), "{words:?}: {error}");
        }
    }
}
