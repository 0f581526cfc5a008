//! Demo data: three days of a shop from all of its sources.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use chrono::{NaiveDate, TimeDelta, Utc};
use clap::Args;

use crate::progress::step;
use crate::reconcile::{self, Balance, reconcile};
use crate::settle::Pipeline;
use crate::sources::{Shop, Sources};
use crate::target::{DefinitionArguments, TargetArguments};
use crate::text::print_line;

/// The shop of the demo.
pub(crate) const SHOP: &str = "acme";
const DAYS: i64 = 3;
const WEB_EVENTS: usize = 1000;
const CRM_INTERACTIONS: usize = 300;
const POS_ROWS: usize = 500;
const LOCATIONS: usize = 3;
/// The products, prices and customers that all sources of the shop agree on.
const WORLD: [&str; 4] = ["--seed", "7", "--products", "40"];

/// Feeds a shop of the demo with three days from all sources, and waits for the KPIs
#[derive(Debug, Args)]
pub(crate) struct DemoDataArguments {
    /// The shop that the events belong to.
    #[arg(long, value_name = "SHOP", default_value = SHOP)]
    shop: String,
    /// The shop's webhook secret, whsec_<base64>.
    #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true)]
    secret: String,
    /// How long the data may take to arrive in the warehouse.
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    timeout: u64,
    /// Prints the balances as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    definitions: DefinitionArguments,
}

/// Sends the days' events, polls the days' batches, waits until the warehouse has them, and prints
/// what happened to each event.
pub(crate) async fn run(arguments: DemoDataArguments, target: &TargetArguments) -> Result<()> {
    let DemoDataArguments { shop, secret, timeout, json, definitions } = arguments;
    let shop = Shop { id: shop, webhook_secret: secret };
    let target = target.load().await?;
    let pipeline = Pipeline::new(&target, &definitions)?;
    let sources = Sources::new(&target)?;
    let today = Utc::now().date_naive();
    let days: Vec<NaiveDate> = (1..=DAYS).rev().map(|age| today - TimeDelta::days(age)).collect();
    let balances = feed(&pipeline, &sources, &shop, &days, Duration::from_secs(timeout)).await?;
    if json {
        print_line(serde_json::to_string(&balances)?)?;
    } else {
        print_line(reconcile::show(&balances))?;
    }
    reconcile::check(&balances)
}

async fn feed(
    pipeline: &Pipeline,
    sources: &Sources<'_>,
    shop: &Shop,
    days: &[NaiveDate],
    timeout: Duration,
) -> Result<Vec<Balance>> {
    let before = reconcile(&pipeline.lake, &pipeline.contracts, Some(&shop.id)).await?;
    let mut expected: BTreeMap<String, usize> =
        before.into_iter().map(|balance| (balance.dataset, balance.received)).collect();

    let count = days.len() * (WEB_EVENTS + CRM_INTERACTIONS);
    step(&format!("post {count} signed events of web and CRM"), async {
        for day in days {
            for (source, dataset, events) in
                [("web", "web_traffic", WEB_EVENTS), ("crm", "crm_interactions", CRM_INTERACTIONS)]
            {
                let (day, events) = (day.to_string(), events.to_string());
                let arguments = arguments(&["--date", &day, "--events", &events]);
                let posted = sources.post(source, shop, &arguments).await?;
                *expected.entry(dataset.to_owned()).or_default() += posted.accepted;
            }
        }
        anyhow::Ok(())
    })
    .await?;

    step(&format!("poll the sales of {} days", days.len()), async {
        let rows = POS_ROWS.to_string();
        let api = sources.api("pos", &arguments(&["--rows-per-day", &rows])).await?;
        for day in days {
            sources.run_pos_connector(&shop.id, &api, *day, None).await?;
        }
        anyhow::Ok(())
    })
    .await?;

    step(&format!("poll the stock of {} hours", 24 * days.len()), async {
        let locations = LOCATIONS.to_string();
        let api = sources.api("inventory", &arguments(&["--locations", &locations])).await?;
        let span = (days[0], days[days.len() - 1]);
        sources.run_inventory_connector(&shop.id, &api, span).await
    })
    .await?;

    // A connector sends its control total last, so if that has arrived, all rows have.
    *expected.entry("control_totals".to_owned()).or_default() += days.len() + 24 * days.len();
    step(
        "wait until the warehouse has the KPIs",
        pipeline.wait_until_settled(&expected, &shop.id, timeout),
    )
    .await
}

fn arguments(own: &[&str]) -> Vec<String> {
    WORLD.iter().chain(own).map(|word| (*word).to_owned()).collect()
}
