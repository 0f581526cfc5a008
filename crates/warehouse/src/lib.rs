//! The warehouse: transactions through the Redshift Data API, copies of gold partitions, and
//! migrations.
//!
//! Decisions that need no database are pure functions (statements, DDL, splitting, retries). The
//! end-to-end tests and `tests/warehouse` cover the rest: locks, isolation, types.

mod checks;
mod column;
mod comments;
mod data_api;
mod error;
mod identifier;
mod literal;
mod load;
mod memory;
pub mod migrations;
mod rows;
mod split;
mod statement;
mod table;
mod timestamp;

pub use checks::{CheckFailure, CheckResult, CheckResults, Recorded};
pub use column::MartColumn;
pub use comments::Comments;
pub use data_api::{DataApi, RetryPolicy, within};
pub use error::WarehouseError;
pub use identifier::{Identifier, InvalidIdentifier, TableName};
pub use literal::{Literal, UnsafeLiteral};
pub use load::{
    LoadError, LoadOutcome, LoadRecord, Loaded, Loader, PartitionCopy, all_load_records,
    load_records,
};
pub use memory::RecordingWarehouse;
pub use rows::Rows;
pub use statement::Statement;

use async_trait::async_trait;

/// The most statements of a transaction (`BatchExecuteStatement`).
pub const MAX_STATEMENTS: usize = 40;

/// A database that runs transactions.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// Runs the statements in order as one transaction. Returns one entry per statement: its rows,
    /// or `None` for a statement without a result set.
    ///
    /// A serialization conflict is retried before it is an error. So a transaction that depends on
    /// an earlier read has to check it again in SQL.
    async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Option<Rows>>, WarehouseError>;

    /// Runs one statement and returns its rows.
    async fn query(&self, statement: Statement) -> Result<Rows, WarehouseError> {
        let sql = statement.sql().to_owned();
        let mut results = self.transaction(vec![statement]).await?;
        results.pop().flatten().ok_or(WarehouseError::NoRows { sql })
    }
}
