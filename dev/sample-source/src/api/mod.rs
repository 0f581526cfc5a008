//! An API that hands out rows page by page to the holder of a token, with faults on request.

mod cursor;
mod server;

use std::{fmt::Display, path::Path, str::FromStr};

use anyhow::Context;
use serde::Serialize;

use crate::record::Recorder;

pub use server::{Faults, Server};

/// The rows behind an API, by day or by hour.
pub trait DataSource: Send + Sync + 'static {
    /// The API's path.
    const PATH: &'static str;

    /// The query parameter that names the period.
    const PARAMETER: &'static str;

    /// The type of the parameter: a day or an hour.
    type Period: FromStr + Display + Copy + PartialEq + Send + Sync;

    /// The type of the rows.
    type Row: Serialize + Send + Sync + 'static;

    /// Returns the rows of a period, always in the same order; none if the system has no record of
    /// it.
    ///
    /// # Errors
    /// When there are rows that cannot be read.
    fn rows(&self, period: Self::Period) -> anyhow::Result<Option<Vec<Self::Row>>>;
}

/// Writes the API's rows to a file, a row per line; returns how many.
///
/// # Errors
/// When there are rows that cannot be read, or the file cannot be written.
pub fn dump<S: DataSource>(
    source: &S,
    periods: impl IntoIterator<Item = S::Period>,
    path: &Path,
) -> anyhow::Result<u64> {
    let mut recorder =
        Recorder::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut count = 0;
    for period in periods {
        for row in source.rows(period)?.unwrap_or_default() {
            recorder.record(&serde_json::value::to_raw_value(&row)?)?;
            count += 1;
        }
    }
    recorder.finish()?;
    Ok(count)
}
