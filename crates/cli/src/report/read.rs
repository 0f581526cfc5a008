//! Reads the whole report from the warehouse.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use shoplake_warehouse::{Statement, Warehouse};

use super::model::{Headline, Report, ShopReport, Table, Unit};
use super::numbers::{Number, Value};
use super::query::{Answers, Batch, Query};
use super::teams::{MARTS, Teams};

const CHECKS: &str = "shoplake.check_results";
const LOADS: &str = "shoplake.loads";
/// The characters of a failed check's sample that the page shows.
const SAMPLE_CHARACTERS: usize = 2000;

#[derive(Deserialize)]
struct TableName {
    name: String,
}

/// Returns the report as of now; `today` (UTC) is the day that is not over.
///
/// The numbers of one shop are of one time. A load between two shops shows in the second one only.
pub(crate) async fn read(
    warehouse: &dyn Warehouse,
    now: DateTime<Utc>,
    today: NaiveDate,
) -> Result<Report> {
    let names = "select table_schema || '.' || table_name as name from information_schema.tables";
    let rows = warehouse.query(Statement::new(names)).await.context("cannot read the warehouse")?;
    let tables: BTreeSet<String> =
        rows.decode::<TableName>()?.into_iter().map(|table| table.name).collect();

    let mut batch = Batch::new(&tables, "", today);
    let shops = shops(&mut batch);
    let quality = Quality::query(&mut batch);
    let answers = batch.run(warehouse).await?;
    let shop_ids: Vec<String> = answers.rows(shops).iter().map(|row| row.text("shop_id")).collect();
    let (failed_checks, checks, freshness) =
        (quality.failed(&answers), quality.checks(&answers), quality.freshness(&answers));
    let health = health(&checks, &freshness);

    let mut shops = Vec::with_capacity(shop_ids.len());
    for (number, shop_id) in shop_ids.into_iter().enumerate() {
        let mut batch = Batch::new(&tables, &shop_id, today);
        let teams = Teams::query(&mut batch);
        let answers = batch.run(warehouse).await?;
        let mut sections = teams.sections(&answers, &format!("shop{number}"));
        for chart in sections.iter_mut().flat_map(|section| &mut section.charts) {
            chart.mark_partial(today);
        }
        shops.push(ShopReport { shop_id, sections });
    }
    Ok(Report { made_at: now, shops, failed_checks, checks, freshness, health })
}

/// Asks for every tenant that any of the marts knows.
fn shops(batch: &mut Batch<'_>) -> Query {
    let existing: Vec<&str> =
        MARTS.iter().map(|mart| mart.table).filter(|table| batch.has(table)).collect();
    let shops = existing.iter().map(|table| format!("select shop_id from {table}"));
    let union = shops.collect::<Vec<_>>().join(" union ");
    let first = existing.first().copied().unwrap_or(MARTS[0].table);
    batch.query(first, format!("select distinct shop_id from ({union}) shops order by shop_id"))
}

fn health(checks: &Table, freshness: &Table) -> Vec<Headline> {
    let sum = |column: usize| -> Value {
        let values = checks.rows.iter().filter_map(|row| row[column].number());
        Value::Number(values.fold(Number::ZERO, Number::add))
    };
    let newest = freshness.rows.iter().map(|row| row[4].exact()).max();
    let newest = newest.filter(|time| !time.is_empty()).map_or(Value::Unknown, Value::Text);
    vec![
        Headline::new(
            "data-checks",
            "Checks",
            sum(2),
            Unit::Count,
            "results, the newest of every partition",
        ),
        Headline::new("data-failed", "Failed", sum(3), Unit::Count, "of these"),
        Headline::new(
            "data-loads",
            "Newest load (UTC)",
            newest,
            Unit::Time,
            format!("of {} models", freshness.rows.len()),
        ),
    ]
}

/// The queries about the pipeline itself.
struct Quality {
    failed: Query,
    checks: Query,
    loads: Query,
}

impl Quality {
    fn query(batch: &mut Batch<'_>) -> Self {
        Self {
            failed: batch.query(
                CHECKS,
                format!(
                    "select check_name, model, partition_value, severity, failed_rows, shops,
                        description, sample, checked_at
                    from {CHECKS} where status <> 'passed'
                    order by case severity when 'error' then 0 else 1 end, checked_at desc,
                        check_name, model, partition_value
                    limit 100"
                ),
            ),
            checks: batch.query(
                CHECKS,
                format!(
                    "select check_name, model, count(*) as results,
                        sum(case when status = 'passed' then 0 else 1 end) as failed,
                        max(description) as description, max(checked_at) as checked_at
                    from {CHECKS} group by check_name, model
                    order by failed desc, model, check_name"
                ),
            ),
            loads: batch.query(
                LOADS,
                format!(
                    "select model,
                        max(case when length(partition_value) > 4 then partition_value end)
                            as newest,
                        count(*) as partitions,
                        sum(row_count) as row_count, max(loaded_at) as loaded_at
                    from {LOADS} group by model order by model"
                ),
            ),
        }
    }

    fn failed(&self, answers: &Answers) -> Table {
        let columns = [
            ("Check", "check_name", Unit::Text),
            ("Model", "model", Unit::Text),
            ("Partition", "partition_value", Unit::Day),
            ("Severity", "severity", Unit::Text),
            ("Wrong rows", "failed_rows", Unit::Count),
            ("Shops", "shops", Unit::Text),
            ("What it makes sure of", "description", Unit::Text),
            ("Some of them", "sample", Unit::Text),
            ("Checked (UTC)", "checked_at", Unit::Time),
        ];
        let mut table = table(
            answers,
            self.failed,
            "data-failed-table",
            "Failed checks",
            &columns,
            "No check fails.",
        );
        for cell in table.rows.iter_mut().map(|row| &mut row[7]) {
            if let Value::Text(sample) = cell {
                *sample = sample.chars().take(SAMPLE_CHARACTERS).collect();
            }
        }
        table
    }

    fn checks(&self, answers: &Answers) -> Table {
        let columns = [
            ("Check", "check_name", Unit::Text),
            ("Model", "model", Unit::Text),
            ("Results", "results", Unit::Count),
            ("Failed", "failed", Unit::Count),
            ("What it makes sure of", "description", Unit::Text),
            ("Last run (UTC)", "checked_at", Unit::Time),
        ];
        let empty = "No check has run yet.";
        table(answers, self.checks, "data-checks-table", "All checks", &columns, empty)
    }

    fn freshness(&self, answers: &Answers) -> Table {
        let columns = [
            ("Model", "model", Unit::Text),
            ("Newest day or hour", "newest", Unit::Day),
            ("Partitions", "partitions", Unit::Count),
            ("Rows", "row_count", Unit::Count),
            ("Last load (UTC)", "loaded_at", Unit::Time),
        ];
        let empty = "Nothing has been loaded yet.";
        table(answers, self.loads, "data-loads-table", "Freshness", &columns, empty)
    }
}

fn table(
    answers: &Answers,
    query: Query,
    key: &str,
    title: &str,
    columns: &[(&str, &str, Unit)],
    empty: &'static str,
) -> Table {
    let rows = answers
        .rows(query)
        .iter()
        .map(|row| columns.iter().map(|(_, name, unit)| row.value(name, unit)).collect());
    Table {
        key: key.to_owned(),
        title: title.to_owned(),
        columns: columns
            .iter()
            .map(|(title, _, unit)| ((*title).to_owned(), unit.clone()))
            .collect(),
        rows: rows.collect(),
        empty,
    }
}
