//! The checks of a job: queries that return what is wrong.

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

/// Rows that a failure shows: enough to see the pattern, and few enough for a message of Step
/// Functions and SNS.
const SAMPLE_ROWS: usize = 5;

/// Characters of a value that a failure shows: a text may be as long as its contract allows, a
/// message may not.
const SAMPLE_CHARS: usize = 200;

/// The column that says whose row it is.
const SHOP: &str = "shop_id";

/// What a failure shows instead of a value of a personal column: messages and logs are read by more
/// people than tables.
const MASKED: &str = "***";

/// Runs the checks of `job` in `session`, where its new rows are a table already. Gives those that
/// returned rows.
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

/// Adds the shops of the rows, if the check says whose they are.
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

/// Each row as a map from column to value. All values are texts: a JSON number could not hold every
/// amount of money.
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

/// The text, or the beginning of a long one.
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
    fn given_a_long_text_when_shown_then_only_its_beginning_is() {
        let long = "\u{e9}".repeat(SAMPLE_CHARS);
        assert_eq!(excerpt(long.clone()), long);
        assert_eq!(excerpt(format!("{long}x")), format!("{long}..."));
    }
}
