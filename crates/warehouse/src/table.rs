//! The table that a model is shown as: how it is created, and how it grows with its model.

use serde::Deserialize;

use shoplake_contracts::ColumnType;

use crate::{
    Column, Identifier, LoadError, Rows, Statement, TableName,
    column::{Redshift, from_catalog},
};

/// The column that takes the values of one that is widened, within one transaction.
const BESIDE: &str = "\"load_wider\"";

/// Asks for the columns of a table; no row means there is no such table.
pub(crate) fn columns_query(table: &TableName) -> Statement {
    // Cast, as the catalog's own types are not those of ordinary columns.
    Statement::new(
        "select
    cast(column_name as varchar(128)) as column_name,
    cast(data_type as varchar(128)) as data_type,
    cast(numeric_precision as bigint) as numeric_precision,
    cast(numeric_scale as bigint) as numeric_scale
from information_schema.columns
where table_schema = :table_schema
    and table_name = :table_name
order by ordinal_position",
    )
    .bind("table_schema", table.schema.as_str())
    .bind("table_name", table.table.as_str())
}

/// A column as the catalog has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CatalogColumn {
    column_name: String,
    data_type: String,
    numeric_precision: Option<u8>,
    numeric_scale: Option<u8>,
}

impl CatalogColumn {
    /// Reads the answer to [`columns_query`].
    pub(crate) fn read(rows: Rows) -> Result<Vec<Self>, LoadError> {
        Ok(rows.decode()?)
    }

    fn column_type(&self) -> Option<ColumnType> {
        from_catalog(&self.data_type, self.numeric_precision, self.numeric_scale)
    }
}

/// The DDL that makes a table hold the wanted columns: nothing, its creation, or what it lacks.
/// Each item is one transaction.
///
/// A column that the model has lost stays, and is null in new rows: dropping data is a human's
/// decision. A decimal that holds more digits than before is widened with its values, as none of
/// them changes. Any other change of a type is an error; loading it anyway could round silently.
pub(crate) fn plan(
    table: &TableName,
    existing: &[CatalogColumn],
    wanted: &[Column],
    sort: &[Identifier],
) -> Result<Vec<Vec<Statement>>, LoadError> {
    if existing.is_empty() {
        return Ok(vec![create(table, wanted, sort)]);
    }
    let mut transactions = Vec::new();
    for column in wanted {
        match existing.iter().find(|found| found.column_name == column.name.as_str()) {
            None => {
                transactions.push(vec![Statement::new(format!("alter table {table} add column {column}"))])
            }
            Some(found) if found.column_type() == Some(column.column_type) => {}
            Some(found) if is_wider(column.column_type, found.column_type()) => {
                transactions.push(widen(table, column));
            }
            Some(found) => {
                return Err(LoadError::TypeChanged {
                    table: table.clone(),
                    column: column.name.clone(),
                    expected: column.column_type,
                    actual: found
                        .column_type()
                        .map_or_else(|| found.data_type.clone(), |actual| actual.to_string()),
                });
            }
        }
    }
    Ok(transactions)
}

/// Whether every value of the column fits into the wanted type as it is.
fn is_wider(wanted: ColumnType, actual: Option<ColumnType>) -> bool {
    match (wanted, actual) {
        (
            ColumnType::Decimal { precision, scale },
            Some(ColumnType::Decimal { precision: narrower, scale: same }),
        ) => scale == same && precision > narrower,
        _ => false,
    }
}

/// Replaces a column by a wider one with the same values. Redshift changes the type of a varchar
/// only, so the values move to a column beside it, which takes its name. The order of columns does
/// not matter, as every load names them.
fn widen(table: &TableName, column: &Column) -> Vec<Statement> {
    let (name, wider) = (&column.name, Redshift(column.column_type));
    [
        format!("alter table {table} add column {BESIDE} {wider}"),
        format!("update {table} set {BESIDE} = {name}"),
        format!("alter table {table} drop column {name}"),
        format!("alter table {table} rename column {BESIDE} to {name}"),
    ]
    .map(Statement::new)
    .into()
}

fn create(table: &TableName, columns: &[Column], sort: &[Identifier]) -> Vec<Statement> {
    let mut ddl = format!("create table if not exists {table} (\n    {}\n)", join(columns, ",\n    "));
    // Sorted as its queries filter (shop first). The distribution is left to Redshift (AUTO), which knows the table's size.
    if !sort.is_empty() {
        ddl.push_str(&format!("\ncompound sortkey ({})", join(sort, ", ")));
    }
    vec![Statement::new(format!("create schema if not exists {}", table.schema)), Statement::new(ddl)]
}

/// The items side by side.
pub(crate) fn join<T: std::fmt::Display>(items: &[T], separator: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, portable_type: &str) -> Column {
        Column { name: name.parse().unwrap(), column_type: portable_type.parse().unwrap() }
    }

    fn found(name: &str, data_type: &str, precision: Option<u8>, scale: Option<u8>) -> CatalogColumn {
        CatalogColumn {
            column_name: name.into(),
            data_type: data_type.into(),
            numeric_precision: precision,
            numeric_scale: scale,
        }
    }

    fn sqls(transactions: &[Vec<Statement>]) -> String {
        transactions.iter().flatten().map(Statement::sql).collect::<Vec<_>>().join(";\n")
    }

    fn table() -> TableName {
        "sales.total_sales".parse().unwrap()
    }

    #[test]
    fn given_no_table_when_planned_then_it_is_created_sorted() {
        let wanted = [
            column("shop_id", "string"),
            column("business_date", "date"),
            column("net", "decimal(18,4)"),
            column("rate", "double"),
        ];
        let sort = ["shop_id".parse().unwrap(), "business_date".parse().unwrap()];
        insta::assert_snapshot!(sqls(&plan(&table(), &[], &wanted, &sort).unwrap()), @r#"
        create schema if not exists "sales";
        create table if not exists "sales"."total_sales" (
            "shop_id" varchar(65535),
            "business_date" date,
            "net" decimal(18,4),
            "rate" double precision
        )
        compound sortkey ("shop_id", "business_date")
        "#);
    }

    #[test]
    fn given_a_table_that_fits_when_planned_then_nothing_is_done() {
        let existing = [
            found("shop_id", "character varying", None, None),
            found("net", "numeric", Some(18), Some(4)),
            found("dropped", "bigint", Some(64), Some(0)),
            found("units", "bigint", Some(64), Some(0)),
        ];
        let wanted = [column("shop_id", "string"), column("units", "bigint"), column("net", "decimal(18,4)")];
        assert_eq!(plan(&table(), &existing, &wanted, &[]).unwrap(), Vec::<Vec<Statement>>::new());
    }

    #[test]
    fn given_new_columns_when_planned_then_each_is_added() {
        let existing = [found("shop_id", "character varying", None, None)];
        let wanted =
            [column("shop_id", "string"), column("seen_at", "timestamp"), column("is_new", "boolean")];
        insta::assert_snapshot!(sqls(&plan(&table(), &existing, &wanted, &[]).unwrap()), @r#"
        alter table "sales"."total_sales" add column "seen_at" timestamp;
        alter table "sales"."total_sales" add column "is_new" boolean
        "#);
    }

    #[test]
    fn wider_decimal_replaces_the_column_in_one_transaction() {
        let existing = [found("net", "numeric", Some(18), Some(4))];
        let transactions = plan(&table(), &existing, &[column("net", "decimal(38,4)")], &[]).unwrap();
        assert_eq!(transactions.len(), 1);
        insta::assert_snapshot!(sqls(&transactions), @r#"
        alter table "sales"."total_sales" add column "load_wider" decimal(38,4);
        update "sales"."total_sales" set "load_wider" = "net";
        alter table "sales"."total_sales" drop column "net";
        alter table "sales"."total_sales" rename column "load_wider" to "net"
        "#);
    }

    #[test]
    fn narrower_decimal_or_another_scale_is_an_error() {
        for actual in [(38, 4), (18, 2), (38, 2)] {
            let existing = [found("net", "numeric", Some(actual.0), Some(actual.1))];
            assert!(plan(&table(), &existing, &[column("net", "decimal(20,4)")], &[]).is_err(), "{actual:?}");
        }
    }

    #[test]
    fn given_a_changed_type_when_planned_then_the_error_says_what_is_there() {
        let existing = [found("net", "numeric", Some(18), Some(2))];
        let error = plan(&table(), &existing, &[column("net", "decimal(18,4)")], &[]).unwrap_err();
        insta::assert_snapshot!(
            error,
            @r#"column "net" of "sales"."total_sales" is decimal(18,2) in the warehouse, but the model now gives decimal(18,4); rename the column in the model, or migrate the table first"#
        );
    }
}
