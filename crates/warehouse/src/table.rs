//! The table of a model: how it is created, and how it grows with the model.

use serde::Deserialize;

use shoplake_jobs::ColumnType;

use crate::{
    Comments, Identifier, LoadError, MartColumn, Rows, Statement, TableName,
    column::{Redshift, from_catalog},
    statement::transactions,
};

/// Returns the query for the columns of a table. It returns no row if the table does not exist.
pub(crate) fn columns_query(table: &TableName) -> Statement {
    // The types of the catalog are not those of ordinary columns, so they are cast.
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

/// A column in the catalog of the database.
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

/// Returns the DDL after which a table has the wanted columns: nothing, its creation, or its new
/// and wider columns, with their comments. Each item is one transaction.
///
/// A column that the model lost stays and is null in new rows: people decide about dropping data. A
/// column of exact numbers becomes wide enough for old and new rows. Any other change of a type is
/// an error, as a load could round silently.
pub(crate) fn plan(
    table: &TableName,
    existing: &[CatalogColumn],
    wanted: &[MartColumn],
    sort: &[Identifier],
    comments: &Comments,
) -> Result<Vec<Vec<Statement>>, LoadError> {
    if existing.is_empty() {
        return Ok(create(table, wanted, sort, comments));
    }
    let mut changes = Vec::new();
    for column in wanted {
        let found = existing.iter().find(|found| found.column_name == column.name.as_str());
        let Some(found) = found else {
            let mut added =
                vec![Statement::new(format!("alter table {table} add column {column}"))];
            added.extend(comments.on_column(table, &column.name));
            changes.push(added);
            continue;
        };
        let actual = found.column_type();
        match actual.and_then(|actual| common(actual, column.column_type)) {
            Some(common) if Some(common) == actual => {}
            Some(common) => {
                let wider = MartColumn { name: column.name.clone(), column_type: common };
                let mut widened = widen(table, &wider);
                // The comment of the narrower column is lost with it.
                widened.extend(comments.on_column(table, &column.name));
                changes.push(widened);
            }
            None => {
                return Err(LoadError::TypeChanged {
                    table: table.clone(),
                    column: column.name.clone(),
                    expected: column.column_type,
                    actual: actual
                        .map_or_else(|| found.data_type.clone(), |actual| actual.to_string()),
                });
            }
        }
    }
    Ok(changes)
}

/// Returns the type that holds every value of both, if any: the same type, or a decimal for two
/// exact numbers.
fn common(one: ColumnType, other: ColumnType) -> Option<ColumnType> {
    if one == other {
        return Some(one);
    }
    let (one, other) = (Digits::of(one)?, Digits::of(other)?);
    let (whole, scale) = (one.whole.max(other.whole), one.scale.max(other.scale));
    let precision = whole + scale;
    (precision <= MOST_DIGITS).then_some(ColumnType::Decimal { precision, scale })
}

/// The name of a wider column until it replaces the narrower one.
const WIDER: &str = "\"shoplake__wider\"";

/// The digits of the widest decimal.
const MOST_DIGITS: u8 = 38;

/// The digits of an exact number, before and after the point.
struct Digits {
    whole: u8,
    scale: u8,
}

impl Digits {
    fn of(column_type: ColumnType) -> Option<Self> {
        match column_type {
            // 9223372036854775807
            ColumnType::Bigint => Some(Self { whole: 19, scale: 0 }),
            ColumnType::Decimal { precision, scale } => {
                Some(Self { whole: precision - scale, scale })
            }
            _ => None,
        }
    }
}

/// Gives a column another type. Neither Redshift nor its transactions can change that of a number
/// in place, so its values move to a new column, which takes the old one's name.
///
/// A view that is bound to the column keeps it from being dropped, and with it the transaction: the
/// error names the view.
fn widen(table: &TableName, column: &MartColumn) -> Vec<Statement> {
    let name = &column.name;
    [
        format!("alter table {table} add column {WIDER} {}", Redshift(column.column_type)),
        format!("update {table} set {WIDER} = {name}"),
        format!("alter table {table} drop column {name}"),
        format!("alter table {table} rename column {WIDER} to {name}"),
    ]
    .map(Statement::new)
    .to_vec()
}

fn create(
    table: &TableName,
    columns: &[MartColumn],
    sort: &[Identifier],
    comments: &Comments,
) -> Vec<Vec<Statement>> {
    let mut ddl =
        format!("create table if not exists {table} (\n    {}\n)", join(columns, ",\n    "));
    // Sorted as its queries filter (shop first). The distribution is left to Redshift (AUTO), which
    // knows the table's size.
    if !sort.is_empty() {
        ddl.push_str(&format!("\ncompound sortkey ({})", join(sort, ", ")));
    }
    let mut statements = vec![
        Statement::new(format!("create schema if not exists {}", table.schema)),
        Statement::new(ddl),
    ];
    statements.extend(comments.on_table(table));
    statements.extend(columns.iter().filter_map(|column| comments.on_column(table, &column.name)));
    transactions(statements)
}

/// The items side by side.
pub(crate) fn join<T: std::fmt::Display>(items: &[T], separator: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{comments::tests::total_sales, statement::script};

    fn column(name: &str, portable_type: &str) -> MartColumn {
        MartColumn { name: name.parse().unwrap(), column_type: portable_type.parse().unwrap() }
    }

    fn found(
        name: &str,
        data_type: &str,
        precision: Option<u8>,
        scale: Option<u8>,
    ) -> CatalogColumn {
        CatalogColumn {
            column_name: name.into(),
            data_type: data_type.into(),
            numeric_precision: precision,
            numeric_scale: scale,
        }
    }

    fn sqls(changes: &[Vec<Statement>]) -> String {
        changes.iter().flatten().map(Statement::sql).collect::<Vec<_>>().join(";\n")
    }

    fn table() -> TableName {
        "sales.total_sales".parse().unwrap()
    }

    /// The changes of a table whose model has no descriptions.
    fn planned(
        existing: &[CatalogColumn],
        wanted: &[MartColumn],
    ) -> Result<Vec<Vec<Statement>>, LoadError> {
        plan(&table(), existing, wanted, &[], &Comments::default())
    }

    #[test]
    fn a_new_table_has_a_sort_key() {
        let wanted = [
            column("shop_id", "string"),
            column("business_date", "date"),
            column("net", "decimal(18,4)"),
            column("rate", "double"),
        ];
        let sort = ["shop_id".parse().unwrap(), "business_date".parse().unwrap()];
        let changes = plan(&table(), &[], &wanted, &sort, &Comments::default()).unwrap();
        insta::assert_snapshot!(sqls(&changes), @r#"
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
    fn a_table_that_fits_is_left_unchanged() {
        let existing = [
            found("shop_id", "character varying", None, None),
            found("net", "numeric", Some(18), Some(4)),
            found("dropped", "bigint", Some(64), Some(0)),
            found("units", "bigint", Some(64), Some(0)),
        ];
        let wanted = [
            column("shop_id", "string"),
            column("units", "bigint"),
            column("net", "decimal(18,4)"),
        ];
        assert!(planned(&existing, &wanted).unwrap().is_empty());
    }

    #[test]
    fn each_new_column_is_added() {
        let existing = [found("shop_id", "character varying", None, None)];
        let wanted = [
            column("shop_id", "string"),
            column("seen_at", "timestamp"),
            column("is_new", "boolean"),
        ];
        insta::assert_snapshot!(sqls(&planned(&existing, &wanted).unwrap()), @r#"
        alter table "sales"."total_sales" add column "seen_at" timestamp;
        alter table "sales"."total_sales" add column "is_new" boolean
        "#);
    }

    #[test]
    fn a_table_is_created_with_its_comments() {
        let wanted = [column("shop_id", "string"), column("business_date", "date")];
        let sort = ["shop_id".parse().unwrap()];
        let changes = plan(&table(), &[], &wanted, &sort, &total_sales()).unwrap();
        assert_eq!(changes.len(), 1, "in one transaction");
        insta::assert_snapshot!(script(&changes[0]));
    }

    #[test]
    fn a_column_is_added_with_its_comment() {
        let existing = [found("shop_id", "character varying", None, None)];
        let wanted = [
            column("shop_id", "string"),
            column("net", "decimal(18,4)"),
            column("gross", "bigint"),
        ];
        let changes = plan(&table(), &existing, &wanted, &[], &total_sales()).unwrap();
        let statements: Vec<_> = changes.iter().map(Vec::len).collect();
        assert_eq!(statements, [2, 1], "the model describes one of the two columns");
        insta::assert_snapshot!(script(&changes[0]));
    }

    #[test]
    fn a_wider_column_keeps_its_comment() {
        let existing = [found("net", "numeric", Some(18), Some(4))];
        let wider = [column("net", "decimal(38,4)")];
        let changes = plan(&table(), &existing, &wider, &[], &total_sales()).unwrap();
        let [.., renamed, commented] = &changes[0][..] else { panic!("{changes:?}") };
        assert!(renamed.sql().ends_with("rename column \"shoplake__wider\" to \"net\""));
        assert!(commented.sql().ends_with(".\"net\" is 'Sales minus returns.'"));
    }

    #[test]
    fn a_wide_table_gets_its_last_comments_in_a_second_transaction() {
        let wanted = vec![column("net", "bigint"); crate::MAX_STATEMENTS];
        let changes = plan(&table(), &[], &wanted, &[], &total_sales()).unwrap();
        let statements: Vec<_> = changes.iter().map(Vec::len).collect();
        // The schema, the table and its comment come first.
        assert_eq!(statements, [crate::MAX_STATEMENTS, 3]);
    }

    /// Whether a table with a column of one type holds another, and the type that its column gets
    /// for that.
    fn becomes(existing: CatalogColumn, wanted: &str) -> Option<String> {
        let changes = planned(&[existing], &[column("net", wanted)]).ok()?;
        match &changes[..] {
            [] => Some("as it is".to_owned()),
            [widened] => {
                let (_, added) = widened[0].sql().split_once("\"shoplake__wider\" ").unwrap();
                Some(added.to_owned())
            }
            more => panic!("expected one change, got {more:?}"),
        }
    }

    #[test]
    fn exact_numbers_get_a_column_that_holds_old_and_new_values() {
        let decimal = |precision, scale| found("net", "numeric", Some(precision), Some(scale));
        let bigint = || found("net", "bigint", Some(64), Some(0));
        for (existing, wanted, expected) in [
            (decimal(18, 4), "decimal(38,4)", Some("decimal(38,4)")),
            (decimal(38, 4), "decimal(18,4)", Some("as it is")),
            (decimal(18, 2), "decimal(18,4)", Some("decimal(20,4)")),
            (bigint(), "decimal(38,0)", Some("decimal(38,0)")),
            (bigint(), "decimal(9,4)", Some("decimal(23,4)")),
            (decimal(19, 0), "bigint", Some("as it is")),
            (decimal(38, 4), "decimal(38,10)", None),
            (found("net", "double precision", Some(53), None), "decimal(38,4)", None),
            (decimal(18, 4), "double", None),
            (found("net", "character varying", None, None), "bigint", None),
        ] {
            let name = format!("{existing:?} for {wanted}");
            assert_eq!(becomes(existing, wanted).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_wider_number_gets_a_column_with_the_old_values() {
        let wider = [column("net", "decimal(38,4)")];
        let existing = [found("net", "numeric", Some(18), Some(4))];
        let changes = planned(&existing, &wider).unwrap();
        assert_eq!(changes.len(), 1, "in one transaction");
        insta::assert_snapshot!(script(&changes[0]));
    }

    #[test]
    fn an_error_about_a_changed_type_names_both_types() {
        let existing = [found("net", "double precision", Some(53), None)];
        let error = planned(&existing, &[column("net", "decimal(18,4)")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "column \"net\" of \"sales\".\"total_sales\" is double in the warehouse, but the model \
             now gives decimal(18,4): rename the column in the model, or migrate the table first"
        );
    }
}
