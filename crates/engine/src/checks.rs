//! The checks of a job: queries that return what is wrong.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use shoplake_models::{FailedCheck, JobCheck, JobDocument};

use crate::error::EngineError;

/// Rows that a failure shows: enough to see the pattern, and few enough for a message of Step Functions and SNS.
const SAMPLE_ROWS: usize = 5;

/// Characters of a value that a failure shows: a text may be as long as its contract allows, a message may not.
const SAMPLE_CHARS: usize = 200;

/// Runs the checks of `job` in `session`, where its new rows are a table already. Gives those that returned rows.
pub(crate) async fn run(
    session: &SessionContext,
    job: &JobDocument,
) -> Result<Vec<FailedCheck>, EngineError> {
    let mut failed = Vec::new();
    for check in &job.checks {
        let found = run_one(session, check)
            .await
            .map_err(|error| EngineError::sql(&job.model, format!("check {}", check.name), error))?;
        failed.extend(found);
    }
    Ok(failed)
}

async fn run_one(session: &SessionContext, check: &JobCheck) -> Result<Option<FailedCheck>, DataFusionError> {
    let mut batches = session.sql(&check.sql).await?.execute_stream().await?;
    let mut failed =
        FailedCheck { name: check.name.clone(), severity: check.severity, rows: 0, sample: Vec::new() };
    while let Some(batch) = batches.try_next().await? {
        failed.rows += batch.num_rows() as u64;
        let wanted = batch.num_rows().min(SAMPLE_ROWS - failed.sample.len());
        failed.sample.extend(texts(&batch.slice(0, wanted))?);
    }
    Ok((failed.rows > 0).then_some(failed))
}

/// Each row as a map from column to value. All values are texts: a JSON number could not hold every amount of money.
fn texts(batch: &RecordBatch) -> Result<Vec<BTreeMap<String, Option<String>>>, ArrowError> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| Ok((field.name(), column, ArrayFormatter::try_new(column, &options)?)))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    Ok((0..batch.num_rows())
        .map(|row| {
            columns
                .iter()
                .map(|(name, column, formatter)| {
                    ((*name).clone(), column.is_valid(row).then(|| excerpt(formatter.value(row).to_string())))
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
