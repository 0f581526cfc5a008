//! Applies migrations.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Migration;
use crate::{InvalidIdentifier, Statement, Warehouse, WarehouseError};

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// The migrations that this run applied, in order.
    pub applied: Vec<String>,
    /// The number of migrations that earlier or concurrent runs applied.
    pub already_applied: usize,
}

/// Why the warehouse was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A transaction failed.
    #[error("migration {name} was not applied: {source}")]
    Failed {
        /// The migration.
        name: String,
        /// The error.
        source: WarehouseError,
    },
    /// The applied migrations or the existing views cannot be read.
    #[error("cannot read which migrations and views the warehouse has: {0}")]
    Ledger(#[from] WarehouseError),
    /// A view was not replaced or dropped.
    #[error("the view {name} was not replaced or dropped: {source}")]
    View {
        /// The view.
        name: String,
        /// The error.
        source: WarehouseError,
    },
    /// The name of a view is not a name in the warehouse.
    #[error(transparent)]
    ViewName(#[from] InvalidIdentifier),
    /// A migration was edited after it was applied.
    #[error(
        "migration {name} was changed after it was applied: expected checksum {expected}, got \
         {actual}; restore the text and put the change into a new migration"
    )]
    Changed {
        /// The migration.
        name: String,
        /// The checksum of the applied text.
        expected: String,
        /// The checksum of the current text.
        actual: String,
    },
    /// The warehouse has a migration of a newer release.
    #[error(
        "the warehouse has migration {name}, which is not among these: deploy the newer release, \
         as a warehouse is never migrated back"
    )]
    Unknown {
        /// The migration.
        name: String,
    },
}

impl MigrationError {
    /// Whether another run would fail again.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Unknown { .. } | Self::ViewName(_))
    }
}

/// Applies the missing migrations in order, each in a transaction together with its record.
///
/// Concurrent runs are safe: one of them applies each migration.
pub async fn migrate(
    warehouse: &dyn Warehouse,
    migrations: &[Migration],
) -> Result<Applied, MigrationError> {
    let mut ledger = ledger(warehouse).await?;
    verify(&ledger, migrations)?;
    let mut report = Applied::default();
    for (index, migration) in migrations.iter().enumerate() {
        if ledger.contains_key(migration.name()) {
            report.already_applied += 1;
            continue;
        }
        match warehouse.transaction(transaction(migration, index == 0)).await {
            Ok(_) => {
                tracing::info!(migration = migration.name(), "applied");
                report.applied.push(migration.name().to_owned());
            }
            Err(source) => {
                // It may have failed because a concurrent run applied it.
                ledger = self::ledger(warehouse).await?;
                verify(&ledger, migrations)?;
                if !ledger.contains_key(migration.name()) {
                    return Err(MigrationError::Failed {
                        name: migration.name().to_owned(),
                        source,
                    });
                }
                report.already_applied += 1;
            }
        }
    }
    Ok(report)
}

/// Returns the statements of a migration and of its record. The first migration creates the ledger,
/// so it cannot lock it.
fn transaction(migration: &Migration, creates_ledger: bool) -> Vec<Statement> {
    let mut statements = Vec::new();
    if !creates_ledger {
        statements.push(Statement::new("lock table shoplake.migrations"));
        // Divides by zero, which rolls back, if another run has applied it since the ledger was
        // read. A batch has no `if`.
        statements.push(
            Statement::new(
                "select 1 / (1 - count(*)) as is_new from shoplake.migrations where name = :name",
            )
            .bind("name", migration.name()),
        );
    }
    statements.extend(migration.statements().iter().map(Statement::new));
    statements.push(
        Statement::new(
            "insert into shoplake.migrations (name, checksum, applied_at)
values (:name, :checksum, getdate())",
        )
        .bind("name", migration.name())
        .bind("checksum", migration.checksum()),
    );
    statements
}

/// Returns the checksums of the applied migrations by name.
async fn ledger(warehouse: &dyn Warehouse) -> Result<BTreeMap<String, String>, WarehouseError> {
    #[derive(Deserialize)]
    struct Record {
        name: String,
        checksum: String,
    }
    let exists = warehouse
        .query(Statement::new(
            "select cast(table_name as varchar(128)) as table_name
from information_schema.tables
where table_schema = 'shoplake' and table_name = 'migrations'",
        ))
        .await?;
    if exists.is_empty() {
        return Ok(BTreeMap::new());
    }
    let records = warehouse
        .query(Statement::new("select name, checksum from shoplake.migrations"))
        .await?
        .decode::<Record>()?;
    Ok(records.into_iter().map(|record| (record.name, record.checksum)).collect())
}

fn verify(
    ledger: &BTreeMap<String, String>,
    migrations: &[Migration],
) -> Result<(), MigrationError> {
    for (name, checksum) in ledger {
        let Some(migration) = migrations.iter().find(|migration| migration.name() == name) else {
            return Err(MigrationError::Unknown { name: name.clone() });
        };
        if migration.checksum() != checksum {
            return Err(MigrationError::Changed {
                name: name.clone(),
                expected: checksum.clone(),
                actual: migration.checksum().to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::{RecordingWarehouse, Rows};

    type Records = Arc<Mutex<BTreeMap<String, String>>>;

    fn migrations() -> Vec<Migration> {
        vec![
            Migration::new(
                "0001_a",
                "create schema shoplake; create table shoplake.migrations (name text);",
            ),
            Migration::new("0002_b", "create schema b;"),
        ]
    }

    fn records(applied: &[&Migration]) -> Records {
        Arc::new(Mutex::new(
            applied
                .iter()
                .map(|migration| (migration.name().to_owned(), migration.checksum().to_owned()))
                .collect(),
        ))
    }

    fn object(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
        value.as_object().cloned().unwrap()
    }

    /// A warehouse that keeps the ledger; before each transaction that writes to it, `meddle` may
    /// do something to it.
    fn keeping(
        records: Records,
        mut meddle: impl FnMut(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> RecordingWarehouse {
        RecordingWarehouse::answering(move |statements| {
            let mut records = records.lock().unwrap();
            let last = statements.last().unwrap();
            if last.sql().contains("information_schema.tables") {
                let tables = if records.is_empty() {
                    vec![]
                } else {
                    vec![object(json!({"table_name": "migrations"}))]
                };
                return Ok(vec![Some(Rows::new(tables))]);
            }
            if last.sql().starts_with("select name") {
                let rows = records
                    .iter()
                    .map(|(name, checksum)| object(json!({"name": name, "checksum": checksum})));
                return Ok(vec![Some(rows.collect())]);
            }
            meddle(&mut records);
            let (name, checksum) = (&last.parameters()["name"], &last.parameters()["checksum"]);
            if records.contains_key(name) {
                return Err(WarehouseError::RolledBack {
                    id: "e".into(),
                    total: statements.len(),
                    message: "division by zero".into(),
                });
            }
            records.insert(name.clone(), checksum.clone());
            Ok(vec![None; statements.len()])
        })
    }

    #[tokio::test]
    async fn each_migration_is_applied_once() {
        let warehouse = keeping(records(&[]), |_| ());
        let first = migrate(&warehouse, &migrations()).await.unwrap();
        let second = migrate(&warehouse, &migrations()).await.unwrap();
        assert_eq!(
            first,
            Applied { applied: vec!["0001_a".into(), "0002_b".into()], already_applied: 0 }
        );
        assert_eq!(second, Applied { applied: vec![], already_applied: 2 });
    }

    #[tokio::test]
    async fn a_later_migration_is_locked_guarded_and_recorded() {
        let [first, second] = &migrations()[..] else { panic!("two migrations") };
        let sqls = transaction(second, false)
            .iter()
            .map(|statement| statement.sql().to_owned())
            .collect::<Vec<_>>();
        insta::assert_snapshot!(sqls.join(";\n"), @r"
        lock table shoplake.migrations;
        select 1 / (1 - count(*)) as is_new from shoplake.migrations where name = :name;
        create schema b;
        insert into shoplake.migrations (name, checksum, applied_at)
        values (:name, :checksum, getdate())
        ");
        assert_eq!(transaction(first, true).len(), 3);
    }

    #[tokio::test]
    async fn migrations_of_a_concurrent_run_count_as_applied() {
        let rival = migrations();
        let warehouse = keeping(records(&[&migrations()[0]]), move |records| {
            records.insert(rival[1].name().to_owned(), rival[1].checksum().to_owned());
        });
        assert_eq!(
            migrate(&warehouse, &migrations()).await.unwrap(),
            Applied { applied: vec![], already_applied: 2 }
        );
    }

    #[tokio::test]
    async fn an_edited_migration_is_a_permanent_error() {
        let edited = Migration::new("0001_a", "create schema other;");
        let warehouse = keeping(records(&[&edited]), |_| panic!("nothing is to be applied"));
        let error = migrate(&warehouse, &migrations()).await.unwrap_err();
        assert!(matches!(error, MigrationError::Changed { .. }) && error.is_permanent());
    }

    #[tokio::test]
    async fn a_warehouse_of_a_newer_version_is_left_unchanged() {
        let newer = Migration::new("0003_c", "create schema c;");
        let warehouse = keeping(records(&[&newer]), |_| panic!("nothing is to be applied"));
        let error = migrate(&warehouse, &migrations()).await.unwrap_err();
        assert!(matches!(error, MigrationError::Unknown { .. }));
    }
}
