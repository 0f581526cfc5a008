//! The catalog as it is written down.

use std::collections::BTreeMap;

use serde::Serialize;

/// All tables, by database and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Catalog {
    /// `bronze`, `silver`, `gold` and `quarantine`, each with its tables.
    pub databases: BTreeMap<&'static str, BTreeMap<String, Table>>,
}

impl Catalog {
    /// The table that queries call `database.name`.
    pub fn table(&self, database: &str, name: &str) -> Option<&Table> {
        self.databases.get(database)?.get(name)
    }

    /// The table that the object at `key` belongs to, and the values of its partition keys.
    pub fn table_of(&self, key: &str) -> Option<(&Table, BTreeMap<&str, String>)> {
        self.databases
            .values()
            .flat_map(BTreeMap::values)
            .find_map(|table| Some((table, table.values(key)?)))
    }
}

/// Objects of one kind, as a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// For humans.
    pub description: String,
    /// How rows are written.
    pub format: Format,
    /// The folder of its objects in the lake's bucket, such as `silver/pos_sales/`.
    pub location: String,
    /// The folder of one partition, with its keys as placeholders: `silver/pos_sales/dt=${dt}/`.
    pub template: String,
    /// Columns that are in the objects, without those that the folder's name says.
    pub columns: Vec<Column>,
    /// What the folder's name says.
    pub partition_keys: Vec<PartitionKey>,
    /// Columns that identify a row; empty where lines are just lines.
    pub key: Vec<String>,
    /// Whether the same row may be there more than once: then of those with the same key one
    /// counts.
    pub repeats: bool,
    /// Columns that hold personal data.
    pub personal: Vec<String>,
}

impl Table {
    /// The values of the partition keys if `key` is of a partition that the table projects.
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
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as Hive calls it, which for portable types is their own name.
    #[serde(rename = "type")]
    pub column_type: String,
    /// For humans; Glue takes no more than 255 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Column {
    /// A column; what the catalog would refuse of its description is cut off.
    pub(crate) fn new(name: &str, column_type: impl ToString, description: &str) -> Self {
        let description = description.chars().take(255).collect();
        Self { name: name.to_owned(), column_type: column_type.to_string(), description }
    }
}

/// A column whose value is the same in all of a folder's objects, and is read from the folder's
/// name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionKey {
    /// Its name.
    pub name: String,
    /// Its type as Hive calls it.
    #[serde(rename = "type")]
    pub key_type: &'static str,
    /// For humans.
    pub description: String,
    /// Which values there can be.
    pub projection: Projection,
}

/// How Athena knows the partitions without anybody registering them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Projection {
    /// Days, written `2010-12-01`; from which one on is a setting of the installation.
    Date,
    /// Numbers from 0, with leading zeros.
    Integer {
        /// The greatest one.
        last: u32,
        /// How many digits each has.
        digits: u32,
    },
    /// One of these.
    Enum {
        /// All values.
        values: Vec<String>,
    },
}

impl Projection {
    /// Whether `value` is one of the projected values, as the folder's name has it.
    fn gives(&self, value: &str) -> bool {
        match self {
            Self::Date => value.parse::<shoplake_jobs::Partition>().is_ok(),
            Self::Integer { last, digits } => {
                value.len() == *digits as usize
                    && value.parse::<u32>().is_ok_and(|number| number <= *last)
            }
            Self::Enum { values } => values.iter().any(|known| known == value),
        }
    }
}
