//! The columns of a silver table.

use arrow_schema::Field;
use serde::Serialize;
use shoplake_jobs::ColumnType;

/// A column of a silver table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Lower case, with `_` where a nested field was flattened.
    pub name: String,
    /// Its portable type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether a row may lack it.
    pub nullable: bool,
    /// For humans: the data dictionary and the catalog.
    pub description: String,
}

impl Column {
    /// The column as an Arrow field.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.column_type.arrow(), self.nullable)
    }
}
