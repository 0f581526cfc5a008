//! Writes the catalog of the lake's tables as JSON.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use shoplake_catalog::catalog;
use shoplake_contracts::Contracts;
use shoplake_models::Models;

/// Writes what the lake's tables look like, as JSON: what Terraform makes the Glue Data Catalog of.
/// The same definitions give the same file.
#[derive(Debug, Parser)]
struct Arguments {
    /// The contracts.
    #[arg(long, value_name = "DIR", default_value = "crates/contracts/schemas")]
    schemas: PathBuf,
    /// The models.
    #[arg(long, value_name = "DIR", default_value = "glue-sql")]
    sql: PathBuf,
    /// Where to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let contracts = Contracts::load(&arguments.schemas)?;
    let models = Models::load(&arguments.sql, &contracts)?;
    let mut json = serde_json::to_string_pretty(&catalog(&contracts, &models).await?)?;
    json.push('\n');
    fs::write(&arguments.out, json).with_context(|| format!("writing {}", arguments.out.display()))
}
