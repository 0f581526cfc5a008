//! The teams' sections, each from its own marts.
//!
//! A team first adds its queries to the shop's batch, then makes its section of their answers.

mod finance;
mod marketing;
mod operations;
mod sales;
mod support;

use chrono::NaiveDate;

use super::model::{Chart, Headline, Kind, Section, Table, Unit};
use super::numbers::{DASH, Number, Value};
use super::query::{Answers, Batch, Mart, Query, Row};
use super::series::{Drawing, Point, daily_chart};

pub(crate) const MARTS: [Mart; 13] = [
    sales::TOTALS,
    sales::STOCK,
    sales::TURNOVER,
    marketing::SCORES,
    marketing::SESSIONS,
    marketing::LOYALTY,
    operations::TURNOVER,
    operations::RESTOCKS,
    operations::ALERTS,
    support::FEEDBACK,
    support::VOLUME,
    support::TICKETS,
    finance::REVENUE,
];

/// Rows of a table of the best or the worst.
const TOP: usize = 10;

/// The queries of all teams.
pub(crate) struct Teams {
    sales: sales::Sales,
    marketing: marketing::Marketing,
    operations: operations::Operations,
    support: support::Support,
    finance: finance::Finance,
}

impl Teams {
    /// Adds the queries to the batch of a shop.
    pub(crate) fn query(batch: &mut Batch<'_>) -> Self {
        let days = Mart::newest(&MARTS, batch);
        let newest = |mart| Newest { days, mart };
        Self {
            sales: sales::Sales::query(batch, newest),
            marketing: marketing::Marketing::query(batch, newest),
            operations: operations::Operations::query(batch, newest),
            support: support::Support::query(batch, newest),
            finance: finance::Finance::query(batch, newest),
        }
    }

    /// Returns the sections of a shop; `prefix` makes the keys of their charts and tables unique
    /// within the page.
    pub(crate) fn sections(&self, answers: &Answers, prefix: &str) -> Vec<Section> {
        vec![
            self.sales.section(answers, &format!("{prefix}-sales")),
            self.marketing.section(answers, &format!("{prefix}-marketing")),
            self.operations.section(answers, &format!("{prefix}-operations")),
            self.support.section(answers, &format!("{prefix}-support")),
            self.finance.section(answers, &format!("{prefix}-finance")),
        ]
    }
}

/// The newest day of a mart.
#[derive(Clone, Copy)]
struct Newest {
    days: Query,
    mart: Mart,
}

impl Newest {
    fn date(self, answers: &Answers) -> Option<NaiveDate> {
        let mut rows = answers.rows(self.days).iter();
        rows.find(|row| row.text("mart") == self.mart.table)?.day()
    }

    /// In words; empty if there is no row.
    fn day(self, answers: &Answers) -> String {
        self.date(answers).map_or_else(String::new, |day| answers.day(day))
    }

    fn exists(self, answers: &Answers) -> bool {
        self.date(answers).is_some()
    }

    /// The days that a mart's totals cover, in words; empty if there is no row.
    fn span(self, answers: &Answers) -> String {
        self.date(answers)
            .map_or_else(String::new, |day| format!("30 days to {}", answers.day(day)))
    }
}

/// Mean over rows with weights, of doubles that PostgreSQL and Redshift both have; null where there
/// is nothing to weigh.
fn weighted(column: &str, weight: &str) -> String {
    format!(
        "sum({column} * {weight}) / \
         nullif(sum(case when {column} is not null then {weight} end), 0)"
    )
}

/// The rows by currency, currencies in order.
fn by_currency(rows: &[Row]) -> Vec<(String, Vec<&Row>)> {
    let mut currencies: Vec<String> = rows.iter().map(|row| row.text("currency")).collect();
    currencies.sort();
    currencies.dedup();
    currencies
        .into_iter()
        .map(|currency| {
            let own = rows.iter().filter(|row| row.text("currency") == currency).collect();
            (currency, own)
        })
        .collect()
}

fn money(currency: &str) -> Unit {
    Unit::Money(currency.to_owned())
}

/// An amount of the newest whole day, and in its note that of all whole days.
fn amount(
    answers: &Answers,
    key: String,
    label: &str,
    currency: &str,
    rows: &[&Row],
    column: &str,
) -> Option<Headline> {
    let rows = answers.whole(rows);
    let (first, last) = (rows.first()?, rows.last()?);
    let amounts = rows.iter().filter_map(|row| row.number(column));
    let total = amounts.fold(Number::ZERO, Number::add);
    let note = format!(
        "on {}; {} {currency} since {}",
        answers.day(last.day()?),
        total.grouped(2),
        first.text("day")
    );
    let value = last.value(column, &Unit::Amount);
    Some(Headline::new(key, format!("{label}, {currency}"), value, money(currency), note))
}

/// A number in the words of a note.
fn said(row: Option<&Row>, column: &str, places: u32) -> String {
    let number = row.and_then(|row| row.number(column));
    number.map_or_else(|| DASH.to_owned(), |number| number.grouped(places))
}

fn count(row: Option<&Row>, column: &str) -> String {
    said(row, column, 0)
}

fn value(row: Option<&Row>, column: &str) -> Value {
    row.map_or(Value::Unknown, |row| row.value(column, &Unit::Count))
}

/// A chart of one column, one value a day; its series is named as its title begins.
fn days<'r>(
    key: String,
    title: String,
    kind: Kind,
    unit: Unit,
    rows: impl IntoIterator<Item = &'r Row>,
    column: &str,
) -> Option<Chart> {
    let name = title.split(" per day").next().and_then(|name| name.split(',').next());
    let name = name.unwrap_or_default().to_owned();
    let points = points(rows, |_| name.clone(), column);
    daily_chart(Drawing { key, title, kind, unit, order: &[] }, &points)
}

/// The points of a chart from rows that have a day.
fn points<'r>(
    rows: impl IntoIterator<Item = &'r Row>,
    series: impl Fn(&Row) -> String,
    column: &str,
) -> Vec<Point> {
    rows.into_iter()
        .filter_map(|row| {
            Some(Point { day: row.day()?, series: series(row), value: row.number(column) })
        })
        .collect()
}

/// A table of rows; columns are given as (title, name in the query, unit).
fn table<'r>(
    key: String,
    title: &str,
    columns: Vec<(&str, &str, Unit)>,
    rows: impl IntoIterator<Item = &'r Row>,
    empty: &'static str,
) -> Table {
    let rows = rows
        .into_iter()
        .map(|row| columns.iter().map(|(_, name, unit)| row.value(name, unit)).collect())
        .collect();
    let columns = columns.into_iter().map(|(title, _, unit)| (title.to_owned(), unit)).collect();
    Table { key, title: title.trim_end_matches([',', ' ']).to_owned(), columns, rows, empty }
}

const NOTHING: &str = "Nothing yet.";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shoplake_warehouse::MAX_STATEMENTS;

    use super::*;

    #[test]
    fn all_queries_of_a_shop_fit_in_one_transaction() {
        let tables: BTreeSet<String> = MARTS.iter().map(|mart| mart.table.to_owned()).collect();
        let mut batch = Batch::new(&tables, "acme", "2026-11-21".parse().unwrap());
        Teams::query(&mut batch);
        let count = batch.statements().len();
        assert!(count > MARTS.len() && count <= MAX_STATEMENTS, "{count} statements");
    }
}
