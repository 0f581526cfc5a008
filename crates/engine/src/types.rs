//! Tables of the types that every engine of the lake has in common, as DataFusion knows them.

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use shoplake_contracts::ColumnType;
use shoplake_jobs::TableColumn;

/// A field of a table. Always nullable, as in the files of every engine: that a column is never
/// null is a check's business.
pub(crate) fn field(name: &str, column_type: ColumnType) -> FieldRef {
    Field::new(name, column_type.arrow(), true).into()
}

/// The schema of a table with the given columns.
pub(crate) fn schema(columns: &[TableColumn]) -> SchemaRef {
    Schema::new(
        columns.iter().map(|column| field(&column.name, column.column_type)).collect::<Vec<_>>(),
    )
    .into()
}
