//! The catalog, as it is written to `catalog.json`.

use std::collections::BTreeMap;

use serde::Serialize;
use shoplake_jobs::Partition;

/// All tables and views.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Catalog {
    /// `bronze`, `silver`, `gold` and `quarantine`, each with its tables by name.
    pub databases: BTreeMap<&'static str, BTreeMap<String, Table>>,
    /// The views by name. Their database is `gold`.
    pub views: BTreeMap<String, CatalogView>,
}

impl Catalog {
    /// Returns the table `database.name`.
    pub fn table(&self, database: &str, name: &str) -> Option<&Table> {
        self.databases.get(database)?.get(name)
    }

    /// Returns the table of the object at `key`, and the values of its partition keys.
    pub fn table_of(&self, key: &str) -> Option<(&Table, BTreeMap<&str, String>)> {
        self.databases
            .values()
            .flat_map(BTreeMap::values)
            .find_map(|table| Some((table, table.values(key)?)))
    }
}

/// A table over objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The description for people.
    pub description: String,
    /// The file format.
    pub format: Format,
    /// The folder of its objects in the lake's bucket, such as `silver/pos_sales/`.
    pub location: String,
    /// The folder of one partition, with its keys as placeholders: `silver/pos_sales/dt=${dt}/`.
    pub template: String,
    /// The columns in the objects, without the partition keys.
    pub columns: Vec<HiveColumn>,
    /// The columns in the names of folders.
    pub partition_keys: Vec<PartitionKey>,
    /// Columns that identify a row; empty for lines without a key.
    pub key: Vec<String>,
    /// Whether rows may repeat. Then one row of each key counts.
    pub repeats: bool,
    /// Columns that hold personal data.
    pub personal: Vec<String>,
    /// Whether these are rows of a model that only other models read.
    pub intermediate: bool,
}

impl Table {
    /// Returns the values of the partition keys, or `None` if `key` is not in a partition of the
    /// table.
    fn values(&self, key: &str) -> Option<BTreeMap<&str, String>> {
        let (folder, _) = key.rsplit_once('/')?;
        let mut values = BTreeMap::new();
        let mut places = self.template.trim_end_matches('/').split('/');
        for segment in folder.split('/') {
            let place = places.next()?;
            match place
                .split_once("${")
                .and_then(|(before, name)| Some((before, name.strip_suffix('}')?)))
            {
                Some((before, name)) => {
                    let key = self.partition_keys.iter().find(|key| key.name == name)?;
                    let value = segment.strip_prefix(before)?;
                    key.projection
                        .gives(value)
                        .then(|| values.insert(key.name.as_str(), value.to_owned()))?;
                }
                None => (place == segment).then_some(())?,
            }
        }
        places.next().is_none().then_some(values)
    }
}

/// A view over tables of `gold`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogView {
    /// The description for people.
    pub description: String,
    /// The columns.
    pub columns: Vec<HiveColumn>,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The query in the SQL of Athena, with `${gold}` in place of the name of the database.
    pub sql: String,
}

/// How the rows of an object are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Parquet; columns are found by name, so objects may lack those that were added later.
    Parquet,
    /// One JSON object per line, gzipped.
    Json,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HiveColumn {
    /// Its name.
    pub name: String,
    /// Its type in Hive, which has the name of the portable type.
    #[serde(rename = "type")]
    pub column_type: String,
    /// The description for people, at most 255 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl HiveColumn {
    /// Returns a column with at most 255 characters of the description, the limit of Glue.
    pub(crate) fn new(name: &str, column_type: impl ToString, description: &str) -> Self {
        let description = description.chars().take(255).collect();
        Self { name: name.to_owned(), column_type: column_type.to_string(), description }
    }
}

/// A column whose value is in the name of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionKey {
    /// Its name.
    pub name: String,
    /// Its type in Hive.
    #[serde(rename = "type")]
    pub key_type: &'static str,
    /// The description for people.
    pub description: String,
    /// Its possible values.
    pub projection: Projection,
}

/// How Athena computes the partitions, so that none is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Projection {
    /// Days, written `2010-12-01`. The first one is a setting of the installation.
    Date,
    /// Hours, written `2010-12-01T09`.
    Hour,
    /// Numbers from 0 with leading zeros.
    Integer {
        /// The greatest number.
        last: u32,
        /// The number of digits.
        digits: u32,
    },
    /// One of a list.
    Enum {
        /// All values.
        values: Vec<String>,
    },
}

impl Projection {
    /// Whether `value`, as in the name of a folder, is a possible value.
    fn gives(&self, value: &str) -> bool {
        match self {
            Self::Date => matches!(value.parse(), Ok(Partition::Day(_))),
            Self::Hour => matches!(value.parse(), Ok(Partition::Hour(_))),
            Self::Integer { last, digits } => {
                value.len() == *digits as usize
                    && value.parse::<u32>().is_ok_and(|number| number <= *last)
            }
            Self::Enum { values } => values.iter().any(|known| known == value),
        }
    }
}
