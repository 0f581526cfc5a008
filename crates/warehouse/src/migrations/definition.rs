//! Migrations as files: `0001_shoplake.sql`, `0002_...`, in the order of their numbers.

use std::{fs, io, path::Path};

use sha2::{Digest, Sha256};

use crate::split::split;

/// One change of the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    name: String,
    checksum: String,
    statements: Vec<String>,
}

impl Migration {
    /// The migration in a file of this name (without `.sql`) and content.
    pub fn new(name: impl Into<String>, script: &str) -> Self {
        // A checkout with other line ends is the same migration.
        let script = script.replace("\r\n", "\n");
        Self {
            name: name.into(),
            checksum: hex::encode(Sha256::digest(script.as_bytes())),
            statements: split(&script).into_iter().map(str::to_owned).collect(),
        }
    }

    /// The migrations of a folder, in order. Every file that is not hidden has to be one, and the
    /// numbers have to be 1, 2, 3, ... without gaps: two branches that both add the next number
    /// must not both pass.
    pub fn read(folder: &Path) -> Result<Vec<Self>, DefinitionError> {
        let unreadable =
            |source| DefinitionError::Unreadable { folder: folder.display().to_string(), source };
        let mut names = fs::read_dir(folder)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(unreadable)?;
        // Files of linters and editors, such as `.sqlfluff`.
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        let mut migrations = Vec::with_capacity(names.len());
        for (index, file) in names.iter().enumerate() {
            let expected = format!("{:04}_", index + 1);
            let name = file
                .strip_suffix(".sql")
                .filter(|name| name.starts_with(&expected) && name.len() > expected.len());
            let name = name.ok_or_else(|| DefinitionError::Name {
                expected: format!("{expected}<what it does>.sql"),
                actual: file.clone(),
            })?;
            migrations
                .push(Self::new(name, &fs::read_to_string(folder.join(file)).map_err(unreadable)?));
        }
        Ok(migrations)
    }

    /// Returns its name, such as `0001_shoplake`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the SHA-256 of its text, in hexadecimal digits.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// Returns its statements, in order.
    pub fn statements(&self) -> &[String] {
        &self.statements
    }
}

/// Why a folder has no valid migrations.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read the migrations in {folder}: {source}")]
    Unreadable {
        /// The folder.
        folder: String,
        /// The error.
        source: io::Error,
    },
    /// The name of a file is not the next one.
    #[error(
        "expected a migration named {expected}, got {actual}: migrations are numbered 0001, 0002, \
         ... without gaps"
    )]
    Name {
        /// The expected name.
        expected: String,
        /// The name of the file.
        actual: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Vec<Migration> {
        Migration::read(&shoplake_testing::repository().join("glue-sql/warehouse")).unwrap()
    }

    #[test]
    fn each_shipped_migration_fits_a_transaction() {
        let migrations = shipped();
        assert!(migrations[0].name().starts_with("0001_"));
        for migration in &migrations {
            // The lock, the guard and the record come on top.
            assert!(
                (1..=crate::MAX_STATEMENTS - 3).contains(&migration.statements().len()),
                "{}",
                migration.name()
            );
        }
    }

    /// A warehouse refuses a migration that has changed since it was applied, comments included.
    #[test]
    fn released_migrations_are_unchanged() {
        let released = [
            "e0f4ceb7a60459692e0f83747f11f24b1c90e4a4fafe33a2a6ad59ed0dff0fea",
            "65e44e1b598b182053c552c2d6ad3be7d600666341440d0d6027900ad32b6d37",
            "84a979ac5dee642e47bc9a0f4419e77456438c7e9f743598821e9c37fcf65999",
        ];
        let shipped = shipped();
        let checksums: Vec<_> = shipped.iter().map(Migration::checksum).take(3).collect();
        assert_eq!(checksums, released, "write a new migration instead");
    }

    #[test]
    fn the_first_migration_creates_the_ledger() {
        // Without `if not exists`: one of two concurrent runs must fail and read again.
        assert!(
            shipped()[0]
                .statements()
                .iter()
                .any(|sql| sql.contains("create table shoplake.migrations"))
        );
    }

    #[test]
    fn line_ends_do_not_change_a_migration() {
        assert_eq!(
            Migration::new("0001_a", "select 1;\r\nselect 2;\r\n"),
            Migration::new("0001_a", "select 1;\nselect 2;\n")
        );
    }

    #[test]
    fn a_gap_is_refused_with_the_expected_name() {
        let folder =
            std::env::temp_dir().join(format!("shoplake-migrations-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0001_first.sql"), "select 1").unwrap();
        fs::write(folder.join("0003_third.sql"), "select 3").unwrap();
        let error = Migration::read(&folder).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        assert!(
            error
                .to_string()
                .contains("expected a migration named 0002_<what it does>.sql, got 0003_third.sql"),
            "{error}"
        );
    }
}
