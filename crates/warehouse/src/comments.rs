//! Comments on tables and columns, which BI tools show.

use std::collections::BTreeMap;

use serde::Deserialize;
use shoplake_index::{Description, IndexedModel};

use crate::{Identifier, Statement, TableName, literal::quoted};

/// The comments of a model's table: what one row is, and the descriptions of its columns. By
/// default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comments {
    table: Option<Description>,
    columns: BTreeMap<String, Description>,
}

impl From<&IndexedModel> for Comments {
    fn from(model: &IndexedModel) -> Self {
        Self { table: Some(model.grain.sentence()), columns: model.columns.clone() }
    }
}

impl Comments {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_none() && self.columns.is_empty()
    }

    /// Returns the statement that comments on the table, if it has a description.
    pub(crate) fn on_table(&self, table: &TableName) -> Option<Statement> {
        let text = quoted(self.table.as_ref()?);
        Some(Statement::new(format!("comment on table {table} is {text}")))
    }

    /// Returns the statement that comments on a column, if it has a description.
    pub(crate) fn on_column(&self, table: &TableName, column: &Identifier) -> Option<Statement> {
        let text = quoted(self.columns.get(column.as_str())?);
        Some(Statement::new(format!("comment on column {table}.{column} is {text}")))
    }

    /// Returns the statements after which an existing table has these comments: those that are
    /// missing or differ. A table that does not exist needs none.
    pub(crate) fn changes(
        &self,
        table: &TableName,
        existing: &[CommentedColumn],
    ) -> Vec<Statement> {
        let Some(first) = existing.first() else { return Vec::new() };
        let differs = |wanted: Option<&Description>, actual: Option<&String>| {
            wanted.map(Description::as_str) != actual.map(String::as_str)
        };
        let mut changes = Vec::new();
        if differs(self.table.as_ref(), first.table_comment.as_ref()) {
            changes.extend(self.on_table(table));
        }
        for column in existing {
            let wanted = self.columns.get(&column.column_name);
            if differs(wanted, column.column_comment.as_ref())
                && let Ok(name) = column.column_name.parse::<Identifier>()
            {
                changes.extend(self.on_column(table, &name));
            }
        }
        changes
    }
}

/// A column in the catalog of the database, with the comments on its table and on itself.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CommentedColumn {
    table_comment: Option<String>,
    column_name: String,
    column_comment: Option<String>,
}

/// Returns the query for the [columns](CommentedColumn) of a table. It returns no row if the table
/// does not exist.
pub(crate) fn comments_query(table: &TableName) -> Statement {
    // The types of the catalog are not those of ordinary columns, so they are cast.
    Statement::new(
        "select
    cast(table_text.description as varchar(65535)) as table_comment,
    cast(attribute.attname as varchar(128)) as column_name,
    cast(column_text.description as varchar(65535)) as column_comment
from pg_catalog.pg_namespace as namespace
join pg_catalog.pg_class as relation on relation.relnamespace = namespace.oid
join pg_catalog.pg_attribute as attribute on attribute.attrelid = relation.oid
left join pg_catalog.pg_description as table_text
    on table_text.objoid = relation.oid and table_text.objsubid = 0
left join pg_catalog.pg_description as column_text
    on column_text.objoid = relation.oid and column_text.objsubid = attribute.attnum
where cast(namespace.nspname as varchar(128)) = :table_schema
    and cast(relation.relname as varchar(128)) = :table_name
    and attribute.attnum > 0
    and not attribute.attisdropped
order by attribute.attnum",
    )
    .bind("table_schema", table.schema.as_str())
    .bind("table_name", table.table.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use shoplake_jobs::PartitionKind;

    use super::*;
    use crate::statement::script;

    /// The comments of `sales.total_sales`.
    pub(crate) fn total_sales() -> Comments {
        let text = |text: &str| Description::try_from(text.to_owned()).unwrap();
        let columns = [
            ("shop_id", "The shop."),
            ("business_date", "The shop's \"business day\"; :day, 24 h."),
            ("net", "Sales minus returns."),
            ("units", "Units sold."),
        ];
        Comments::from(&IndexedModel {
            name: "total_sales".into(),
            partition: "business_date".into(),
            kind: PartitionKind::Day,
            inputs: vec![],
            first: vec![],
            every_seconds: 0,
            key: vec!["shop_id".into(), "business_date".into()],
            warehouse: Some("sales.total_sales".into()),
            checks: vec![],
            references: vec![],
            grain: text("one row per shop and business date"),
            columns: columns.map(|(name, description)| (name.to_owned(), text(description))).into(),
        })
    }

    fn table() -> TableName {
        "sales.total_sales".parse().unwrap()
    }

    fn found(name: &str, comment: Option<&str>) -> CommentedColumn {
        CommentedColumn {
            table_comment: Some("One row per shop and business date.".into()),
            column_name: name.into(),
            column_comment: comment.map(str::to_owned),
        }
    }

    #[test]
    fn the_existing_comments_are_one_query() {
        insta::assert_snapshot!(script(&[comments_query(&table())]));
    }

    #[test]
    fn missing_and_changed_comments_are_set() {
        let mut existing = [
            found("shop_id", Some("The shop.")),
            found("business_date", None),
            found("net", Some("Sales.")),
            found("dropped", Some("A column that the model lost.")),
            found("Other", None),
        ];
        existing[0].table_comment = Some("One row per shop.".into());
        insta::assert_snapshot!(script(&total_sales().changes(&table(), &existing)));
    }

    #[test]
    fn current_comments_and_missing_tables_need_no_change() {
        let current = [found("shop_id", Some("The shop.")), found("units", Some("Units sold."))];
        assert!(total_sales().changes(&table(), &current).is_empty());
        assert!(total_sales().changes(&table(), &[]).is_empty());
    }

    #[test]
    fn a_model_without_descriptions_keeps_the_comments_of_its_table() {
        let comments = Comments::default();
        assert!(comments.is_empty() && !total_sales().is_empty());
        assert!(comments.changes(&table(), &[found("net", Some("Sales."))]).is_empty());
    }
}
