//! The rows of a statement.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::WarehouseError;

/// The rows of one statement, each a JSON object by column name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    rows: Vec<Map<String, Value>>,
}

impl Rows {
    /// Returns rows, given as one object per row.
    pub fn new(rows: Vec<Map<String, Value>>) -> Self {
        Self { rows }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Decodes each row into a `T`, whose fields have the names of the columns.
    pub fn decode<T: DeserializeOwned>(self) -> Result<Vec<T>, WarehouseError> {
        self.rows
            .into_iter()
            .map(|row| {
                serde_json::from_value(Value::Object(row))
                    .map_err(|source| WarehouseError::UnexpectedRow { source })
            })
            .collect()
    }
}

impl FromIterator<Map<String, Value>> for Rows {
    fn from_iter<I: IntoIterator<Item = Map<String, Value>>>(rows: I) -> Self {
        Self { rows: rows.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Record {
        version: u64,
        row_count: Option<u64>,
    }

    #[test]
    fn columns_decode_to_fields_and_null_to_none() {
        let rows =
            Rows::new(vec![json!({"version": 3, "row_count": null}).as_object().cloned().unwrap()]);
        assert_eq!(rows.decode::<Record>().unwrap(), vec![Record { version: 3, row_count: None }]);
    }

    #[test]
    fn a_missing_column_is_an_error_with_its_name() {
        let rows = Rows::new(vec![json!({"row_count": 1}).as_object().cloned().unwrap()]);
        assert!(rows.decode::<Record>().unwrap_err().to_string().contains("version"));
    }
}
