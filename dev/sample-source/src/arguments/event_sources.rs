//! Sources that post events.

use std::path::PathBuf;

use anyhow::Context;
use chrono::NaiveDate;
use clap::Args;
use shoplake_sample_source::{
    crm::Interactions,
    post::{Plan, Secret, Target},
    web::Traffic,
};

use super::{Sizes, yesterday};

#[derive(Debug, Args)]
pub(crate) struct Web {
    /// New events; copies and invalid events come on top.
    #[arg(long, value_name = "N")]
    events: u64,
    #[command(flatten)]
    pub(crate) post: Post,
}

impl Web {
    pub(crate) fn plan(&self) -> Plan<Traffic> {
        let Post { seed, sizes, batch, .. } = self.post;
        Plan {
            source: Traffic { world: sizes.world(seed), day: self.post.day(), events: self.events },
            batch,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Crm {
    /// Interactions of a day, about; the same number for consecutive days. Copies and invalid
    /// events come on top.
    #[arg(long, value_name = "N")]
    events: u64,
    #[command(flatten)]
    pub(crate) post: Post,
}

impl Crm {
    pub(crate) fn plan(&self) -> Plan<Interactions> {
        let Post { seed, sizes, batch, .. } = self.post;
        let source =
            Interactions { world: sizes.world(seed), day: self.post.day(), events: self.events };
        Plan { source, batch }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Post {
    /// The API without the path, such as https://api.example.com/local.
    #[arg(long, required_unless_present = "dry_run")]
    api_url: Option<String>,
    /// The shop to send as.
    #[arg(long, required_unless_present = "dry_run")]
    shop: Option<String>,
    /// The shop's webhook secret, whsec_<base64>.
    #[arg(
        long,
        env = "WEBHOOK_SECRET",
        hide_env_values = true,
        required_unless_present = "dry_run"
    )]
    secret: Option<Secret>,
    /// The same seed and date send the same requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day of the events [default: yesterday, UTC].
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<NaiveDate>,
    #[command(flatten)]
    sizes: Sizes,
    /// Events per request.
    #[arg(long, default_value_t = 100, value_name = "N")]
    batch: usize,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub(crate) concurrency: usize,
    /// Sends nothing: writes the events that would be accepted, copies included, to this file.
    #[arg(long, value_name = "FILE.ndjson", conflicts_with = "out")]
    pub(crate) dry_run: Option<PathBuf>,
    /// Writes the accepted events to this file while sending.
    #[arg(long, value_name = "FILE.ndjson")]
    pub(crate) out: Option<PathBuf>,
}

impl Post {
    fn day(&self) -> NaiveDate {
        self.date.unwrap_or_else(yesterday)
    }

    pub(crate) fn target(self) -> anyhow::Result<Target> {
        Ok(Target {
            api_url: self.api_url.context("expected --api-url")?,
            shop: self.shop.context("expected --shop")?,
            secret: self.secret.context("expected --secret")?,
        })
    }
}
