//! The rows of an API, as a file.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{InventorySource, PosSource};

#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[command(subcommand)]
    pub(crate) rows: DumpedRows,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DumpedRows {
    /// The sales lines of business days.
    Pos {
        #[command(flatten)]
        source: PosSource,
        #[command(flatten)]
        days: Days,
    },
    /// The stock levels of the 24 hours of days.
    Inventory {
        #[command(flatten)]
        source: InventorySource,
        #[command(flatten)]
        days: Days,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Days {
    /// The day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: NaiveDate,
    /// The last of several days, of which --date is the first.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<NaiveDate>,
    /// The file to write.
    #[arg(long, value_name = "FILE.ndjson")]
    pub(crate) out: PathBuf,
}

impl Days {
    pub(crate) fn iter(&self) -> impl Iterator<Item = NaiveDate> {
        let last = self.to.unwrap_or(self.date);
        self.date.iter_days().take_while(move |day| *day <= last)
    }
}
