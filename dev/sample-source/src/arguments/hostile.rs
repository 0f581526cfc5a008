//! A shop that does everything wrong.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
use shoplake_sample_source::{
    hostile::{Answer, Api, Delivery, Row, RowsOf, requests, sales, send, serve, stock},
    post::{Secret, Target},
};

use super::Listen;

#[derive(Debug, Subcommand)]
pub(crate) enum Hostile {
    /// Posts web events and CRM interactions; prints the expected and the real answers as JSON.
    Post(HostilePost),
    /// Serves a point-of-sale API until interrupted.
    Pos(HostilePos),
    /// Serves an inventory API until interrupted.
    Inventory(HostileInventory),
}

#[derive(Debug, Args)]
pub(crate) struct HostilePost {
    /// The API without the path, such as https://api.example.com/local.
    #[arg(long)]
    api_url: String,
    /// The shop to send as.
    #[arg(long)]
    shop: String,
    /// The shop's webhook secret, whsec_<base64>.
    #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true)]
    secret: Secret,
    /// Part of the items' ids; another seed gives other items.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests of unknown shops under way at a time.
    #[arg(long, default_value_t = 8, value_name = "N")]
    flood: usize,
}

#[derive(Debug, Args)]
pub(crate) struct HostilePos {
    #[command(flatten)]
    api: HostileApi,
    /// The business day of the account.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: NaiveDate,
    /// Delivers the day with a corrected and a voided receipt.
    #[arg(long)]
    corrected: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HostileInventory {
    #[command(flatten)]
    api: HostileApi,
    /// The first hour of the account.
    #[arg(long, value_name = "YYYY-MM-DDTHH", value_parser = hour)]
    from: DateTime<Utc>,
    /// The last hour.
    #[arg(long, value_name = "YYYY-MM-DDTHH", value_parser = hour)]
    to: DateTime<Utc>,
}

#[derive(Debug, Args)]
pub(crate) struct HostileApi {
    /// The bearer token that clients must show.
    #[arg(long, env = "HOSTILE_TOKEN", hide_env_values = true)]
    token: String,
    /// The same seed hands out the same rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The answers: pages, or something from which a client cannot recover.
    #[arg(long, value_enum, default_value_t = Answer::Pages)]
    answer: Answer,
    /// The file for each row and its fate, as JSON; written before the API listens.
    #[arg(long, value_name = "FILE.json")]
    account: Option<PathBuf>,
    #[command(flatten)]
    listen: Listen,
}

impl Hostile {
    /// Runs the command.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let now = Utc::now();
        match self {
            Self::Post(post) => post.run(now).await,
            Self::Pos(HostilePos { api, date, corrected }) => {
                let delivery = if corrected { Delivery::Corrected } else { Delivery::First };
                let rows = move |seed, day| sales(seed, day, now, delivery);
                let account = rows(api.seed, date);
                let seed = api.seed;
                let of = move |text: &str| Some(rows(seed, text.parse().ok()?));
                api.serve("/v1/sales", "business_date", account, Box::new(of)).await
            }
            Self::Inventory(HostileInventory { api, from, to }) => {
                ensure!(from <= to, "expected --from before --to");
                let hours =
                    std::iter::successors(Some(from), |hour| Some(*hour + Duration::hours(1)));
                let seed = api.seed;
                let account = hours
                    .take_while(|hour| *hour <= to)
                    .flat_map(|hour| stock(seed, hour))
                    .collect();
                let of = move |text: &str| {
                    Some(stock(seed, DateTime::parse_from_rfc3339(text).ok()?.to_utc()))
                };
                api.serve("/v1/inventory", "snapshot_at", account, Box::new(of)).await
            }
        }
    }
}

impl HostilePost {
    async fn run(self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Self { api_url, shop, secret, seed, flood } = self;
        let accounts = send(&Target { api_url, shop, secret }, requests(seed, now), flood).await?;
        let unexpected = accounts.iter().filter(|account| !account.as_expected).count();
        println!("{}", json!({ "requests": accounts, "unexpected": unexpected }));
        Ok(())
    }
}

impl HostileApi {
    async fn serve(
        self,
        path: &'static str,
        parameter: &'static str,
        account: Vec<Row>,
        rows: RowsOf,
    ) -> anyhow::Result<()> {
        if let Some(file) = &self.account {
            write(file, &account)?;
        }
        let listener = self.listen.bind().await?;
        let api = Api { path, parameter, rows, token: self.token, answer: self.answer };
        tokio::select! {
            served = serve(api, listener) => served.context("serving"),
            signal = tokio::signal::ctrl_c() => signal.context("waiting for an interrupt"),
        }
    }
}

fn write(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let sent = rows.iter().filter(|row| !row.repeated).count();
    let account = json!({ "rows": rows, "sent": sent });
    std::fs::write(file, account.to_string()).with_context(|| format!("writing {}", file.display()))
}

fn hour(text: &str) -> Result<DateTime<Utc>, String> {
    NaiveDateTime::parse_from_str(&format!("{text}:00"), "%Y-%m-%dT%H:%M")
        .map(|hour| hour.and_utc())
        .map_err(|error| format!("expected an hour such as 2026-11-21T10: {error}"))
}
