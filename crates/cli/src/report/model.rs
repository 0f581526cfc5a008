//! The contents of a report, independent of how they are shown: sections of headline numbers,
//! charts and tables.

use chrono::{DateTime, NaiveDate, Utc};

use super::numbers::{Number, Value};

/// Marks numbers of a day that is not over.
pub(crate) const SO_FAR: &str = "so far";

/// How a value is written. Money carries its currency, so that amounts can be neither shown nor
/// added without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Text,
    Day,
    Time,
    Count,
    Percent,
    Score,
    Ratio,
    Seconds,
    Hours,
    Days,
    Rating,
    /// Money in a table whose rows name the currency in a column of its own.
    Amount,
    Money(String),
}

impl Unit {
    /// Whether values of this unit are numbers, which are right-aligned.
    pub(crate) fn is_number(&self) -> bool {
        !matches!(self, Self::Text | Self::Day | Self::Time)
    }
}

/// One KPI as a number, and what it is a number of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Headline {
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) value: Value,
    pub(crate) unit: Unit,
    pub(crate) note: String,
}

impl Headline {
    pub(crate) fn new(
        key: impl Into<String>,
        label: impl Into<String>,
        value: Value,
        unit: Unit,
        note: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), label: label.into(), value, unit, note: note.into() }
    }
}

/// One line, or one colour of the bars: a value, or none, per label of its chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) values: Vec<Option<Number>>,
}

/// How a chart draws its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bars, stacked where there are several series.
    Bars,
    Lines,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::Lines => "lines",
        }
    }
}

/// Values by day, or by another label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) labels: Vec<String>,
    pub(crate) series: Vec<Series>,
    /// The labels that are days which are not over.
    pub(crate) partial: Vec<String>,
}

impl Chart {
    /// Whether the label is a day that is not over.
    pub(crate) fn is_partial(&self, label: &str) -> bool {
        self.partial.iter().any(|day| day == label)
    }

    /// Marks the days that are not over, given the day that is not.
    pub(crate) fn mark_partial(&mut self, today: NaiveDate) {
        let is_open = |label: &&String| label.parse().is_ok_and(|day: NaiveDate| day >= today);
        self.partial = self.labels.iter().filter(is_open).cloned().collect();
    }
}

/// Rows with their columns' names and units.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) columns: Vec<(String, Unit)>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// The text that stands in place of rows.
    pub(crate) empty: &'static str,
}

/// What one team of one shop wants to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) team: &'static str,
    pub(crate) headlines: Vec<Headline>,
    pub(crate) charts: Vec<Chart>,
    pub(crate) tables: Vec<Table>,
}

impl Section {
    /// A team's section. It has tables only if it has a KPI.
    pub(crate) fn new(
        team: &'static str,
        headlines: Vec<Headline>,
        charts: Vec<Option<Chart>>,
        tables: Vec<Table>,
    ) -> Self {
        let tables = if headlines.is_empty() { Vec::new() } else { tables };
        Self { team, headlines, charts: charts.into_iter().flatten().collect(), tables }
    }

    /// The part of an id that names the team.
    pub(crate) fn id(&self) -> String {
        self.team.to_lowercase()
    }
}

/// One tenant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShopReport {
    pub(crate) shop_id: String,
    pub(crate) sections: Vec<Section>,
}

impl ShopReport {
    /// What a reader must know of the day that is not over; `None` if it has no data.
    pub(crate) fn partial(&self) -> Option<String> {
        let charts = self.sections.iter().flat_map(|section| &section.charts);
        let day = charts.flat_map(|chart| &chart.partial).min()?;
        Some(format!(
            "{day} is not over: charts show it so far, headline numbers are of the last whole day."
        ))
    }
}

/// Everything, as of one time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) made_at: DateTime<Utc>,
    pub(crate) shops: Vec<ShopReport>,
    pub(crate) failed_checks: Table,
    pub(crate) checks: Table,
    pub(crate) freshness: Table,
    pub(crate) health: Vec<Headline>,
}
