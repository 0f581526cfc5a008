//! The command line.

mod data_sources;
mod dump;
mod event_sources;
mod hostile;
mod serve;

use chrono::{Days, NaiveDate, Utc};
use clap::{Args, Parser, Subcommand};
use shoplake_sample_source::world::World;

pub(crate) use data_sources::{InventorySource, PosSource};
pub(crate) use dump::{Dump, DumpedRows};
pub(crate) use event_sources::{Crm, Post, Web};
pub(crate) use hostile::Hostile;
pub(crate) use serve::{Listen, Serve};

/// Test equipment: emulates the systems that send data to Shoplake.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves a point-of-sale API until interrupted.
    Pos(Pos),
    /// Serves an inventory API until interrupted.
    Inventory(Inventory),
    /// Sends the events of a web shop's visitors; prints a summary as JSON.
    Web(Web),
    /// Sends the interactions of a CRM; prints a summary as JSON.
    Crm(Crm),
    /// Writes what an API would hand out to a file, a row per line; prints a summary as JSON.
    Dump(Dump),
    /// Emulates a shop whose systems do everything wrong; each item has a known fate.
    #[command(subcommand)]
    Hostile(Hostile),
}

#[derive(Debug, Args)]
pub(crate) struct Pos {
    #[command(flatten)]
    pub(crate) source: PosSource,
    /// The bearer token that clients must show.
    #[arg(long, env = "POS_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Args)]
pub(crate) struct Inventory {
    #[command(flatten)]
    pub(crate) source: InventorySource,
    /// The bearer token that clients must show.
    #[arg(long, env = "INVENTORY_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// The size of the world. Sources with the same sizes and seed have the same products and
/// customers.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sizes {
    /// Products of the world.
    #[arg(
        long,
        value_name = "N",
        default_value_t = World::new(0).products,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    products: u32,
    /// Customers of the world.
    #[arg(
        long,
        value_name = "N",
        default_value_t = World::new(0).customers,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    customers: u32,
}

impl Sizes {
    fn world(self, seed: u64) -> World {
        World { seed, products: self.products, customers: self.customers }
    }
}

/// Returns the last day that is over (UTC).
fn yesterday() -> NaiveDate {
    let today = Utc::now().date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn is_valid(line: &str) -> bool {
        Arguments::try_parse_from(["sample-source"].into_iter().chain(line.split(' '))).is_ok()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn pos_needs_files_or_a_seed() {
        assert!(!is_valid("pos --token t"));
        assert!(is_valid("pos --token t --seed 1"));
        assert!(is_valid("pos --token t --csv days"));
        assert!(!is_valid("pos --token t --csv days --seed 1"));
    }

    #[test]
    fn a_dry_run_needs_no_target() {
        for source in ["web", "crm"] {
            assert!(is_valid(&format!("{source} --events 10 --dry-run events.ndjson")));
            assert!(!is_valid(&format!("{source} --events 10")));
        }
    }

    #[test]
    fn a_dump_needs_a_day_or_a_range_and_no_token() {
        assert!(is_valid("dump pos --seed 1 --date 2026-11-01 --out rows.ndjson"));
        assert!(is_valid(
            "dump inventory --locations 3 --date 2026-11-01 --to 2026-11-30 --out rows.ndjson"
        ));
        assert!(!is_valid("dump inventory --seed 1 --out rows.ndjson"));
    }

    #[test]
    fn arguments_of_a_hostile_source_are_parsed() {
        assert!(is_valid("hostile pos --token t --date 2026-11-01 --corrected --answer null-data"));
        assert!(is_valid("hostile inventory --token t --from 2026-11-01T22 --to 2026-11-02T03"));
        assert!(is_valid("hostile post --api-url http://a --shop s --secret whsec_AAAA"));
        assert!(!is_valid("hostile inventory --token t --from 2026-11-01 --to 2026-11-02"));
        assert!(!is_valid("hostile pos --token t --date 2026-11-01 --answer poem"));
    }
}
