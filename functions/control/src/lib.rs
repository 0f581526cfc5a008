//! The control function: serves the requests of operators.

use serde_json::Value;
use shoplake_operations::{Operations, Request};
use shoplake_platform::failure::Failure;

/// Runs the action that `event` describes and returns its response.
///
/// # Errors
/// If the event is not a request, or if the action fails.
pub async fn handle(operations: &Operations, event: Value) -> Result<Value, Failure> {
    let response = operations.run(Request::from_json(event)?).await?;
    serde_json::to_value(response).map_err(Failure::permanent)
}
