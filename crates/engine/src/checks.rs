//! The checks of a job: queries for rows that violate a rule.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, RecordBatch};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use shoplake_jobs::{CheckAlert, CheckRun, FailedCheck, JobCheck, JobDocument, Severity};

use crate::error::EngineError;
use crate::shops::{self, SHOP};

/// The rows that a failed check shows. More would not fit into messages of Step Functions and SNS.
const SAMPLE_ROWS: usize = 5;

/// The characters of a value that a failed check shows. A text may be as long as its contract
/// allows, and would not fit into a message.
const SAMPLE_CHARS: usize = 200;

/// The text that replaces values of personal columns: more people read messages and logs than
/// tables.
const MASKED: &str = "***";

/// Runs the checks of `job` in `session`, which has its new rows as a table, and returns the checks
/// that returned rows.
pub(crate) async fn run(
    session: &SessionContext,
    job: &JobDocument,
) -> Result<Vec<FailedCheck>, EngineError> {
    let mut failed = Vec::new();
    for check in &job.checks {
        let found = run_one(session, check, &job.personal).await.map_err(|error| {
            EngineError::sql(&job.model, format!("check {}", check.name), error)
        })?;
        failed.extend(found);
    }
    Ok(failed)
}

async fn run_one(
    session: &SessionContext,
    check: &JobCheck,
    personal: &[String],
) -> Result<Option<FailedCheck>, DataFusionError> {
    let frame = session.sql(&check.sql).await?;
    if frame.schema().as_arrow().index_of(SHOP).is_err() {
        let message = "the check does not return shop_id; add it, as a failure concerns only the \
                       shops that the check returns";
        return Err(DataFusionError::Plan(message.to_owned()));
    }
    let mut batches = frame.execute_stream().await?;
    let (mut rows, mut shops, mut sample) = (0, BTreeSet::new(), Vec::new());
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
        shops::add(&batch, &mut shops)?;
        let wanted = batch.num_rows().min(SAMPLE_ROWS - sample.len());
        sample.extend(texts(&batch.slice(0, wanted), personal)?);
    }
    Ok((rows > 0).then(|| FailedCheck {
        name: check.name.clone(),
        severity: check.severity,
        rows,
        shops: shops.into_iter().collect(),
        sample,
    }))
}

/// Adds a shop whose previous rows are lost to the shops with errors.
pub(crate) fn add_lost_rows(errors: &mut BTreeMap<String, String>, shop: String) {
    const LOST: &str = "the previous rows of the withheld shop are dropped, because they do not \
                        fit the model's new columns or key";
    errors
        .entry(shop)
        .and_modify(|error| *error = format!("{LOST}; {error}"))
        .or_insert_with(|| LOST.to_owned());
}

/// Returns the failure of [`CheckRun::computes`] for shops with their errors; `None` without any.
pub(crate) fn computes(
    job: &JobDocument,
    errors: &BTreeMap<String, String>,
) -> Option<FailedCheck> {
    if errors.is_empty() {
        return None;
    }
    let CheckRun { name, severity, .. } = CheckRun::computes(&job.model);
    let row = |(shop, error): (&String, &String)| {
        let error = excerpt(without_values(error));
        BTreeMap::from([("error".to_owned(), Some(error)), (SHOP.to_owned(), Some(shop.clone()))])
    };
    Some(FailedCheck {
        name,
        severity,
        rows: errors.len() as u64,
        shops: errors.keys().cloned().collect(),
        sample: errors.iter().take(SAMPLE_ROWS).map(row).collect(),
    })
}

/// Returns the first line of an error without the value that it quotes, which may be personal.
fn without_values(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match (line.find('\''), line.rfind('\'')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}'{MASKED}{}", &line[..start], &line[end..])
        }
        _ => line.to_owned(),
    }
}

/// Returns an alert for each check that fails for a shop for which it did not fail in `before`, the
/// failed checks of the last commit. It names all of them: the commit makes them known, so that no
/// later alert would. Errors come first.
pub(crate) fn alerts(
    job: &JobDocument,
    before: &[FailedCheck],
    now: &[FailedCheck],
) -> Vec<CheckAlert> {
    let checks = job.check_runs();
    let mut alerts: Vec<_> = now
        .iter()
        .filter_map(|failed| {
            let shops = failed.new_shops(before);
            let check = checks.iter().find(|check| check.name == failed.name)?;
            (!shops.is_empty()).then(|| CheckAlert {
                check: failed.name.clone(),
                severity: failed.severity,
                description: check.description.clone(),
                rows: failed.rows,
                shops,
            })
        })
        .collect();
    alerts.sort_by_key(|alert| alert.severity == Severity::Warn);
    alerts
}

/// Returns each row as a map from column to value. Values are texts, because a JSON number cannot
/// hold every amount of money.
fn texts(
    batch: &RecordBatch,
    personal: &[String],
) -> Result<Vec<BTreeMap<String, Option<String>>>, ArrowError> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            Ok((field.name(), column, ArrayFormatter::try_new(column, &options)?))
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;
    Ok((0..batch.num_rows())
        .map(|row| {
            columns
                .iter()
                .map(|(name, column, formatter)| {
                    let shown = || {
                        if personal.contains(name) {
                            MASKED.to_owned()
                        } else {
                            excerpt(formatter.value(row).to_string())
                        }
                    };
                    ((*name).clone(), column.is_valid(row).then(shown))
                })
                .collect()
        })
        .collect())
}

/// Returns the text, or the beginning of a long one.
fn excerpt(text: String) -> String {
    match text.char_indices().nth(SAMPLE_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        let long = "\u{e9}".repeat(SAMPLE_CHARS);
        assert_eq!(excerpt(long.clone()), long);
        assert_eq!(excerpt(format!("{long}x")), format!("{long}..."));
    }

    #[test]
    fn an_error_is_shown_without_the_value_that_it_quotes() {
        let error = "Cannot cast string 'O'Brien' to value of Int64 type\nmore";
        assert_eq!(without_values(error), "Cannot cast string '***' to value of Int64 type");
        assert_eq!(without_values("it isn't quoted"), "it isn't quoted");
    }
}
