//! Fixtures that tests of several crates share. Only dev-dependencies use this crate.
#![allow(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod lake;

use std::path::{Path, PathBuf};

use shoplake_contracts::Contracts;
use shoplake_models::Models;

pub use lake::{Lake, Row, row, texts};

/// The schema of a small dataset, `visits`, partitioned by the day of `at`.
pub const VISITS: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Visits",
    "description": "d", "type": "object",
    "x-dataset": {"source": "web", "delivery": "stream", "key": ["shop_id", "visit_id"],
                  "version": null, "event_time": "at", "partition": "day(at)",
                  "sort": ["shop_id"], "personal": []},
    "required": ["visit_id", "at"],
    "properties": {"shop_id": {"type": "string", "description": "d"},
                   "visit_id": {"type": "string", "description": "d"},
                   "at": {"type": "string", "format": "date-time", "description": "d"}}
}"#;

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the contracts and models of the repository.
pub fn definitions() -> (Contracts, Models) {
    let contracts = Contracts::load(&repository().join("crates/contracts/schemas")).unwrap();
    let models = Models::load(&repository().join("glue-sql"), &contracts).unwrap();
    (contracts, models)
}

/// Returns contracts with the dataset `visits` alone.
pub fn visits() -> Contracts {
    Contracts::from_sources([("visits", VISITS)]).unwrap()
}
