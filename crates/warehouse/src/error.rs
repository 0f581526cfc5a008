//! What can go wrong with a transaction.

use std::time::Duration;

use crate::MAX_STATEMENTS;

/// How much of a failing statement an error shows.
const EXCERPT_CHARS: usize = 300;

/// A transaction was not run, or was run and rolled back.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The Data API did not take or answer a request.
    #[error(
        "the Redshift Data API did not accept {operation}: {source}; check that the workgroup is available and the role may call it"
    )]
    Request {
        /// The operation called.
        operation: &'static str,
        /// What the SDK said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed, so the transaction was rolled back.
    #[error("statement {number} of {total} failed and the transaction was rolled back: {message}; the statement: {}; execution {id}", excerpt(.sql))]
    Statement {
        /// The Data API's id of the execution.
        id: String,
        /// Which statement, counted from 1.
        number: usize,
        /// How many statements the transaction had.
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
        /// How many statements the transaction had.
        total: usize,
        /// The database's message.
        message: String,
    },
    /// The transaction did not end in time and was cancelled.
    #[error(
        "execution {id} did not finish within {deadline:?} and was cancelled; look for locks or a full queue in the warehouse, or give the \
         caller more time"
    )]
    Deadline {
        /// The Data API's id of the execution.
        id: String,
        /// How long it was given.
        deadline: Duration,
    },
    /// A request was not answered, or could not be made, in the time that was left.
    #[error(
        "{operation} was not answered within {deadline:?}; check that the workgroup is available, or give the caller more time"
    )]
    Unanswered {
        /// The operation called.
        operation: &'static str,
        /// How long the transaction was given.
        deadline: Duration,
    },
    /// One transaction had no statement or too many.
    #[error("a transaction has 1 to {MAX_STATEMENTS} statements, this one has {actual}; split it")]
    StatementCount {
        /// How many there were.
        actual: usize,
    },
    /// Two statements of one transaction gave one parameter two values.
    #[error(
        "parameter :{name} has two different values in one transaction; give one of them another name"
    )]
    ParameterClash {
        /// The parameter.
        name: String,
    },
    /// The Data API has no empty parameter values.
    #[error(
        "parameter :{name} is empty, which the Data API refuses; leave it out or render the empty string in the SQL"
    )]
    EmptyParameter {
        /// The parameter.
        name: String,
    },
    /// A statement that should return rows does not.
    #[error("expected rows from a statement that returns none: {}", excerpt(.sql))]
    NoRows {
        /// The statement's text.
        sql: String,
    },
    /// `shoplake.check_runs` lost the row that a recording relies on.
    #[error(
        "shoplake.check_runs has no row for {model} {partition} although one was just registered; somebody deleted it, record the results again"
    )]
    NotRegistered {
        /// The model or dataset.
        model: String,
        /// The partition's value.
        partition: String,
    },
    /// A row did not have the expected columns.
    #[error("a row is not as expected: {source}")]
    UnexpectedRow {
        /// What serde said.
        source: serde_json::Error,
    },
}

impl WarehouseError {
    /// Whether the transaction lost against a concurrent one and would succeed if it were simply
    /// run again.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Statement { message, .. } | Self::RolledBack { message, .. } => {
                is_conflict_message(message)
            }
            _ => false,
        }
    }

    /// Whether the database refused a value: it does not fit its column, or holds a character that
    /// the warehouse cannot store. The same rows fail again.
    pub fn is_data_error(&self) -> bool {
        match self {
            Self::Statement { message, .. } | Self::RolledBack { message, .. } => {
                is_data_message(message)
            }
            _ => false,
        }
    }

    /// Whether an object that was to be created is there already, as when a concurrent creation
    /// won.
    pub fn is_duplicate(&self) -> bool {
        let Self::Statement { message, .. } = self else { return false };
        let message = message.to_ascii_lowercase();
        // PostgreSQL reports a lost race of two `create ... if not exists` as a violated index of
        // its own catalog.
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
/// A Parquet file of other columns than expected passes: a newer commit with another type or one
/// more column has replaced the object since the load was requested, and its own load comes.
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
    fn given_what_redshift_and_postgresql_say_of_a_lost_race_when_asked_then_it_is_a_conflict() {
        for message in [
            "ERROR: 1023 DETAIL: Serializable isolation violation on table - 100548, transactions forming the cycle are: 1, 2",
            "ERROR:1018 DETAIL: Relation does not exist",
            "ERROR: could not serialize access due to concurrent update",
            "deadlock detected",
        ] {
            assert!(failed(message).is_conflict(), "{message}");
        }
        assert!(!failed("ERROR: syntax error at or near \"form\"").is_conflict());
    }

    #[test]
    fn values_that_a_column_cannot_hold_are_data_errors_and_outages_are_not() {
        for message in [
            "ERROR: value too long for type character varying(256)",
            "ERROR: numeric field overflow DETAIL: A field with precision 18, scale 4 must round to less than 10^14.",
            "ERROR: Numeric data overflow (result precision)",
            "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00",
            "Spectrum Scan Error. The length of the data column name is longer than the length defined in the table.",
            "ERROR: bigint out of range",
        ] {
            assert!(failed(message).is_data_error(), "{message}");
            assert!(!failed(message).is_conflict(), "{message}");
        }
        for message in [
            "ERROR: 1023 DETAIL: Serializable isolation violation on table - 100548",
            "S3ServiceException: Access Denied, Status 403",
            "ERROR: Query (25) canceled by user",
            "Spectrum Scan Error. File 's3://lake/a.parquet' has an incompatible Parquet schema for column 'net'.",
            "Unmatched number of columns between table and file. Table columns: 6, Data columns: 7",
            "terminating connection due to administrator command",
        ] {
            assert!(!failed(message).is_data_error(), "{message}");
        }
    }

    #[test]
    fn given_a_lost_creation_when_asked_then_it_is_a_duplicate() {
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
    fn given_a_failed_statement_when_shown_then_it_says_which_one_and_why() {
        insta::assert_snapshot!(
            failed("column \"x\" does not exist"),
            @r#"statement 4 of 8 failed and the transaction was rolled back: column "x" does not exist; the statement: delete from t; execution e-1"#
        );
    }
}
