//! The operations by the AWS SDK.

use async_trait::async_trait;
use aws_sdk_redshiftdata::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::describe_statement::DescribeStatementOutput,
    types::{Field, SqlParameter, StatementStatusString, StatusString},
};
use serde_json::{Map, Value};

use super::run::{Operations, Progress};
use crate::{Rows, WarehouseError, statement::Batch};

/// A workgroup's database.
#[derive(Debug, Clone)]
pub(super) struct Sdk {
    pub(super) client: Client,
    pub(super) workgroup: String,
    pub(super) database: String,
}

#[async_trait]
impl Operations for Sdk {
    async fn submit(&self, batch: &Batch) -> Result<String, WarehouseError> {
        const OPERATION: &str = "BatchExecuteStatement";
        let mut parameters = Vec::with_capacity(batch.parameters.len());
        for (name, value) in &batch.parameters {
            parameters.push(
                SqlParameter::builder()
                    .name(name.as_ref())
                    .value(value)
                    .build()
                    .map_err(|error| refused(OPERATION, error))?,
            );
        }
        // The SDK makes up a ClientToken per call and keeps it over its own retries, so that a
        // request that is sent twice runs once. A token of our own, kept over attempts, would only
        // ever return the first attempt's failure.
        let output = self
            .client
            .batch_execute_statement()
            .workgroup_name(&self.workgroup)
            .database(&self.database)
            .set_sqls(Some(batch.sqls.clone()))
            .set_parameters((!parameters.is_empty()).then_some(parameters))
            .send()
            .await
            .map_err(|error| failed(OPERATION, error))?;
        output.id.ok_or_else(|| refused(OPERATION, "the answer has no id"))
    }

    async fn describe(&self, id: &str) -> Result<Progress, WarehouseError> {
        let output = self
            .client
            .describe_statement()
            .id(id)
            .send()
            .await
            .map_err(|error| failed("DescribeStatement", error))?;
        Ok(progress(&output))
    }

    async fn rows(&self, statement_id: &str) -> Result<Rows, WarehouseError> {
        const OPERATION: &str = "GetStatementResult";
        let mut rows = Vec::new();
        let mut columns = Vec::new();
        let mut pages = self.client.get_statement_result().id(statement_id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(OPERATION, error))?;
            if columns.is_empty() {
                columns = page
                    .column_metadata()
                    .iter()
                    .map(|column| column.name.clone().unwrap_or_default())
                    .collect();
            }
            for record in page.records {
                rows.push(row(&columns, record).map_err(|reason| refused(OPERATION, reason))?);
            }
        }
        Ok(Rows::new(rows))
    }

    async fn cancel(&self, id: &str) -> Result<(), WarehouseError> {
        self.client
            .cancel_statement()
            .id(id)
            .send()
            .await
            .map_err(|error| failed("CancelStatement", error))?;
        Ok(())
    }
}

fn progress(output: &DescribeStatementOutput) -> Progress {
    let statements = output.sub_statements();
    match &output.status {
        Some(StatusString::Finished) => Progress::Finished {
            results: statements
                .iter()
                .map(|statement| {
                    (statement.has_result_set == Some(true)).then(|| statement.id.clone())
                })
                .collect(),
        },
        Some(StatusString::Failed | StatusString::Aborted) => {
            let at_fault = statements
                .iter()
                .position(|statement| statement.status == Some(StatementStatusString::Failed));
            let message = at_fault
                .and_then(|index| statements[index].error.clone())
                .or_else(|| output.error.clone())
                .unwrap_or_else(|| "the service gave no reason".to_owned());
            Progress::Failed { statement: at_fault, message }
        }
        _ => Progress::Running,
    }
}

fn row(columns: &[String], record: Vec<Field>) -> Result<Map<String, Value>, String> {
    if record.len() != columns.len() {
        return Err(format!("a record has {} fields for {} columns", record.len(), columns.len()));
    }
    columns
        .iter()
        .cloned()
        .zip(record)
        .map(|(column, field)| Ok((column.clone(), value(&column, field)?)))
        .collect()
}

fn value(column: &str, field: Field) -> Result<Value, String> {
    match field {
        Field::IsNull(_) => Ok(Value::Null),
        Field::BooleanValue(boolean) => Ok(boolean.into()),
        Field::LongValue(long) => Ok(long.into()),
        Field::DoubleValue(double) => Ok(double.into()),
        Field::StringValue(string) => Ok(string.into()),
        other => Err(format!(
            "column {column} has an unexpected value {other:?}: cast it to a text or a number"
        )),
    }
}

fn failed<E>(operation: &'static str, error: SdkError<E>) -> WarehouseError
where
    E: std::error::Error + Send + Sync + 'static,
{
    // The SDK's own message is only "service error": what happened is in its sources.
    refused(operation, DisplayErrorContext(error).to_string())
}

fn refused(
    operation: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> WarehouseError {
    WarehouseError::Request { operation, source: source.into() }
}

#[cfg(test)]
mod tests {
    use aws_sdk_redshiftdata::types::SubStatementData;

    use super::*;

    fn statement(
        number: usize,
        status: StatementStatusString,
    ) -> aws_sdk_redshiftdata::types::builders::SubStatementDataBuilder {
        SubStatementData::builder().id(format!("e-1:{number}")).status(status)
    }

    fn described(
        status: StatusString,
        statements: Vec<SubStatementData>,
    ) -> DescribeStatementOutput {
        DescribeStatementOutput::builder()
            .id("e-1")
            .status(status)
            .set_sub_statements(Some(statements))
            .error("the batch failed")
            .build()
            .unwrap()
    }

    #[test]
    fn only_statements_with_rows_have_results() {
        let output = described(
            StatusString::Finished,
            vec![
                statement(1, StatementStatusString::Finished)
                    .has_result_set(false)
                    .build()
                    .unwrap(),
                statement(2, StatementStatusString::Finished).has_result_set(true).build().unwrap(),
            ],
        );
        assert_eq!(
            progress(&output),
            Progress::Finished { results: vec![None, Some("e-1:2".into())] }
        );
    }

    #[test]
    fn a_failed_batch_has_the_error_of_its_failed_statement() {
        let output = described(
            StatusString::Failed,
            vec![
                statement(1, StatementStatusString::Finished).build().unwrap(),
                statement(2, StatementStatusString::Failed).error("no such table").build().unwrap(),
                statement(3, StatementStatusString::Aborted).build().unwrap(),
            ],
        );
        assert_eq!(
            progress(&output),
            Progress::Failed { statement: Some(1), message: "no such table".into() }
        );
    }

    #[test]
    fn a_batch_that_failed_as_a_whole_has_its_own_error() {
        let output = described(StatusString::Aborted, vec![]);
        assert_eq!(
            progress(&output),
            Progress::Failed { statement: None, message: "the batch failed".into() }
        );
    }

    #[test]
    fn a_submitted_picked_or_started_batch_is_running() {
        for status in [StatusString::Submitted, StatusString::Picked, StatusString::Started] {
            assert_eq!(progress(&described(status, vec![])), Progress::Running);
        }
    }

    #[test]
    fn values_of_a_record_are_named_by_its_columns() {
        let columns = ["model".to_owned(), "version".to_owned(), "rows".to_owned()];
        let record = vec![Field::StringValue("m".into()), Field::LongValue(3), Field::IsNull(true)];
        assert_eq!(
            Value::Object(row(&columns, record).unwrap()),
            serde_json::json!({"model": "m", "version": 3, "rows": null})
        );
        assert!(row(&columns, vec![]).is_err());
    }
}
