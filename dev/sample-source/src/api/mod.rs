//! An API that hands out rows page by page to the holder of a token, and misbehaves on request.

mod cursor;
mod server;

use std::{fmt::Display, path::Path, str::FromStr};

use anyhow::Context;
use serde::Serialize;

use crate::record::Recorder;

pub use server::{Faults, Server};

/// What an API hands out: rows, by day or by hour.
pub trait Book: Send + Sync + 'static {
    /// Where it is asked for.
    const PATH: &'static str;

    /// The parameter that says which of its pages are asked for.
    const PARAMETER: &'static str;

    /// What the parameter is.
    type Period: FromStr + Display + Copy + PartialEq + Send + Sync;

    /// What the rows are.
    type Row: Serialize + Send + Sync + 'static;

    /// The rows of a period, in an order that never changes; nothing when the system has no record
    /// of it.
    ///
    /// # Errors
    /// When there are rows that cannot be read.
    fn rows(&self, period: Self::Period) -> anyhow::Result<Option<Vec<Self::Row>>>;
}

/// Writes what the API would hand out to a file, a row per line; returns how many.
///
/// # Errors
/// When there are rows that cannot be read, or the file cannot be written.
pub fn dump<B: Book>(
    book: &B,
    periods: impl IntoIterator<Item = B::Period>,
    path: &Path,
) -> anyhow::Result<u64> {
    let mut recorder =
        Recorder::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut count = 0;
    for period in periods {
        for row in book.rows(period)?.unwrap_or_default() {
            recorder.record(&serde_json::value::to_raw_value(&row)?)?;
            count += 1;
        }
    }
    recorder.finish()?;
    Ok(count)
}
