//! A point-of-sale system: one business day at a time, page by page.

mod day_files;
mod generator;
mod sale;

pub use day_files::DayFiles;
pub use generator::Generator;
pub use sale::Sale;

use chrono::NaiveDate;

use crate::api::DataSource;

/// The sales of days.
#[derive(Debug, Clone)]
pub enum Days {
    /// One CSV file per day.
    Files(DayFiles),
    /// Invented from a seed.
    Generated(Generator),
}

impl DataSource for Days {
    const PATH: &'static str = "/v1/sales";
    const PARAMETER: &'static str = "business_date";
    type Period = NaiveDate;
    type Row = Sale;

    /// Returns the sales lines of `day`.
    fn rows(&self, day: NaiveDate) -> anyhow::Result<Option<Vec<Sale>>> {
        match self {
            Self::Files(files) => files.sales(day).map(Some),
            Self::Generated(generator) => Ok(Some(generator.sales(day))),
        }
    }
}
