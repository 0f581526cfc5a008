//! The task: one shop, one business day, then the end.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shoplake_connector::task::main::<pos_connector::Day>().await
}
