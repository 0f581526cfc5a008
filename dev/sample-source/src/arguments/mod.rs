//! What the command line says.

mod books;
mod dump;
mod feeds;
mod hostile;
mod serve;

use chrono::{Days, NaiveDate, Utc};
use clap::{Args, Parser, Subcommand};
use shoplake_sample_source::world::World;

pub(crate) use books::{InventorySource, PosSource};
pub(crate) use dump::{Book, Dump};
pub(crate) use feeds::{Crm, Post, Web};
pub(crate) use hostile::Hostile;
pub(crate) use serve::{Listen, Serve};

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
    /// Plays an inventory API until interrupted.
    Inventory(Inventory),
    /// Sends the events of a web shop's visitors; prints a summary as JSON.
    Web(Web),
    /// Sends the interactions of a CRM; prints a summary as JSON.
    Crm(Crm),
    /// Writes what an API would hand out to a file, a row per line; prints a summary as JSON.
    Dump(Dump),
    /// Plays a shop whose systems do everything wrong; each item has a known fate.
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

/// How big the world is. Sources that are to agree need the same sizes and the same seed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sizes {
    /// Products of the world.
    #[arg(long, value_name = "N", default_value_t = World::new(0).products, value_parser = clap::value_parser!(u32).range(1..))]
    products: u32,
    /// Customers of the world.
    #[arg(long, value_name = "N", default_value_t = World::new(0).customers, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
}

impl Sizes {
    fn world(self, seed: u64) -> World {
        World { seed, products: self.products, customers: self.customers }
    }
}

/// The last day that is over.
fn yesterday() -> NaiveDate {
    let today = Utc::now().date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn is_understood(line: &str) -> bool {
        Arguments::try_parse_from(["sample-source"].into_iter().chain(line.split(' '))).is_ok()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn given_neither_files_nor_a_seed_then_there_is_no_pos() {
        assert!(!is_understood("pos --token t"));
        assert!(is_understood("pos --token t --seed 1"));
        assert!(is_understood("pos --token t --csv days"));
        assert!(!is_understood("pos --token t --csv days --seed 1"));
    }

    #[test]
    fn given_a_dry_run_then_no_target_is_needed() {
        for feed in ["web", "crm"] {
            assert!(is_understood(&format!("{feed} --events 10 --dry-run events.ndjson")));
            assert!(!is_understood(&format!("{feed} --events 10")));
        }
    }

    #[test]
    fn given_a_dump_then_a_day_or_a_range_of_days_is_needed_and_no_token() {
        assert!(is_understood("dump pos --seed 1 --date 2026-11-01 --out rows.ndjson"));
        assert!(is_understood(
            "dump inventory --seed 1 --locations 3 --date 2026-11-01 --to 2026-11-30 --out rows.ndjson"
        ));
        assert!(!is_understood("dump inventory --seed 1 --out rows.ndjson"));
    }

    #[test]
    fn given_a_hostile_source_then_a_day_or_hours_and_the_kind_of_answer_are_understood() {
        assert!(is_understood(
            "hostile pos --token t --date 2026-11-01 --corrected --answer null-data"
        ));
        assert!(is_understood(
            "hostile inventory --token t --from 2026-11-01T22 --to 2026-11-02T03"
        ));
        assert!(is_understood("hostile post --api-url http://a --shop s --secret whsec_AAAA"));
        assert!(!is_understood("hostile inventory --token t --from 2026-11-01 --to 2026-11-02"));
        assert!(!is_understood("hostile pos --token t --date 2026-11-01 --answer poem"));
    }
}
