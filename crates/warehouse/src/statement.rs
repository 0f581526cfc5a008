//! SQL statements with named parameters, and batches of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::{MAX_STATEMENTS, WarehouseError};

/// A SQL statement and the values of its `:name` parameters.
///
/// A value is text and is cast where it is used (`cast(:version as bigint)`): the Data API has no
/// other type, and neither null nor ''. Use a name with one type only: the server infers one type
/// per name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: String,
    parameters: BTreeMap<Cow<'static, str>, String>,
}

impl Statement {
    /// Returns a statement without parameters.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: BTreeMap::new() }
    }

    /// Sets the value of the parameter `:name`.
    #[must_use]
    pub fn bind(mut self, name: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        self.parameters.insert(name.into(), value.to_string());
        self
    }

    /// Returns the text, with its `:name` placeholders.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the values by parameter name.
    pub fn parameters(&self) -> &BTreeMap<Cow<'static, str>, String> {
        &self.parameters
    }
}

/// Statements for `BatchExecuteStatement`, which share one namespace of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) sqls: Vec<String>,
    pub(crate) parameters: BTreeMap<Cow<'static, str>, String>,
}

impl Batch {
    /// Merges the parameters of the statements. Two statements may share a name with one value.
    pub(crate) fn new(statements: Vec<Statement>) -> Result<Self, WarehouseError> {
        if statements.is_empty() || statements.len() > MAX_STATEMENTS {
            return Err(WarehouseError::StatementCount { actual: statements.len() });
        }
        let mut batch =
            Self { sqls: Vec::with_capacity(statements.len()), parameters: BTreeMap::new() };
        for statement in statements {
            for (name, value) in statement.parameters {
                if value.is_empty() {
                    return Err(WarehouseError::EmptyParameter { name: name.into_owned() });
                }
                if batch.parameters.get(&name).is_some_and(|earlier| *earlier != value) {
                    return Err(WarehouseError::ParameterClash { name: name.into_owned() });
                }
                batch.parameters.insert(name, value);
            }
            batch.sqls.push(statement.sql);
        }
        Ok(batch)
    }
}

/// Returns the statements as few transactions: all in one, unless they are too many for it.
pub(crate) fn transactions(statements: Vec<Statement>) -> Vec<Vec<Statement>> {
    statements.chunks(MAX_STATEMENTS).map(<[Statement]>::to_vec).collect()
}

/// Returns statements as text, for snapshots.
#[cfg(test)]
pub(crate) fn script(statements: &[Statement]) -> String {
    statements
        .iter()
        .map(|statement| format!("{};\n-- {:?}", statement.sql(), statement.parameters()))
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_parameter_is_sent_once() {
        let batch = Batch::new(vec![
            Statement::new("delete from a where id = :id").bind("id", 7),
            Statement::new("delete from b where id = :id").bind("id", 7),
        ])
        .unwrap();

        assert_eq!(batch.parameters, BTreeMap::from([("id".into(), "7".to_owned())]));
        assert_eq!(batch.sqls.len(), 2);
    }

    #[test]
    fn a_name_with_two_values_is_refused() {
        let clash = Batch::new(vec![
            Statement::new("select :id").bind("id", 7),
            Statement::new("select :id").bind("id", 8),
        ]);
        assert!(matches!(clash, Err(WarehouseError::ParameterClash { name }) if name == "id"));
    }

    #[test]
    fn an_empty_value_is_refused() {
        let empty = Batch::new(vec![Statement::new("select :id").bind("id", "")]);
        assert!(matches!(empty, Err(WarehouseError::EmptyParameter { name }) if name == "id"));
    }

    #[test]
    fn no_or_too_many_statements_are_refused() {
        for count in [0, MAX_STATEMENTS + 1] {
            let refused = Batch::new(vec![Statement::new("select 1"); count]);
            assert!(
                matches!(refused, Err(WarehouseError::StatementCount { actual }) if actual == count)
            );
        }
    }
}
