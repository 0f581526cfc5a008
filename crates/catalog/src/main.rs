//! Writes the catalog of the lake's tables as JSON, or prints the data dictionary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use serde::Serialize;
use shoplake_catalog::{catalog, dictionary};
use shoplake_contracts::Contracts;
use shoplake_models::Models;

/// Describes the lake's tables. Terraform makes the Glue Data Catalog of the JSON file. The same
/// definitions give the same bytes.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the contracts.
    #[arg(long, value_name = "DIR", default_value = "crates/contracts/schemas")]
    schemas: PathBuf,
    /// The folder of the models.
    #[arg(long, value_name = "DIR", default_value = "glue-sql")]
    sql: PathBuf,
    /// The JSON file to write. Without it, the data dictionary is printed as Markdown.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The JSON file to write the index of the models to, for the control function.
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let contracts = Contracts::load(&arguments.schemas)?;
    let models = Models::load(&arguments.sql, &contracts)?;
    if let Some(out) = &arguments.models {
        write(out, &models.index())?;
        if arguments.out.is_none() {
            return Ok(());
        }
    }
    let catalog = catalog(&contracts, &models).await?;
    let Some(out) = arguments.out else {
        print!("{}", dictionary(&catalog));
        return Ok(());
    };
    write(&out, &catalog)
}

fn write(out: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_string_pretty(content)?;
    json.push('\n');
    fs::write(out, json).with_context(|| format!("cannot write {}", out.display()))
}
