//! The task: one shop, one hour or a range of them, then the end.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shoplake_connector::task::main::<shoplake_connector_inventory::Snapshots>().await
}
