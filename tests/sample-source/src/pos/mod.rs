//! A point-of-sale system: one business day at a time, page by page.

mod cursor;
mod day_files;
mod generator;
mod sale;
mod server;

pub use day_files::DayFiles;
pub use generator::Generator;
pub use sale::Sale;
pub use server::{Faults, Server};

use chrono::NaiveDate;

/// Where the sales of a day come from.
#[derive(Debug, Clone)]
pub enum Days {
    /// One CSV file per day.
    Files(DayFiles),
    /// Invented from a seed.
    Generated(Generator),
}

impl Days {
    /// The sales lines of `day`, in an order that never changes; none when there was no trading.
    ///
    /// # Errors
    /// When the day's file exists but cannot be read.
    pub fn sales(&self, day: NaiveDate) -> anyhow::Result<Vec<Sale>> {
        match self {
            Self::Files(files) => files.sales(day),
            Self::Generated(generator) => Ok(generator.sales(day)),
        }
    }
}
