//! The task: one shop, its last trading days or a given one, then the end.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shoplake_connector::task::main::<shoplake_connector_pos::Sales>().await
}
