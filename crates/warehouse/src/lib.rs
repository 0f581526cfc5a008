//! The warehouse: transactions through the Redshift Data API, copies of gold partitions, and
//! migrations.
//!
//! Everything that can be decided without a database is a pure function here (statements, DDL,
//! splitting, retry decisions) and is tested as such. What only a database can show (locks,
//! isolation, types) is shown by the end-to-end tests.

mod checks;
mod column;
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

pub use checks::{CheckFailure, CheckResult, CheckResults, Recorded};
pub use column::Column;
pub use data_api::{DataApi, Policy, within};
pub use error::WarehouseError;
pub use identifier::{Identifier, InvalidIdentifier, TableName};
pub use literal::{Literal, UnsafeLiteral};
pub use load::{ColumnValue, LoadError, Loaded, Loader, Outcome, PartitionCopy};
pub use memory::RecordingWarehouse;
pub use rows::Rows;
pub use statement::Statement;

use async_trait::async_trait;

/// How many statements one transaction may have (`BatchExecuteStatement`).
pub const MAX_STATEMENTS: usize = 40;

/// A database that runs transactions.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// Runs the statements in order as one transaction: all of them take effect, or none.
    ///
    /// Answers with one entry per statement: its rows, or `None` if it is not one that returns
    /// rows. A serialization conflict is retried before it is reported, so a transaction must not
    /// depend on what was read in an earlier one without checking it again in SQL.
    async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Option<Rows>>, WarehouseError>;

    /// Runs one statement and answers with its rows.
    async fn query(&self, statement: Statement) -> Result<Rows, WarehouseError> {
        let sql = statement.sql().to_owned();
        let mut results = self.transaction(vec![statement]).await?;
        results.pop().flatten().ok_or(WarehouseError::NoRows { sql })
    }
}
