//! Results of jobs, and what the load and notify functions do with them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ColumnType, JobCheck, JobPartition, Notice, Partition, Severity};

/// The result of a job: the output of the transform state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// How it ended.
    pub outcome: JobOutcome,
    /// The model.
    pub model: String,
    /// Its partition.
    pub partition: Partition,
    /// The job, by its id.
    pub job: String,
    /// The number of the commit that the job made, or would have made.
    pub version: u64,
    /// When the job was planned, by the clock of the lake's store. Of two results for one
    /// partition, the one that was planned later has at least the inputs of the other one, as
    /// silver only grows.
    pub planned_at: DateTime<Utc>,
    /// When the oldest event that the commit adds was received; none without a commit, and if the
    /// inputs do not have that time.
    #[serde(default)]
    pub received_at: Option<DateTime<Utc>>,
    /// Rows of the partition as computed.
    pub rows: u64,
    /// All checks that ran; none after a conflict.
    pub checks: Vec<CheckRun>,
    /// The checks that returned rows, of both severities.
    pub failed_checks: Vec<FailedCheck>,
    /// The failures to alert people to; none if all of them were alerted before.
    #[serde(default)]
    pub alert: Option<Vec<CheckAlert>>,
    /// The partition for the load state to copy, if it changed and the model has a warehouse table.
    pub load: Option<LoadRequest>,
    /// The partition for the notify state to read, if it changed and the model has an alert.
    pub notify: Option<NotifyRequest>,
}

/// A check that ran over a job's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// The check.
    pub name: String,
    /// What a returned row means for the commit.
    pub severity: Severity,
    /// The rule, in words.
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
pub enum JobOutcome {
    /// New rows are in gold.
    Committed,
    /// The rows equal those of the last commit.
    Unchanged,
    /// Another job has committed since this one was planned, or an input is gone. The partition is
    /// dirty again.
    Conflict,
    /// A check of severity error returned rows; the job committed nothing.
    ChecksFailed,
}

/// The most shops that a [`FailedCheck`] names: a message of Step Functions has little room.
pub const MAX_FAILED_SHOPS: usize = 50;

/// A check that returned rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// The check.
    pub name: String,
    /// What the rows mean for the commit.
    pub severity: Severity,
    /// How many rows it returned.
    pub rows: u64,
    /// The first [`MAX_FAILED_SHOPS`] of the shops that the rows belong to, in order.
    #[serde(default)]
    pub shops: Vec<String>,
    /// The first few of the rows: column names to values as text. Personal values are masked.
    pub sample: Vec<BTreeMap<String, Option<String>>>,
}

impl FailedCheck {
    /// Returns whether the check fails for a shop for which it did not fail in `before`, the failed
    /// checks of the partition's last commit.
    pub fn is_new(&self, before: &[Self]) -> bool {
        match before.iter().find(|failed| failed.name == self.name) {
            Some(known) => self.shops.iter().any(|shop| !known.shops.contains(shop)),
            None => true,
        }
    }
}

/// A failed check in an alert: without its rows, which may hold personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAlert {
    /// The check.
    pub check: String,
    /// What the rows mean for the commit.
    pub severity: Severity,
    /// The rule, in words.
    pub description: String,
    /// How many rows it returned.
    pub rows: u64,
    /// The shops that the rows belong to.
    pub shops: Vec<String>,
}

/// A committed partition to copy to the warehouse: the input of the load state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    /// The model.
    pub model: String,
    /// The table, as `schema.table`.
    pub warehouse: String,
    /// The partition to replace.
    pub partition: JobPartition,
    /// The object that holds its rows.
    pub key: String,
    /// The commit's number; an older one never replaces a newer one.
    pub version: u64,
    /// The table's columns, in order.
    pub columns: Vec<LoadColumn>,
    /// The table's sort order.
    pub sort: Vec<String>,
}

/// A committed partition whose new rows need an alert: the input of the notify state.
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
    /// The alert.
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
