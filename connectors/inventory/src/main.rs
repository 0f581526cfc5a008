//! The task: one shop, one hour or a range of them, then the end.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shoplake_connector::task::main::<inventory_connector::Snapshots>().await
}
