//! Results of jobs, and what the load and notify functions do with them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Alert, ColumnType, JobCheck, JobPartition, Partition, Severity};

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
    /// silver only grows. Loads are in the order of (`planned_at`, `version`). A reload of a
    /// restored commit has a later time than the commit: the place where it belongs in that order.
    pub planned_at: DateTime<Utc>,
    /// When the oldest event that the commit adds was received; none without a commit, and if the
    /// inputs do not have that time.
    #[serde(default)]
    pub received_at: Option<DateTime<Utc>>,
    /// Rows of the partition, those that withheld shops keep included.
    pub rows: u64,
    /// All checks that ran; none after a conflict.
    pub checks: Vec<CheckRun>,
    /// The checks that failed, of both severities. Each names at most [`MAX_FAILED_SHOPS`] shops.
    pub failed_checks: Vec<FailedCheck>,
    /// The shops whose new rows are withheld.
    #[serde(default)]
    pub withheld: Withheld,
    /// The failures to alert people to; none if all of them were alerted before. The partition's
    /// state has all shops of them, also those that [`JobResult::capped`] leaves out.
    #[serde(default)]
    pub alert: Option<Vec<CheckAlert>>,
    /// The partition for the load state to copy, if it changed and the model has a warehouse table.
    pub load: Option<LoadRequest>,
    /// The partition for the notify state to read, if it changed and the model has an alert.
    pub notify: Option<NotifyRequest>,
}

impl JobResult {
    /// Returns the result with these failed checks and the shops that they withhold.
    #[must_use]
    pub fn with_failed_checks(self, failed_checks: Vec<FailedCheck>) -> Self {
        Self { withheld: Withheld::of(&failed_checks), failed_checks, ..self }
    }

    /// Returns the result with as many shops as a message of Step Functions has room for.
    #[must_use]
    pub fn capped(mut self) -> Self {
        let failed = self.failed_checks.iter_mut().map(|failed| &mut failed.shops);
        let alerts = self.alert.iter_mut().flatten().map(|alert| &mut alert.shops);
        failed.chain(alerts).for_each(|shops| shops.truncate(MAX_FAILED_SHOPS));
        self
    }
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

impl CheckRun {
    /// Returns the check of `model` that an engine makes without a query: a shop fails it if its
    /// data make a query fail, or if it cannot keep its previous rows.
    pub fn computes(model: &str) -> Self {
        Self {
            name: format!("{model}_computes"),
            severity: Severity::Error,
            description: "the rows of each shop can be computed, and a withheld shop can keep its \
                          previous rows"
                .to_owned(),
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// New rows are in gold.
    Committed,
    /// The rows and the failed checks equal those of the last commit. Results from before
    /// 2026-12-01 may be `checks_failed`: nothing was committed because of a failed check.
    #[serde(alias = "checks_failed")]
    Unchanged,
    /// Another job has committed since this one was planned, or an input is gone. The partition is
    /// dirty again.
    Conflict,
}

/// The most shops that a [`JobResult`] names in one place: a message of Step Functions has little
/// room.
pub const MAX_FAILED_SHOPS: usize = 50;

/// The name, in failed checks, for rows whose `shop_id` is null. It is not a valid shop id.
pub const NO_SHOP: &str = "(none)";

/// The shops whose new rows a job does not commit, because a check of severity error fails for
/// them. They keep the rows of the last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The number of shops.
    pub count: u64,
    /// The first [`MAX_FAILED_SHOPS`] of them, in order.
    pub shops: Vec<String>,
}

impl Withheld {
    /// Returns the shops that these failed checks withhold.
    pub fn of(failed: &[FailedCheck]) -> Self {
        let errors = failed.iter().filter(|failed| failed.severity == Severity::Error);
        let shops: BTreeSet<&String> = errors.flat_map(|failed| &failed.shops).collect();
        Self {
            count: shops.len() as u64,
            shops: shops.into_iter().take(MAX_FAILED_SHOPS).cloned().collect(),
        }
    }
}

/// A check that returned rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// The check.
    pub name: String,
    /// What the rows mean for the commit.
    pub severity: Severity,
    /// How many rows it returned.
    pub rows: u64,
    /// The shops that the rows belong to, in order: all of them in a commit, and the first
    /// [`MAX_FAILED_SHOPS`] in a [`JobResult`]. Rows without a shop belong to [`NO_SHOP`].
    #[serde(default)]
    pub shops: Vec<String>,
    /// The first few of the rows: column names to values as text. Personal values are masked.
    pub sample: Vec<BTreeMap<String, Option<String>>>,
}

impl FailedCheck {
    /// Returns the shops for which the check fails and did not fail with the same severity in
    /// `before`, the failed checks of the partition's last commit.
    pub fn new_shops(&self, before: &[Self]) -> Vec<String> {
        let is_same = |failed: &&Self| failed.name == self.name && failed.severity == self.severity;
        let known = before.iter().find(is_same).map_or(&[][..], |failed| &failed.shops);
        let known: BTreeSet<&String> = known.iter().collect();
        self.shops.iter().filter(|shop| !known.contains(shop)).cloned().collect()
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
    /// The shops for which the failure is new: all of them in a commit and in the state of a
    /// partition, and the first [`MAX_FAILED_SHOPS`] in a [`JobResult`].
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
    /// The commit's number, which orders commits that were planned in the same second.
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
    /// Its partition.
    pub partition: Partition,
    /// The object that holds its rows.
    pub key: String,
    /// The commit's number. Requests from before 2026-11-30 have none.
    #[serde(default)]
    pub version: u64,
    /// Columns that identify a row.
    pub identity: Vec<String>,
    /// The alert. Results from before 2026-11-30 name it `notice`.
    #[serde(alias = "notice")]
    pub alert: Alert,
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_from_before_the_rename_of_alert_is_read() {
        let mut request = json!({
            "model": "m",
            "partition": "2010-12-01",
            "key": "gold/m/day=2010-12-01/data.parquet",
            "identity": ["day"],
            "notice": {"subject": "{a}", "started": "b", "ended": "c"},
        });
        let read: NotifyRequest = serde_json::from_value(request.clone()).unwrap();
        request["version"] = json!(0);
        let alert = request["notice"].take();
        request.as_object_mut().unwrap().remove("notice");
        request["alert"] = alert;
        assert_eq!(json!(read), request);
    }

    fn failed(severity: Severity, shops: &[&str]) -> FailedCheck {
        FailedCheck {
            name: "c".to_owned(),
            severity,
            rows: 1,
            shops: shops.iter().map(|shop| (*shop).to_owned()).collect(),
            sample: Vec::new(),
        }
    }

    #[test]
    fn only_checks_of_severity_error_withhold_shops() {
        let failed = [
            failed(Severity::Error, &["b", "a"]),
            failed(Severity::Warn, &["c"]),
            failed(Severity::Error, &["a"]),
        ];
        assert_eq!(json!(Withheld::of(&failed)), json!({"count": 2, "shops": ["a", "b"]}));
    }

    #[test]
    fn a_shop_is_new_unless_it_failed_with_the_same_severity() {
        let now = failed(Severity::Error, &["a", "b"]);
        assert_eq!(now.new_shops(&[]), ["a", "b"]);
        assert_eq!(now.new_shops(&[failed(Severity::Error, &["a"])]), ["b"]);
        assert_eq!(now.new_shops(&[failed(Severity::Warn, &["a"])]), ["a", "b"]);
    }

    #[test]
    fn a_result_from_before_shops_were_withheld_is_read() {
        let result: JobResult = serde_json::from_value(json!({
            "outcome": "checks_failed",
            "model": "m",
            "partition": "2010-12-01",
            "job": "0a",
            "version": 1,
            "planned_at": "2010-12-02T03:04:05Z",
            "rows": 0,
            "checks": [],
            "failed_checks": [{"name": "c", "severity": "error", "rows": 1, "sample": []}],
            "load": null,
            "notify": null,
        }))
        .unwrap();
        assert_eq!((result.outcome, result.withheld), (JobOutcome::Unchanged, Withheld::default()));
    }

    #[test]
    fn a_capped_result_names_few_shops_and_counts_all() {
        let shops: Vec<_> = (0..MAX_FAILED_SHOPS + 5).map(|shop| format!("s{shop:03}")).collect();
        let names: Vec<_> = shops.iter().map(String::as_str).collect();
        let result = JobResult {
            outcome: JobOutcome::Committed,
            model: "m".to_owned(),
            partition: "2010-12-01".parse().unwrap(),
            job: "0a".to_owned(),
            version: 1,
            planned_at: DateTime::UNIX_EPOCH,
            received_at: None,
            rows: 0,
            checks: Vec::new(),
            failed_checks: Vec::new(),
            withheld: Withheld::default(),
            alert: Some(vec![CheckAlert {
                check: "c".to_owned(),
                severity: Severity::Error,
                description: String::new(),
                rows: 55,
                shops: shops.clone(),
            }]),
            load: None,
            notify: None,
        }
        .with_failed_checks(vec![failed(Severity::Error, &names)])
        .capped();
        assert_eq!(result.withheld.count, 55);
        assert_eq!(result.withheld.shops, shops[..MAX_FAILED_SHOPS]);
        assert_eq!(result.failed_checks[0].shops, result.withheld.shops);
        assert_eq!(result.alert.unwrap()[0].shops, result.withheld.shops);
    }
}
