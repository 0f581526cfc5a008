//! The warehouse as the report reads it: the queries of one tenant in one transaction.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use serde_json::{Map, Value as Json};
use shoplake_warehouse::{Statement, Warehouse};

use super::model::{SO_FAR, Unit};
use super::numbers::{Number, Value};

/// How many days the report covers, counted back from the newest whole day of a table.
const DAYS: u32 = 30;

/// One row of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row(Map<String, Json>);

impl Row {
    pub(crate) fn value(&self, column: &str, unit: &Unit) -> Value {
        self.0.get(column).map_or(Value::Unknown, |json| Value::from_json(json, unit))
    }

    pub(crate) fn number(&self, column: &str) -> Option<Number> {
        self.value(column, &Unit::Count).number()
    }

    pub(crate) fn text(&self, column: &str) -> String {
        self.value(column, &Unit::Text).exact()
    }

    /// The day of the row.
    pub(crate) fn day(&self) -> Option<NaiveDate> {
        self.text("day").parse().ok()
    }
}

/// Names a query of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query(Option<usize>);

/// Queries that are answered together, as of one time.
///
/// A mart's table is created by its first load. A query of a table that does not exist is not sent
/// and has no rows.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    tables: &'a BTreeSet<String>,
    shop: String,
    today: NaiveDate,
    statements: Vec<Statement>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(tables: &'a BTreeSet<String>, shop: &str, today: NaiveDate) -> Self {
        Self { tables, shop: shop.to_owned(), today, statements: Vec::new() }
    }

    /// Whether a table, given as `schema.table`, exists.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// Adds a query of `table`. It may use the parameters `:shop` and `:today`.
    pub(crate) fn query(&mut self, table: &str, sql: String) -> Query {
        if !self.has(table) {
            return Query(None);
        }
        let mut statement = Statement::new(sql);
        // The Data API rejects parameters that a statement does not use.
        for (name, value) in [("shop", self.shop.clone()), ("today", self.today.to_string())] {
            if statement.sql().contains(&format!(":{name}")) {
                statement = statement.bind(name, value);
            }
        }
        self.statements.push(statement);
        Query(Some(self.statements.len() - 1))
    }

    /// Runs the queries in one transaction.
    pub(crate) async fn run(self, warehouse: &dyn Warehouse) -> Result<Answers> {
        if self.statements.is_empty() {
            return Ok(Answers { rows: Vec::new(), today: self.today });
        }
        let answers = warehouse.transaction(self.statements).await;
        let mut rows = Vec::new();
        for answer in answers.context("cannot read the warehouse")? {
            let decoded: Vec<Map<String, Json>> = answer.unwrap_or_default().decode()?;
            rows.push(decoded.into_iter().map(Row).collect());
        }
        Ok(Answers { rows, today: self.today })
    }

    #[cfg(test)]
    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

/// The answers to the queries of a [`Batch`].
#[derive(Debug)]
pub(crate) struct Answers {
    rows: Vec<Vec<Row>>,
    today: NaiveDate,
}

impl Answers {
    /// The rows of a query.
    pub(crate) fn rows(&self, query: Query) -> &[Row] {
        query.0.map_or(&[], |index| &self.rows[index])
    }

    /// The only row of a query; `None` if its table does not exist.
    pub(crate) fn first(&self, query: Query) -> Option<&Row> {
        self.rows(query).first()
    }

    /// A day in words, which say of today that it is not over.
    pub(crate) fn day(&self, day: NaiveDate) -> String {
        if day >= self.today { format!("{day} {SO_FAR}") } else { day.to_string() }
    }

    /// The rows of whole days; all rows where each is of a day that is not over.
    pub(crate) fn whole<'r>(&self, rows: &[&'r Row]) -> Vec<&'r Row> {
        let is_whole = |row: &&&Row| row.day().is_some_and(|day| day < self.today);
        let whole: Vec<_> = rows.iter().filter(is_whole).copied().collect();
        if whole.is_empty() { rows.to_vec() } else { whole }
    }
}

/// One table and its day column, for one tenant: the newest whole day and the days up to it.
///
/// The numbers of a day that is not over say nothing about the day, so the newest day is the last
/// whole day: today only if there is no other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mart {
    pub(crate) table: &'static str,
    pub(crate) day: &'static str,
}

impl Mart {
    /// Asks for the newest day of each mart, as rows of (mart, day).
    pub(crate) fn newest(marts: &[Self], batch: &mut Batch<'_>) -> Query {
        let existing: Vec<&Self> = marts.iter().filter(|mart| batch.has(mart.table)).collect();
        let days = existing.iter().map(|mart| {
            let (table, newest) = (mart.table, mart.newest_of(""));
            format!("select '{table}' as mart, {newest} as day from {table} where shop_id = :shop")
        });
        let sql = days.collect::<Vec<_>>().join(" union all ");
        existing.first().map_or(Query(None), |mart| batch.query(mart.table, sql))
    }

    /// Asks for aggregates per day, oldest first, over the report's days and the day that is not
    /// over.
    pub(crate) fn daily(self, batch: &mut Batch<'_>, columns: &str, keys: &str) -> Query {
        let Self { table, day } = self;
        let keys = if keys.is_empty() { String::new() } else { format!(", {keys}") };
        let recent = self.recent();
        let sql = format!(
            "select {day} as day{keys}, {columns} {recent} \
             group by {day}{keys} order by {day}{keys}"
        );
        batch.query(table, sql)
    }

    /// Asks for aggregates over the report's whole days by `keys`.
    pub(crate) fn total(
        self,
        batch: &mut Batch<'_>,
        columns: &str,
        keys: &str,
        order: &str,
    ) -> Query {
        let Self { table, day } = self;
        let (recent, newest) = (self.recent(), self.newest_day());
        let sql = format!(
            "select {keys}, {columns} {recent} and {day} <= {newest} \
             group by {keys} order by {order}"
        );
        batch.query(table, sql)
    }

    /// Asks for aggregates over the rows of the newest day.
    pub(crate) fn on_newest(self, batch: &mut Batch<'_>, columns: &str, filter: &str) -> Query {
        self.top_of_newest(batch, columns, filter, "1", 1)
    }

    /// Asks for the first rows of the newest day.
    pub(crate) fn top_of_newest(
        self,
        batch: &mut Batch<'_>,
        columns: &str,
        filter: &str,
        order: &str,
        limit: usize,
    ) -> Query {
        let Self { table, day } = self;
        let newest = self.newest_day();
        let sql = format!(
            "select {columns} from {table} where shop_id = :shop and {day} = {newest} and {filter} \
             order by {order} limit {limit}"
        );
        batch.query(table, sql)
    }

    fn recent(self) -> String {
        let Self { table, day } = self;
        format!("from {table} where shop_id = :shop and {day} > {} - {DAYS}", self.newest_day())
    }

    /// The newest whole day as a subquery, so that all queries of a transaction mean one day.
    fn newest_day(self) -> String {
        let newest = self.newest_of("newest.");
        format!("(select {newest} from {} newest where newest.shop_id = :shop)", self.table)
    }

    fn newest_of(self, alias: &str) -> String {
        let day = format!("{alias}{}", self.day);
        format!("coalesce(max(case when {day} < cast(:today as date) then {day} end), max({day}))")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MART: Mart = Mart { table: "sales.totals", day: "business_date" };

    #[test]
    fn a_query_binds_only_the_parameters_it_uses() {
        let tables = BTreeSet::from(["sales.totals".to_owned()]);
        let mut batch = Batch::new(&tables, "acme", "2026-11-21".parse().unwrap());
        Mart::newest(&[MART], &mut batch);
        batch.query("sales.totals", "select 1 as one".to_owned());
        let [newest, one] = batch.statements() else { panic!("two statements") };
        let names: Vec<_> = newest.parameters().keys().map(AsRef::as_ref).collect();
        assert_eq!(names, ["shop", "today"]);
        assert!(one.parameters().is_empty());
    }

    #[test]
    fn a_missing_table_is_not_queried() {
        let tables = BTreeSet::new();
        let mut batch = Batch::new(&tables, "acme", "2026-11-21".parse().unwrap());
        let query = MART.daily(&mut batch, "count(*) as n", "");
        assert!(batch.statements().is_empty() && query.0.is_none());
    }

    #[test]
    fn whole_days_exclude_today_unless_there_is_no_other() {
        let row = |day: &str| Row(Map::from_iter([("day".to_owned(), Json::from(day))]));
        let answers = Answers { rows: Vec::new(), today: "2026-11-21".parse().unwrap() };
        let (yesterday, today) = (row("2026-11-20"), row("2026-11-21"));
        assert_eq!(answers.whole(&[&yesterday, &today]).len(), 1);
        assert_eq!(answers.whole(&[&today]).len(), 1);
        assert_eq!(answers.day("2026-11-21".parse().unwrap()), "2026-11-21 so far");
    }
}
