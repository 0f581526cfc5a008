//! The checks of a job: queries for rows that violate a rule.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use shoplake_jobs::{FailedCheck, JobCheck, JobDocument, MAX_FAILED_SHOPS};

use crate::error::EngineError;

/// The rows that a failed check shows. More would not fit into messages of Step Functions and SNS.
const SAMPLE_ROWS: usize = 5;

/// The characters of a value that a failed check shows. A text may be as long as its contract
/// allows, and would not fit into a message.
const SAMPLE_CHARS: usize = 200;

/// The column with the shop of a row.
const SHOP: &str = "shop_id";

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
    let mut batches = session.sql(&check.sql).await?.execute_stream().await?;
    let (mut rows, mut shops, mut sample) = (0, BTreeSet::new(), Vec::new());
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
        add_shops(&batch, &mut shops)?;
        let wanted = batch.num_rows().min(SAMPLE_ROWS - sample.len());
        sample.extend(texts(&batch.slice(0, wanted), personal)?);
    }
    Ok((rows > 0).then(|| FailedCheck {
        name: check.name.clone(),
        severity: check.severity,
        rows,
        shops: shops.into_iter().take(MAX_FAILED_SHOPS).collect(),
        sample,
    }))
}

/// Adds the shops of the rows, if the check returns that column.
fn add_shops(batch: &RecordBatch, shops: &mut BTreeSet<String>) -> Result<(), ArrowError> {
    let Some(column) = batch.column_by_name(SHOP) else { return Ok(()) };
    let column = cast(column, &DataType::Utf8)?;
    if let Some(column) = column.as_any().downcast_ref::<StringArray>() {
        for shop in column.iter().flatten() {
            if !shops.contains(shop) {
                shops.insert(shop.to_owned());
            }
        }
    }
    Ok(())
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
}
