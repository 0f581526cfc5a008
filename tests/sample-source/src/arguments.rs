//! What the command line says.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use chrono::{Days, NaiveDate, Utc};
use clap::{Args, Parser, Subcommand};
use sample_source::{
    pos::{self, DayFiles, Faults, Generator},
    web::{Plan, Secret, Target},
};

/// Test equipment: plays the systems that feed Shoplake.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plays a point-of-sale API until interrupted.
    Pos(Pos),
    /// Sends the events of a web shop's visitors; prints a summary as JSON.
    Web(Web),
}

#[derive(Debug, Args)]
pub(crate) struct Pos {
    #[command(flatten)]
    pub(crate) source: PosSource,
    /// The bearer token that clients must show.
    #[arg(long, env = "POS_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Is written with the port once requests are taken.
    #[arg(long)]
    pub(crate) port_file: Option<PathBuf>,
    /// Answers every n-th request with 503.
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_every: u64,
    /// Answers every n-th request with 429.
    #[arg(long, default_value_t = 0, value_name = "N")]
    throttle_every: u64,
    /// What a 429 tells the client to wait.
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    retry_after: u64,
}

impl Pos {
    pub(crate) fn faults(&self) -> Faults {
        Faults {
            fail_every: self.fail_every,
            throttle_every: self.throttle_every,
            retry_after_seconds: self.retry_after,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PosSource {
    /// Folder of day files YYYY-MM-DD.csv[.gz] in the layout of the UCI data set "Online Retail".
    #[arg(long, value_name = "DIR", required_unless_present = "seed")]
    csv: Option<PathBuf>,
    /// Invents the days from this seed.
    #[arg(long, value_name = "N", conflicts_with = "csv")]
    seed: Option<u64>,
    /// Lines of an invented day.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    rows_per_day: usize,
}

impl PosSource {
    pub(crate) fn days(&self) -> pos::Days {
        match &self.csv {
            Some(folder) => pos::Days::Files(DayFiles::new(folder)),
            None => pos::Days::Generated(Generator {
                seed: self.seed.unwrap_or_default(),
                rows_per_day: self.rows_per_day,
            }),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Web {
    /// The API without the path, such as https://api.example.com/local.
    #[arg(long, required_unless_present = "dry_run")]
    api_url: Option<String>,
    /// The shop to send as.
    #[arg(long, required_unless_present = "dry_run")]
    shop: Option<String>,
    /// The shop's webhook secret, whsec_<base64>.
    #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true, required_unless_present = "dry_run")]
    secret: Option<Secret>,
    /// The same seed and date send the same requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// New events; second copies and dirt come on top.
    #[arg(long, value_name = "N")]
    events: u64,
    /// The day of the events [default: yesterday, UTC].
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<NaiveDate>,
    /// Events per request.
    #[arg(long, default_value_t = 100, value_name = "N")]
    batch: usize,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub(crate) concurrency: usize,
    /// Sends nothing: writes the events that are to be accepted, second copies included, to this file.
    #[arg(long, value_name = "FILE.ndjson", conflicts_with = "out")]
    pub(crate) dry_run: Option<PathBuf>,
    /// Writes the accepted events to this file while sending.
    #[arg(long, value_name = "FILE.ndjson")]
    pub(crate) out: Option<PathBuf>,
}

impl Web {
    pub(crate) fn plan(&self) -> Plan {
        let today = Utc::now().date_naive();
        let day = self.date.unwrap_or_else(|| today.checked_sub_days(Days::new(1)).unwrap_or(today));
        Plan { seed: self.seed, day, events: self.events, batch: self.batch }
    }

    pub(crate) fn target(self) -> anyhow::Result<Target> {
        Ok(Target {
            api_url: self.api_url.context("expected --api-url")?,
            shop: self.shop.context("expected --shop")?,
            secret: self.secret.context("expected --secret")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn given_neither_files_nor_a_seed_then_there_is_no_pos() {
        assert!(Arguments::try_parse_from(["sample-source", "pos", "--token", "t"]).is_err());
        assert!(Arguments::try_parse_from(["sample-source", "pos", "--token", "t", "--seed", "1"]).is_ok());
    }

    #[test]
    fn given_a_dry_run_then_no_target_is_needed() {
        let line = ["sample-source", "web", "--events", "10", "--dry-run", "events.ndjson"];

        assert!(Arguments::try_parse_from(line).is_ok());
        assert!(Arguments::try_parse_from(&line[..4]).is_err());
    }
}
