//! Errors of transactions.

use std::time::Duration;

use crate::MAX_STATEMENTS;

/// The longest excerpt of a statement in an error.
const EXCERPT_CHARS: usize = 300;

/// Why a transaction did not commit.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// A request to the Data API failed.
    #[error(
        "the Redshift Data API failed {operation}: {source}; check that the workgroup is available \
         and that the role may call it"
    )]
    Request {
        /// The operation.
        operation: &'static str,
        /// The error of the SDK.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed, so the transaction was rolled back.
    #[error(
        "statement {number} of {total} failed and the transaction was rolled back: {message}; the \
         statement: {}; execution {id}",
        excerpt(.sql)
    )]
    Statement {
        /// The Data API's id of the execution.
        id: String,
        /// The number of the statement, from 1.
        number: usize,
        /// The number of statements in the transaction.
        total: usize,
        /// The statement's text.
        sql: String,
        /// The database's message.
        message: String,
    },
    /// The execution ended without naming a statement that failed.
    #[error("execution {id} of {total} statements was rolled back: {message}")]
    RolledBack {
        /// The Data API's id of the execution.
        id: String,
        /// The number of statements in the transaction.
        total: usize,
        /// The database's message.
        message: String,
    },
    /// The transaction did not end in time and was cancelled.
    #[error(
        "execution {id} did not finish within {deadline:?} and was cancelled; look for locks or a \
         full queue in the warehouse, or raise the timeout of the caller"
    )]
    Deadline {
        /// The Data API's id of the execution.
        id: String,
        /// The time limit.
        deadline: Duration,
    },
    /// A request timed out, or there was no time left to make it.
    #[error(
        "{operation} had no answer within {deadline:?}; check that the workgroup is available, or \
         raise the timeout of the caller"
    )]
    Unanswered {
        /// The operation.
        operation: &'static str,
        /// The time limit of the transaction.
        deadline: Duration,
    },
    /// The transaction has no statement, or too many.
    #[error("expected 1 to {MAX_STATEMENTS} statements in a transaction, got {actual}: split it")]
    StatementCount {
        /// The number of statements.
        actual: usize,
    },
    /// Two statements of the transaction have different values of one parameter.
    #[error("parameter :{name} has two values in one transaction: rename one of them")]
    ParameterClash {
        /// The parameter.
        name: String,
    },
    /// A parameter is empty, which the Data API refuses.
    #[error(
        "parameter :{name} is empty, which the Data API refuses: write '' into the SQL instead"
    )]
    EmptyParameter {
        /// The parameter.
        name: String,
    },
    /// A statement returned no result set.
    #[error("expected a result set from the statement: {}", excerpt(.sql))]
    NoRows {
        /// The statement's text.
        sql: String,
    },
    /// The row of the partition in `shoplake.check_runs` was deleted.
    #[error(
        "shoplake.check_runs has no row for {model} {partition}, which was just inserted: it was \
         deleted, record the results again"
    )]
    NotRegistered {
        /// The model or dataset.
        model: String,
        /// The partition's value.
        partition: String,
    },
    /// A row does not have the expected columns.
    #[error("unexpected columns in a row: {source}")]
    UnexpectedRow {
        /// The error of serde.
        source: serde_json::Error,
    },
}

impl WarehouseError {
    /// Whether the transaction lost against a concurrent one, so that another attempt may succeed.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Statement { message, .. } | Self::RolledBack { message, .. } => {
                is_conflict_message(message)
            }
            _ => false,
        }
    }

    /// Whether the database refused a value: it does not fit its column, or has a character that
    /// the warehouse does not store. The same rows fail again.
    pub fn is_data_error(&self) -> bool {
        match self {
            Self::Statement { message, .. } | Self::RolledBack { message, .. } => {
                is_data_message(message)
            }
            _ => false,
        }
    }

    /// Whether the object to create exists already, for example by a concurrent transaction.
    pub fn is_duplicate(&self) -> bool {
        let Self::Statement { message, .. } = self else { return false };
        let message = message.to_ascii_lowercase();
        // PostgreSQL reports the loser of two concurrent `create ... if not exists` as a violated
        // index of its catalog.
        message.contains("already exists")
            || message.contains("duplicate key value violates unique constraint \"pg_")
    }
}

/// Redshift: 1023 (serializable isolation violation) and 1018 (a relation changed since the
/// snapshot). PostgreSQL: 40001 and 40P01.
fn is_conflict_message(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "serializable isolation violation",
        "could not serialize access",
        "deadlock detected",
        "error:1023",
        "error: 1023",
        "error:1018",
        "error: 1018",
        "40001",
        "40p01",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

/// Redshift (COPY and casts) and PostgreSQL (class 22 of its error codes).
///
/// A Parquet file with other columns is not a data error: a newer commit with other columns has
/// replaced the object since the load was requested, and has a load of its own.
fn is_data_message(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "value too long for",
        "length of the data column",
        "exceeds ddl length",
        "numeric data overflow",
        "numeric field overflow",
        "out of range",
        "overflow occurred",
        "invalid byte sequence for encoding",
        "invalid or unsupported utf8",
        "invalid input syntax for",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

fn excerpt(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> WarehouseError {
        WarehouseError::Statement {
            id: "e-1".into(),
            number: 4,
            total: 8,
            sql: "delete\n  from  t".into(),
            message: message.into(),
        }
    }

    #[test]
    fn lost_races_of_redshift_and_postgresql_are_conflicts() {
        for message in [
            "ERROR: 1023 DETAIL: Serializable isolation violation on table - 100548, \
             transactions forming the cycle are: 1, 2",
            "ERROR:1018 DETAIL: Relation does not exist",
            "ERROR: could not serialize access due to concurrent update",
            "deadlock detected",
        ] {
            assert!(failed(message).is_conflict(), "{message}");
        }
        assert!(!failed("ERROR: syntax error at or near \"form\"").is_conflict());
    }

    #[test]
    fn values_that_do_not_fit_are_data_errors() {
        for message in [
            "ERROR: value too long for type character varying(256)",
            "ERROR: numeric field overflow DETAIL: A field with precision 18, scale 4 must \
             round to less than 10^14.",
            "ERROR: Numeric data overflow (result precision)",
            "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00",
            "Spectrum Scan Error. The length of the data column name is longer than the length \
             defined in the table.",
            "ERROR: bigint out of range",
        ] {
            assert!(failed(message).is_data_error(), "{message}");
            assert!(!failed(message).is_conflict(), "{message}");
        }
        for message in [
            "ERROR: 1023 DETAIL: Serializable isolation violation on table - 100548",
            "S3ServiceException: Access Denied, Status 403",
            "ERROR: Query (25) canceled by user",
            "Spectrum Scan Error. File 's3://lake/a.parquet' has an incompatible Parquet \
             schema for column 'net'.",
            "Unmatched number of columns between table and file. Table columns: 6, Data columns: 7",
            "terminating connection due to administrator command",
        ] {
            assert!(!failed(message).is_data_error(), "{message}");
        }
    }

    #[test]
    fn a_lost_creation_is_a_duplicate() {
        assert!(failed("ERROR: relation \"loads\" already exists").is_duplicate());
        assert!(
            failed("duplicate key value violates unique constraint \"pg_namespace_nspname_index\"")
                .is_duplicate()
        );
        assert!(
            !failed("duplicate key value violates unique constraint \"loads_pkey\"").is_duplicate()
        );
    }

    #[test]
    fn the_error_of_a_statement_has_its_number_and_reason() {
        assert_eq!(
            failed("column \"x\" does not exist").to_string(),
            "statement 4 of 8 failed and the transaction was rolled back: column \"x\" does not \
             exist; the statement: delete from t; execution e-1"
        );
    }
}
