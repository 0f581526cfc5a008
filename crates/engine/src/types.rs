//! Arrow schemas of tables with portable types.

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use shoplake_contracts::ColumnType;
use shoplake_jobs::TableColumn;

/// Returns a field of a table. It is always nullable, as in the files of every engine; checks prove
/// that a column is never null.
pub(crate) fn field(name: &str, column_type: ColumnType) -> FieldRef {
    Field::new(name, column_type.arrow(), true).into()
}

/// Returns the schema of a table with the given columns.
pub(crate) fn schema(columns: &[TableColumn]) -> SchemaRef {
    Schema::new(
        columns.iter().map(|column| field(&column.name, column.column_type)).collect::<Vec<_>>(),
    )
    .into()
}
