//! The teams' report: in the terminal, as JSON, and as a page that can be opened, printed and sent.

mod charts;
mod markup;
mod model;
mod numbers;
mod page;
mod query;
mod read;
mod series;
mod teams;
mod terminal;

use std::path::PathBuf;

use anyhow::{Context, Result};
use chrono::{NaiveDate, Utc};
use clap::Args;
use serde_json::{Value as Json, json};

use crate::target::TargetArguments;
use crate::text::print_line;
use model::{Headline, Report, Unit};
use numbers::{Number, Value};

/// Shows every team's KPIs, and writes them with charts as a page
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Where the page goes.
    #[arg(long, value_name = "FILE", default_value = ".local/report.html")]
    out: PathBuf,
    /// The day that is not over [default: today, UTC].
    #[arg(long, value_name = "YYYY-MM-DD")]
    today: Option<NaiveDate>,
    /// Prints the headline numbers as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads the warehouse, prints every team's KPIs and writes the page.
pub(crate) async fn run(arguments: ReportArguments, target: &TargetArguments) -> Result<()> {
    let target = target.load().await?;
    let now = Utc::now();
    let today = arguments.today.unwrap_or_else(|| now.date_naive());
    let report = read::read(&target.warehouse()?, now, today).await?;
    let file = &arguments.out;
    let written =
        || format!("cannot write {}; check the path and who may write it", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(written)?;
    }
    std::fs::write(file, page::page(&report)).with_context(written)?;
    let place = file.canonicalize().with_context(written)?;
    if arguments.json {
        print_line(summary_json(&report))
    } else {
        print_line(terminal::summary(&report))?;
        print_line(format_args!("\nThe report with charts: file://{}", place.display()))
    }
}

fn summary_json(report: &Report) -> Json {
    let shops: Vec<Json> = report
        .shops
        .iter()
        .map(|shop| {
            let teams: Vec<Json> = shop
                .sections
                .iter()
                .map(|section| {
                    let headlines: Vec<Json> = section.headlines.iter().map(headline).collect();
                    json!({"team": section.team, "headlines": headlines})
                })
                .collect();
            json!({"shop_id": shop.shop_id, "partial": shop.partial(), "teams": teams})
        })
        .collect();
    let health: Vec<Json> = report.health.iter().map(headline).collect();
    json!({"made_at": report.made_at, "shops": shops, "data_quality": health})
}

/// A headline for programs: decimals are strings, so that they keep their digits.
fn headline(headline: &Headline) -> Json {
    let value = match &headline.value {
        Value::Unknown => Json::Null,
        Value::Number(Number::Integer(number)) => json!(number),
        Value::Number(Number::Double(number)) => json!(number),
        Value::Number(Number::Decimal(number)) => json!(number.to_string()),
        Value::Text(text) => json!(text),
    };
    let currency = match &headline.unit {
        Unit::Money(currency) => Some(currency),
        _ => None,
    };
    json!({
        "key": headline.key,
        "label": headline.label,
        "value": value,
        "currency": currency,
        "note": headline.note,
    })
}
