//! The tables of the lake as JSON for the packaging, or as a data dictionary for people.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use shoplake_catalog::{catalog, dictionary};

use crate::target::DefinitionArguments;
use crate::text::print_line;

/// Prints the data dictionary, or writes the tables of the lake and the index of the models as JSON
#[derive(Debug, Args)]
pub(crate) struct CatalogArguments {
    #[command(flatten)]
    definitions: DefinitionArguments,
    /// The JSON file to write, from which Terraform makes the Glue Data Catalog. Without it, the
    /// data dictionary is printed as Markdown.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The JSON file to write the index of the models to, for the functions load and control.
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
}

/// Describes the tables of the definitions, without a deployment. The same definitions give the
/// same bytes.
pub(crate) async fn run(arguments: CatalogArguments) -> Result<()> {
    let contracts = arguments.definitions.contracts()?;
    let models = arguments.definitions.models(&contracts)?;
    if let Some(file) = &arguments.models {
        write(file, &models.index())?;
        if arguments.out.is_none() {
            return Ok(());
        }
    }
    let catalog = catalog(&contracts, &models).await?;
    match &arguments.out {
        Some(file) => write(file, &catalog),
        None => print_line(dictionary(&catalog).trim_end()),
    }
}

fn write(file: &Path, content: &impl Serialize) -> Result<()> {
    let mut json = serde_json::to_string_pretty(content)?;
    json.push('\n');
    fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))
}
