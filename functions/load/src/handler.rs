//! What the function does, apart from Lambda and AWS.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;
use shoplake_contracts::ColumnType;
use shoplake_models::{LoadRequest, PartitionValue};
use shoplake_platform::failure::Failure;
use shoplake_warehouse::{Column, Literal, LoadError, Loader, Outcome, PartitionCopy};

/// The handler and what it works with.
pub(crate) struct Load {
    /// Copies partitions.
    pub(crate) loader: Loader,
    /// The bucket that holds the lake.
    pub(crate) bucket: String,
    /// The ARN of the role with which Redshift reads it.
    pub(crate) role: Literal,
}

/// What became of a load.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Response {
    model: String,
    partition: String,
    version: u64,
    outcome: Outcome,
    /// Rows that the warehouse now has for the partition.
    rows: u64,
}

impl Load {
    /// Brings the committed partition that the event names to its table.
    pub(crate) async fn handle(&self, event: Value) -> Result<Response, Failure> {
        let request: LoadRequest = serde_json::from_value(event).map_err(invalid)?;
        let copy = self.copy(&request)?;
        let loaded = self.loader.load(&copy).await.map_err(failure)?;
        tracing::info!(
            model = copy.model,
            partition = copy.partition.value,
            version = copy.version,
            outcome = ?loaded.outcome,
            rows = loaded.rows,
            "load"
        );
        Ok(Response {
            model: copy.model,
            partition: copy.partition.value,
            version: copy.version,
            outcome: loaded.outcome,
            rows: loaded.rows,
        })
    }

    fn copy(&self, request: &LoadRequest) -> Result<PartitionCopy, Failure> {
        let columns = request
            .columns
            .iter()
            .map(|column| Ok(Column { name: column.name.parse()?, column_type: column.column_type }))
            .collect::<Result<_, shoplake_warehouse::InvalidIdentifier>>()
            .map_err(invalid)?;
        Ok(PartitionCopy {
            model: request.model.clone(),
            table: request.warehouse.parse().map_err(invalid)?,
            columns,
            sort: request
                .sort
                .iter()
                .map(|column| column.parse())
                .collect::<Result<_, _>>()
                .map_err(invalid)?,
            partition: shoplake_warehouse::PartitionValue {
                column: request.partition.column.parse().map_err(invalid)?,
                column_type: match request.partition.value {
                    PartitionValue::Date(_) => ColumnType::Date,
                },
                value: request.partition.value.to_string(),
            },
            version: request.version,
            source: Literal::new(format!("s3://{}/{}", self.bucket, request.key)).map_err(invalid)?,
            key: request.key.clone(),
            role: self.role.clone(),
        })
    }
}

fn invalid(error: impl Display) -> Failure {
    Failure::permanent(format!("expected the load object of the transform function: {error}"))
}

fn failure(error: LoadError) -> Failure {
    if error.is_permanent() { Failure::permanent(error) } else { Failure::retryable(error) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use shoplake_warehouse::{RecordingWarehouse, Rows, WarehouseError};

    use super::*;

    fn event() -> Value {
        json!({
            "model": "total_sales",
            "warehouse": "sales.total_sales",
            "partition": {"column": "business_date", "type": "date", "value": "2010-12-01"},
            "key": "gold/total_sales/business_date=2010-12-01/data.parquet",
            "version": 4,
            "columns": [{"name": "shop_id", "type": "string"}, {"name": "business_date", "type": "date"}],
            "sort": ["shop_id", "business_date"],
        })
    }

    fn rows(row: Value) -> Option<Rows> {
        Some(row.as_object().cloned().into_iter().collect())
    }

    /// A warehouse that has never seen the model, and loads three rows of it.
    fn empty() -> Arc<RecordingWarehouse> {
        Arc::new(RecordingWarehouse::answering(|statements| {
            Ok(statements
                .iter()
                .map(|statement| match statement.sql() {
                    sql if sql.contains("staged_rows\nfrom") => {
                        rows(json!({"version": 4, "row_count": null, "staged_rows": 3}))
                    }
                    sql if sql.starts_with("select") => rows(Value::Null),
                    _ => None,
                })
                .collect())
        }))
    }

    fn handler(warehouse: Arc<RecordingWarehouse>) -> Load {
        Load {
            loader: Loader::new(warehouse),
            bucket: "lake".into(),
            role: Literal::new("arn:aws:iam::000000000000:role/copy").unwrap(),
        }
    }

    #[tokio::test]
    async fn given_a_committed_partition_when_handled_then_it_is_copied_from_the_lake() {
        let warehouse = empty();

        let response = handler(warehouse.clone()).handle(event()).await.unwrap();

        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({"model": "total_sales", "partition": "2010-12-01", "version": 4, "outcome": "loaded", "rows": 3})
        );
        let copied = warehouse.transactions().into_iter().flatten().any(|statement| {
            statement
                .sql()
                .contains("from 's3://lake/gold/total_sales/business_date=2010-12-01/data.parquet'")
        });
        assert!(copied);
    }

    #[tokio::test]
    async fn given_what_is_no_load_request_when_handled_then_it_fails_for_good() {
        let mut unsafe_key = event();
        unsafe_key["key"] = json!("gold/x' iam_role 'y");
        let mut unknown_table = event();
        unknown_table["warehouse"] = json!("Sales");
        for event in [json!({}), json!(null), unsafe_key, unknown_table] {
            let failure = handler(empty()).handle(event).await.unwrap_err();
            assert!(failure.is_permanent(), "{failure}");
        }
    }

    #[tokio::test]
    async fn given_a_warehouse_that_fails_when_handled_then_it_may_be_tried_again() {
        let down = RecordingWarehouse::answering(|_| {
            Err(WarehouseError::Request { operation: "BatchExecuteStatement", source: "timed out".into() })
        });
        assert!(!handler(Arc::new(down)).handle(event()).await.unwrap_err().is_permanent());
    }
}
