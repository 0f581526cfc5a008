//! A point-of-sale system: one business day at a time, page by page.

mod day_files;
mod generator;
mod sale;

pub use day_files::DayFiles;
pub use generator::Generator;
pub use sale::Sale;

use chrono::NaiveDate;

use crate::api::Book;

/// Where the sales of a day come from.
#[derive(Debug, Clone)]
pub enum Days {
    /// One CSV file per day.
    Files(DayFiles),
    /// Invented from a seed.
    Generated(Generator),
}

impl Book for Days {
    const PATH: &'static str = "/v1/sales";
    const PARAMETER: &'static str = "business_date";
    type Period = NaiveDate;
    type Row = Sale;

    /// The sales lines of `day`; none when there was no trading.
    fn rows(&self, day: NaiveDate) -> anyhow::Result<Option<Vec<Sale>>> {
        match self {
            Self::Files(files) => files.sales(day).map(Some),
            Self::Generated(generator) => Ok(Some(generator.sales(day))),
        }
    }
}
