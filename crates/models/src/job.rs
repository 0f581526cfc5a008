//! The documents that travel between functions. They are the contract between whoever plans a job
//! (dispatch), whoever runs it (DataFusion in Lambda, Spark on Glue) and whoever loads its result.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shoplake_contracts::ColumnType;

use crate::partition::{PartitionValue, PartitionValueError};

/// The version of [`JobDocument`] that this crate writes and its readers understand.
pub const JOB_VERSION: u32 = 2;

/// Everything needed to compute one partition of one model, with nothing left to decide: an engine
/// reads the objects, runs the SQL and commits the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDocument {
    /// [`JOB_VERSION`]
    pub version: u32,
    /// Names the job by its content: the same inputs and the same starting point give the same id,
    /// so that a retry can recognise what it has committed itself.
    pub id: String,
    /// The model, such as `total_sales_by_region_product`.
    pub model: String,
    /// The partition to compute.
    pub partition: Partition,
    /// Tables to register before anything else.
    pub inputs: Vec<JobInput>,
    /// Views to create over them, in this order.
    pub views: Vec<View>,
    /// Gives the partition's rows, in no particular order.
    pub sql: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// Columns that the rows are stored in the order of; ties are broken by the remaining columns.
    pub sort: Vec<String>,
    /// What has to hold for the new rows.
    pub checks: Vec<JobCheck>,
    /// Models that read this one.
    pub downstream: Vec<Downstream>,
    /// Where the rows go.
    pub output: JobOutput,
    /// The warehouse table that shows the model, as `schema.table`; none if it only serves other
    /// models.
    pub warehouse: Option<String>,
    /// How people are told of a new row; none if they are not.
    pub notice: Option<Notice>,
    /// Names of columns that hold personal data, in any table: a failed check shows none of their
    /// values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<String>,
}

impl JobDocument {
    /// The table in which checks see the new rows: `gold__<model>`.
    pub fn rows_table(&self) -> String {
        rows_table(&self.model)
    }
}

/// The table in which the checks of `model` see its new rows.
pub(crate) fn rows_table(model: &str) -> String {
    format!("gold__{model}")
}

/// One partition of a model. In JSON `{"column": "business_date", "type": "date", "value":
/// "2010-12-01"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The model's partition column.
    pub column: String,
    /// Its type and value.
    #[serde(flatten)]
    pub value: PartitionValue,
}

/// A table to register: the rows of some Parquet objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobInput {
    /// The name to register it under, such as `silver__pos_sales__objects`.
    pub table: String,
    /// What a human calls it, such as `silver.pos_sales`.
    pub name: String,
    /// The table's columns. An older object may lack nullable ones, which then read as null. None
    /// means "as the objects say": rows of another model, whose types only an engine knows. Such an
    /// input has at least one object.
    pub columns: Option<Vec<Column>>,
    /// Keys of the objects, in order. None at all is an empty table.
    pub objects: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
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
    /// The query that it stands for.
    pub sql: String,
}

/// A query that returns the rows that are wrong: none, if all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobCheck {
    /// Its name.
    pub name: String,
    /// What happens if it returns rows.
    pub severity: Severity,
    /// What it makes sure of, in words.
    pub description: String,
    /// The query. It sees the model's new rows as the table `gold__<model>`, and the job's views.
    pub sql: String,
}

/// What happens when a check returns rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is committed, and the failure is reported.
    Error,
    /// The rows are committed, and the failure is reported.
    Warn,
}

/// How people are told of the rows of a model: once when a row is new, and once more when it ends,
/// if they want that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What the message says in one line, with columns in braces: `{product_id} is {state} at
    /// {location_id}`.
    pub subject: String,
    /// The timestamp column that says when it began.
    pub started: String,
    /// The timestamp column that says when it ended, null until then.
    pub ended: String,
}

impl Notice {
    /// The columns that the subject names.
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
    /// The column of *this* model's rows that says which partitions of the other one they concern.
    pub column: String,
    /// Its partition D reads this model's days from D - lookback_days ...
    pub lookback_days: u16,
    /// ... to D + lookahead_days.
    pub lookahead_days: u16,
}

impl Downstream {
    /// The partitions of the downstream model that read rows of the partition `changed`.
    pub fn dirtied_by(&self, changed: PartitionValue) -> impl Iterator<Item = PartitionValue> {
        // D reads [D - lookback, D + lookahead], so X is read by [X - lookahead, X + lookback].
        changed.window(self.lookahead_days, self.lookback_days)
    }
}

/// Where a job's rows go, and from which state of it the job starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOutput {
    /// The object that holds the partition.
    pub key: String,
    /// The version of the object that is to be replaced, none if there must be none: the condition
    /// of the commit.
    pub expected_etag: Option<String>,
    /// The number of the commit, starting with 1.
    pub version: u64,
    /// Names the inputs and the definitions that the rows are a function of.
    pub inputs_digest: String,
}

/// Names of what a commit notes beside its rows, in the metadata of the S3 object; with the prefix
/// `shoplake.` also in the Parquet file's key-value metadata.
pub mod metadata {
    /// [`JobOutput::version`](super::JobOutput::version)
    pub const VERSION: &str = "version";
    /// [`JobOutput::inputs_digest`](super::JobOutput::inputs_digest)
    pub const INPUTS: &str = "inputs";
    /// [`JobDocument::id`](super::JobDocument::id)
    pub const JOB: &str = "job";
    /// The number of rows.
    pub const ROWS: &str = "rows";
    /// Names of the checks whose failure is new with this commit, separated by commas (only in the
    /// S3 object, and only if there are any).
    pub const NEW_FAILURES: &str = "new-failures";
    /// When the job was planned: what was written before that is in the commit (only in the S3
    /// object).
    pub const PLANNED_AT: &str = "planned-at";
    /// When the oldest event was received that the commit brought (only in the S3 object, and only
    /// if its inputs tell).
    pub const RECEIVED_AT: &str = "received-at";
    /// The partitions of other models that the commit dirtied, as JSON (only in the Parquet file).
    pub const DIRTIED: &str = "dirtied";
    /// The checks of severity warn that returned rows, as JSON (only in the Parquet file).
    pub const FAILED_CHECKS: &str = "failed_checks";
}

/// Partitions of a model that have to be computed again, as they travel in an event's `detail`:
/// one, or several in a row, as a day that changes concerns all that look back at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionDirty {
    /// The model.
    pub model: String,
    /// Its partition, such as `2010-12-01`; the first of several.
    pub partition: String,
    /// The last of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why, for a human who reads the queue.
    pub reason: String,
}

impl PartitionDirty {
    /// The `source` of the event.
    pub const SOURCE: &str = "shoplake";
    /// The `detail-type` of the event.
    pub const DETAIL_TYPE: &str = "Partition Dirty";

    /// One partition.
    pub fn one(model: &str, partition: PartitionValue, reason: String) -> Self {
        Self { model: model.to_owned(), partition: partition.to_string(), until: None, reason }
    }

    /// As few messages as name these partitions, and no others.
    pub fn runs(model: &str, partitions: &BTreeSet<PartitionValue>, reason: &str) -> Vec<Self> {
        let partitions: Vec<_> = partitions.iter().copied().collect();
        partitions
            .chunk_by(|one, next| one.is_followed_by(*next))
            .filter_map(|run| Some((run.first()?, run.last()?)))
            .map(|(first, last)| {
                let until = (first != last).then(|| last.to_string());
                Self { until, ..Self::one(model, *first, reason.to_owned()) }
            })
            .collect()
    }

    /// The partitions, in order.
    ///
    /// # Errors
    /// When the message names none.
    pub fn partitions(
        &self,
    ) -> Result<impl Iterator<Item = PartitionValue> + use<>, PartitionValueError> {
        let first: PartitionValue = self.partition.parse()?;
        let last = self.until.as_deref().map_or(Ok(first), str::parse)?;
        Ok(first.through(last))
    }

    /// The event as EventBridge delivers it, for a message that goes to the queue directly.
    pub fn event(&self) -> serde_json::Value {
        serde_json::json!({"source": Self::SOURCE, "detail-type": Self::DETAIL_TYPE, "detail": self})
    }
}

/// What running a job came to: the output of the transform state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// How it ended.
    pub outcome: Outcome,
    /// The model.
    pub model: String,
    /// Its partition, such as `2010-12-01`.
    pub partition: String,
    /// The job, by its id.
    pub job: String,
    /// The number of the commit that the job made, or would have made.
    pub version: u64,
    /// When the job was planned, by the clock of the lake's store: of two results for one
    /// partition, the one that was planned later has seen at least what the other one has, as
    /// silver only grows.
    pub planned_at: DateTime<Utc>,
    /// When the oldest event was received that the commit brought; none if nothing was committed,
    /// or if its inputs do not tell.
    #[serde(default)]
    pub received_at: Option<DateTime<Utc>>,
    /// Rows of the partition as computed.
    pub rows: u64,
    /// All checks that ran; none after a conflict.
    pub checks: Vec<CheckRun>,
    /// Those of them that returned rows, of both severities.
    pub failed_checks: Vec<FailedCheck>,
    /// The failures that people have to be alerted to; none if they know of all of them.
    #[serde(default)]
    pub alert: Option<Vec<CheckAlert>>,
    /// What the load state has to copy, if there is something.
    pub load: Option<LoadRequest>,
    /// What the notify state has to look through, if there is something.
    pub notify: Option<NotifyRequest>,
}

/// A check that ran over a job's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// The check.
    pub name: String,
    /// What it means for the commit if it returns rows.
    pub severity: Severity,
    /// What it makes sure of, in words.
    pub description: String,
}

impl From<&JobCheck> for CheckRun {
    fn from(check: &JobCheck) -> Self {
        Self {
            name: check.name.clone(),
            severity: check.severity,
            description: check.description.clone(),
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// New rows are in gold.
    Committed,
    /// The rows are those that were there already.
    Unchanged,
    /// Somebody else has committed since the job was planned, or an input is gone; the partition is
    /// marked dirty again.
    Conflict,
    /// A check with severity stop returned rows; nothing was committed.
    ChecksFailed,
}

/// How many shops a [`FailedCheck`] names at most: a message of Step Functions has little room.
pub const MAX_FAILED_SHOPS: usize = 50;

/// A check that returned rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// The check.
    pub name: String,
    /// What that means for the commit.
    pub severity: Severity,
    /// How many rows it returned.
    pub rows: u64,
    /// The shops whose rows they are, in order: the first [`MAX_FAILED_SHOPS`] of them.
    #[serde(default)]
    pub shops: Vec<String>,
    /// The first few of the rows: column names to values as text, those of personal columns masked.
    pub sample: Vec<std::collections::BTreeMap<String, Option<String>>>,
}

impl FailedCheck {
    /// Whether it fails for a shop for which `before`, the failed checks of the partition's last
    /// commit, do not say so.
    pub fn is_new(&self, before: &[Self]) -> bool {
        match before.iter().find(|failed| failed.name == self.name) {
            Some(known) => self.shops.iter().any(|shop| !known.shops.contains(shop)),
            None => true,
        }
    }
}

/// A failed check as people are alerted to it: without rows, which may be personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAlert {
    /// The check.
    pub check: String,
    /// What it means for the commit.
    pub severity: Severity,
    /// What it makes sure of, in words.
    pub description: String,
    /// How many rows it returned.
    pub rows: u64,
    /// The shops whose rows they are.
    pub shops: Vec<String>,
}

/// A committed partition to bring to the warehouse: the input of the load state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    /// The model.
    pub model: String,
    /// The table, as `schema.table`.
    pub warehouse: String,
    /// The partition to replace.
    pub partition: Partition,
    /// The object that holds its rows.
    pub key: String,
    /// The commit's number; an older one never replaces a newer one.
    pub version: u64,
    /// The table's columns, in order.
    pub columns: Vec<LoadColumn>,
    /// The table's sort order.
    pub sort: Vec<String>,
}

/// A committed partition whose new rows people want to know of: the input of the notify state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyRequest {
    /// The model.
    pub model: String,
    /// Its partition, such as `2010-12-01`.
    pub partition: String,
    /// The object that holds its rows.
    pub key: String,
    /// Columns that identify a row.
    pub identity: Vec<String>,
    /// What to say.
    pub notice: Notice,
}

/// A column of a warehouse table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadColumn {
    /// Its name.
    pub name: String,
    /// Its portable type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_partition_names_its_column_type_and_value() {
        let partition =
            Partition { column: "business_date".into(), value: "2010-12-01".parse().unwrap() };
        let json =
            serde_json::json!({"column": "business_date", "type": "date", "value": "2010-12-01"});
        assert_eq!(serde_json::to_value(&partition).unwrap(), json);
        assert_eq!(serde_json::from_value::<Partition>(json).unwrap(), partition);
    }

    proptest! {
        #[test]
        fn given_any_days_then_the_messages_name_each_of_them_once_and_none_could_be_spared(
            days in prop::collection::btree_set(1_u32..=31, 0..31),
        ) {
            let day = |day| PartitionValue::Date(chrono::NaiveDate::from_ymd_opt(2010, 12, day).unwrap());
            let wanted: BTreeSet<_> = days.iter().copied().map(day).collect();
            let messages = PartitionDirty::runs("m", &wanted, "why");

            let named: Vec<_> = messages.iter().flat_map(|message| message.partitions().unwrap()).collect();
            prop_assert_eq!(named, wanted.into_iter().collect::<Vec<_>>());
            let gaps = days.iter().zip(days.iter().skip(1)).filter(|(one, next)| *one + 1 != **next).count();
            prop_assert_eq!(messages.len(), gaps + usize::from(!days.is_empty()));
        }
    }

    #[test]
    fn a_message_about_one_partition_does_not_say_until_when() {
        let one = PartitionDirty::one("m", "2010-12-01".parse().unwrap(), "why".into());
        let json = serde_json::json!({"model": "m", "partition": "2010-12-01", "reason": "why"});
        assert_eq!(serde_json::to_value(&one).unwrap(), json);
        assert_eq!(serde_json::from_value::<PartitionDirty>(json).unwrap(), one);
        assert!(PartitionDirty { until: Some("tomorrow".into()), ..one }.partitions().is_err());
    }

    #[test]
    fn given_a_window_then_a_change_dirties_every_day_that_reads_it() {
        let downstream = Downstream {
            model: "m".into(),
            column: "day".into(),
            lookback_days: 2,
            lookahead_days: 1,
        };
        let dirtied: Vec<_> = downstream
            .dirtied_by("2010-12-10".parse().unwrap())
            .map(|day| day.to_string())
            .collect();
        assert_eq!(dirtied, ["2010-12-09", "2010-12-10", "2010-12-11", "2010-12-12"]);
    }
}
