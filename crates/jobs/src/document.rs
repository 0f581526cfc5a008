//! Job documents: what the planner hands to an engine.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{CheckRun, ColumnType, Correspondence, Partition, PartitionError, PartitionKind};

/// The version of [`JobDocument`] that this crate writes and its readers understand.
pub const JOB_VERSION: u32 = 3;

/// Everything that an engine needs to compute one partition of one model: it reads the objects,
/// runs the SQL and commits the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDocument {
    /// [`JOB_VERSION`]
    pub version: u32,
    /// The digest of the inputs and of the version that the commit replaces. A retry recognises its
    /// own commit by it.
    pub id: String,
    /// The model, such as `total_sales_by_region_product`.
    pub model: String,
    /// The partition to compute.
    pub partition: JobPartition,
    /// Tables to register before anything else.
    pub inputs: Vec<JobInput>,
    /// Views to create over them, in this order.
    pub views: Vec<View>,
    /// The query for the partition's rows, in no particular order.
    pub sql: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// Columns by which the stored rows are sorted; the remaining columns break ties.
    pub sort: Vec<String>,
    /// Checks that the new rows have to pass.
    pub checks: Vec<JobCheck>,
    /// Models that read this one.
    pub downstream: Vec<Downstream>,
    /// Where the rows go.
    pub output: JobOutput,
    /// The model's warehouse table as `schema.table`; none for a model that only other models read.
    pub warehouse: Option<String>,
    /// The alert about each new row; none if the model has no alert. Documents from before
    /// 2026-11-30 name it `notice`.
    #[serde(alias = "notice")]
    pub alert: Option<Alert>,
    /// Names of columns that hold personal data, in any table: a failed check masks their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<String>,
}

impl JobDocument {
    /// Returns the name of the table in which checks see the new rows: `gold__<model>`.
    pub fn rows_table(&self) -> String {
        Self::rows_table_of(&self.model)
    }

    /// Returns all checks of the new rows: the queries, and the one that the engine makes itself.
    pub fn check_runs(&self) -> Vec<CheckRun> {
        let queries = self.checks.iter().map(CheckRun::from);
        queries.chain([CheckRun::computes(&self.model)]).collect()
    }

    /// Returns the name of the table in which the checks of `model` see its new rows.
    pub fn rows_table_of(model: &str) -> String {
        format!("gold__{model}")
    }
}

/// The rows of a model that belong to one partition: those whose `column` has this value. In JSON
/// `{"column": "business_date", "type": "date", "value": "2010-12-01"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PartitionText", into = "PartitionText")]
pub struct JobPartition {
    /// The model's partition column.
    pub column: String,
    /// The column's value.
    pub value: Partition,
}

/// [`JobPartition`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartitionText {
    column: String,
    #[serde(rename = "type")]
    kind: String,
    value: Partition,
}

impl From<JobPartition> for PartitionText {
    fn from(partition: JobPartition) -> Self {
        let JobPartition { column, value } = partition;
        Self { column, kind: value.kind().to_owned(), value }
    }
}

impl TryFrom<PartitionText> for JobPartition {
    type Error = PartitionError;

    fn try_from(text: PartitionText) -> Result<Self, Self::Error> {
        let PartitionText { column, kind, value } = text;
        if value.kind() == kind {
            Ok(Self { column, value })
        } else {
            Err(PartitionError::kind(value, "a value of the type that the document names"))
        }
    }
}

/// A table to register: the rows of some Parquet objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobInput {
    /// The name to register it under, such as `silver__pos_sales__objects`.
    pub table: String,
    /// The name that messages use, such as `silver.pos_sales`.
    pub name: String,
    /// The table's columns. An object from before a nullable column was added reads as null there.
    /// None takes the columns from the objects: the rows of another model, whose types only an
    /// engine knows. Such an input has at least one object.
    pub columns: Option<Vec<TableColumn>>,
    /// Keys of the objects, in order. The table is empty without any.
    pub objects: Vec<String>,
    /// The bytes of each object of a dataset. With its key they name its content, so that an engine
    /// may keep it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<u64>,
    /// The days of which rows are read, if they are few of the objects' days. The view over the
    /// table says so as well: an engine may leave out row groups without such rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<InputDays>,
}

/// The days of which rows of an input are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputDays {
    /// The column with the day of a row.
    pub column: String,
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
}

/// A column of a [`JobInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its portable type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
}

/// A view to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Its name, such as `silver__pos_sales`.
    pub name: String,
    /// Its query.
    pub sql: String,
    /// Whether the engine computes its rows once and keeps them, instead of once for each query
    /// that reads the view: for a few rows that cost a pass over the objects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stored: bool,
}

/// A query that returns the rows that violate a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobCheck {
    /// Its name.
    pub name: String,
    /// What a returned row means for the commit.
    pub severity: Severity,
    /// What holds for every row.
    pub description: String,
    /// The query. It sees the model's new rows as the table `gold__<model>`, and the job's views.
    /// It returns `shop_id`, the shop that the row concerns.
    pub sql: String,
}

/// What the rows that a check returns mean for the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The job withholds the new rows of the shops that the check returns: these shops keep the
    /// rows of the last commit. It commits the rows of all others and reports the failure.
    /// Documents from before 2026-11-30 have the name `stop`.
    #[serde(alias = "stop")]
    Error,
    /// The job commits the rows and reports the failure.
    Warn,
}

/// The alert about the rows of a model. It is sent when a row is new, and once more when the row
/// ends if the receiver asks for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The message in one line, with columns in braces: `{product_id} is {state} at {location_id}`.
    pub subject: String,
    /// The timestamp column with the beginning.
    pub started: String,
    /// The timestamp column with the end, null until then.
    pub ended: String,
}

impl Alert {
    /// Returns the columns that the subject names.
    pub fn placeholders(&self) -> Vec<&str> {
        self.subject
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(column, _)| column)
            .collect()
    }
}

/// A model that has to be computed again when rows of this one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Downstream {
    /// The model that reads this one.
    pub model: String,
    /// How it is partitioned.
    pub kind: PartitionKind,
    /// How its partitions correspond to those of this model.
    pub correspondence: Correspondence,
}

impl Downstream {
    /// Returns the partitions of the downstream model that read the partition `changed`. By column
    /// there are none: see [`Correspondence::dirtied_by`].
    pub fn dirtied_by(&self, changed: Partition) -> Vec<Partition> {
        // The same partition of two models is of one kind.
        self.correspondence.dirtied_by(changed, self.kind, self.kind)
    }
}

/// Where a job's rows go, and the condition of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOutput {
    /// The object that holds the partition.
    pub key: String,
    /// The ETag of the object that the commit replaces; none for the first commit. A commit fails
    /// if the object has changed since.
    pub expected_etag: Option<String>,
    /// The number of the commit, starting with 1.
    pub version: u64,
    /// The digest of the inputs and definitions that the rows are a function of.
    pub inputs_digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_names_its_column_type_and_value() {
        for (kind, value) in [("date", "2010-12-01"), ("hour", "2010-12-01T09"), ("bucket", "0007")]
        {
            let partition = JobPartition { column: "c".into(), value: value.parse().unwrap() };
            let json = serde_json::json!({"column": "c", "type": kind, "value": value});
            assert_eq!(serde_json::to_value(&partition).unwrap(), json);
            assert_eq!(serde_json::from_value::<JobPartition>(json).unwrap(), partition);
        }
        let json = serde_json::json!({"column": "c", "type": "date", "value": "0007"});
        assert!(serde_json::from_value::<JobPartition>(json).is_err());
    }

    #[test]
    fn a_document_from_before_the_rename_of_alert_is_read() {
        let alert = serde_json::json!({"subject": "{a}", "started": "b", "ended": "c"});
        let document: JobDocument = serde_json::from_value(serde_json::json!({
            "version": JOB_VERSION,
            "id": "0a",
            "model": "m",
            "partition": {"column": "day", "type": "date", "value": "2010-12-01"},
            "inputs": [],
            "views": [],
            "sql": "select 1",
            "key": ["day"],
            "sort": ["day"],
            "checks": [],
            "downstream": [],
            "output": {"key": "k", "expected_etag": null, "version": 1, "inputs_digest": "0b"},
            "warehouse": null,
            "notice": alert,
        }))
        .unwrap();
        assert_eq!(serde_json::to_value(&document).unwrap()["alert"], alert);
    }
}
