//! Sources of an API's rows.

use std::path::PathBuf;

use clap::Args;
use shoplake_sample_source::{
    inventory,
    pos::{self, DayFiles},
};

use super::Sizes;

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
    #[command(flatten)]
    sizes: Sizes,
}

impl PosSource {
    pub(crate) fn data_source(&self) -> pos::Days {
        match &self.csv {
            Some(folder) => pos::Days::Files(DayFiles::new(folder)),
            None => pos::Days::Generated(pos::Generator {
                world: self.sizes.world(self.seed.unwrap_or_default()),
                rows_per_day: self.rows_per_day,
            }),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InventorySource {
    /// The same seed counts the same stock.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Locations with stock, at most 9: the warehouse, then stores; the third one counts in euros.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u8).range(1..=9)
    )]
    locations: u8,
    /// Every n-th hour has no snapshot: the API answers 404.
    #[arg(long, value_name = "N", default_value_t = 0)]
    gap_every: u32,
    #[command(flatten)]
    sizes: Sizes,
}

impl InventorySource {
    pub(crate) fn data_source(&self) -> inventory::Generator {
        inventory::Generator::new(
            self.sizes.world(self.seed),
            usize::from(self.locations),
            self.gap_every,
        )
    }
}
