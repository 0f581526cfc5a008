//! Creates, replaces and drops the views of the marts.
//!
//! The views bind late: a view is created before the loads have created the tables that it reads,
//! and a load can replace a column that a view reads.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use shoplake_index::IndexedView;

use super::MigrationError;
use crate::{InvalidIdentifier, Statement, TableName, Warehouse, WarehouseError};

/// The views that a run changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReplacedViews {
    /// Those that it created, or replaced by their new definitions.
    pub replaced: Vec<String>,
    /// Those that it dropped, because no definition has them any more.
    pub dropped: Vec<String>,
}

/// Creates the missing views, replaces the changed ones, and drops those that are not among
/// `views`. A view that `shoplake.views` does not name is a person's, and stays.
///
/// A replaced view loses the grants on itself, and keeps those on all tables of its schema
/// (`grant select for tables in schema`).
///
/// # Errors
/// When a transaction fails: further views are then unchanged, and another run goes on.
pub async fn replace_views(
    warehouse: &dyn Warehouse,
    views: &[IndexedView],
) -> Result<ReplacedViews, MigrationError> {
    let mut existing = existing(warehouse).await?;
    let mut report = ReplacedViews::default();
    for view in views {
        let name = view.warehouse.as_str();
        let replacement = replacement(view)?;
        if existing.remove(name).is_some_and(|checksum| checksum == replacement.checksum) {
            continue;
        }
        run(warehouse, name, replacement.statements).await?;
        report.replaced.push(name.to_owned());
    }
    for name in existing.into_keys() {
        run(warehouse, &name, dropping(&name)?).await?;
        report.dropped.push(name);
    }
    Ok(report)
}

async fn run(
    warehouse: &dyn Warehouse,
    name: &str,
    statements: Vec<Statement>,
) -> Result<(), MigrationError> {
    tracing::info!(view = name, "replacing or dropping");
    let done = warehouse.transaction(statements).await;
    done.map(drop).map_err(|source| MigrationError::View { name: name.to_owned(), source })
}

/// The transaction that creates or replaces a view, and the checksum that it records.
struct Replacement {
    checksum: String,
    statements: Vec<Statement>,
}

fn replacement(view: &IndexedView) -> Result<Replacement, InvalidIdentifier> {
    let name: TableName = view.warehouse.parse()?;
    let created = [
        format!("create schema if not exists {}", name.schema),
        format!("drop view if exists {name}"),
        format!("create view {name} as\n{}\nwith no schema binding", view.sql),
    ];
    let checksum = hex::encode(Sha256::digest(created.join(";\n").as_bytes()));
    let mut statements = vec![Statement::new("lock table shoplake.views")];
    statements.extend(created.map(Statement::new));
    statements.push(forgetting(&view.warehouse));
    statements.push(
        Statement::new(
            "insert into shoplake.views (name, checksum, replaced_at)
values (:name, :checksum, getdate())",
        )
        .bind("name", &view.warehouse)
        .bind("checksum", &checksum),
    );
    Ok(Replacement { checksum, statements })
}

fn dropping(view: &str) -> Result<Vec<Statement>, InvalidIdentifier> {
    let name: TableName = view.parse()?;
    Ok(vec![
        Statement::new("lock table shoplake.views"),
        Statement::new(format!("drop view if exists {name}")),
        forgetting(view),
    ])
}

fn forgetting(view: &str) -> Statement {
    Statement::new("delete from shoplake.views where name = :name").bind("name", view)
}

/// Returns the checksums of the views that earlier runs created, by name.
async fn existing(warehouse: &dyn Warehouse) -> Result<BTreeMap<String, String>, WarehouseError> {
    #[derive(Deserialize)]
    struct Record {
        name: String,
        checksum: String,
    }
    let records = warehouse
        .query(Statement::new("select name, checksum from shoplake.views"))
        .await?
        .decode::<Record>()?;
    Ok(records.into_iter().map(|record| (record.name, record.checksum)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::statement::script;
    use crate::{RecordingWarehouse, Rows};

    fn view(name: &str, sql: &str) -> IndexedView {
        IndexedView { warehouse: name.to_owned(), sql: sql.to_owned() }
    }

    /// The view of `tests/warehouse/test_views.py`.
    fn revenue(column: &str) -> IndexedView {
        view(
            "finance.revenue",
            &format!("select shop_id, net as {column}\nfrom \"sales\".\"total_sales\""),
        )
    }

    #[test]
    fn a_view_is_created_and_recorded() {
        let created = replacement(&revenue("net")).unwrap().statements;
        insta::assert_snapshot!(script(&created));
    }

    #[test]
    fn a_changed_view_replaces_the_old_one() {
        let replaced = replacement(&revenue("total")).unwrap();
        assert_ne!(replaced.checksum, replacement(&revenue("net")).unwrap().checksum);
        insta::assert_snapshot!(script(&replaced.statements));
    }

    #[test]
    fn a_removed_view_is_dropped_and_forgotten() {
        insta::assert_snapshot!(script(&dropping("finance.revenue").unwrap()));
    }

    /// A warehouse that keeps `shoplake.views`.
    fn keeping() -> RecordingWarehouse {
        let records: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        RecordingWarehouse::answering(move |statements| {
            let mut records = records.lock().unwrap();
            for statement in statements {
                let parameter = |name: &str| statement.parameters()[name].clone();
                if statement.sql().starts_with("select") {
                    let row = |(name, checksum): (&String, &String)| {
                        let row = json!({"name": name, "checksum": checksum});
                        row.as_object().cloned().unwrap()
                    };
                    return Ok(vec![Some(records.iter().map(row).collect::<Rows>())]);
                } else if statement.sql().starts_with("delete") {
                    records.remove(&parameter("name"));
                } else if statement.sql().starts_with("insert") {
                    records.insert(parameter("name"), parameter("checksum"));
                }
            }
            Ok(vec![None; statements.len()])
        })
    }

    #[tokio::test]
    async fn only_changes_touch_views() {
        let warehouse = keeping();
        let (one, other) = (view("sales.one", "select 1"), view("sales.other", "select 2"));
        let changed = view("sales.other", "select 3");
        for (views, replaced, dropped) in [
            (vec![one.clone(), other.clone()], vec!["sales.one", "sales.other"], vec![]),
            (vec![one.clone(), other], vec![], vec![]),
            (vec![one, changed.clone()], vec!["sales.other"], vec![]),
            (vec![changed.clone()], vec![], vec!["sales.one"]),
            (vec![changed], vec![], vec![]),
        ] {
            let report = replace_views(&warehouse, &views).await.unwrap();
            assert_eq!((report.replaced, report.dropped), (texts(&replaced), texts(&dropped)));
        }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_failed_view_is_named() {
        let warehouse = RecordingWarehouse::answering(|statements| {
            if statements[0].sql().starts_with("select") {
                return Ok(vec![Some(Rows::default())]);
            }
            let (id, message) = ("e".to_owned(), "syntax error".to_owned());
            Err(WarehouseError::RolledBack { id, total: statements.len(), message })
        });
        let error = replace_views(&warehouse, &[revenue("net")]).await.unwrap_err();
        assert!(error.to_string().starts_with("the view finance.revenue "), "{error}");
        let unsafe_name = replace_views(&warehouse, &[view("Sales.x", "select 1")]).await;
        assert!(unsafe_name.unwrap_err().is_permanent());
    }
}
