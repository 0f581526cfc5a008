//! The task: one shop's tables, then the end.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shoplake_connector::task::main::<shoplake_connector_oltp::Extract>().await
}
