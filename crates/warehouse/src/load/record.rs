//! What `shoplake.loads` has of partitions, and the order in which commits replace each other.
//!
//! Commits are ordered by (`planned_at`, version). The version alone is not enough: it restarts at
//! 1 when gold is deleted and computed again. The time alone is not enough either: S3 has times in
//! whole seconds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::Deserialize;

use crate::{Statement, Warehouse, WarehouseError, timestamp};

/// The columns of a [`LoadRecord`].
pub(super) const COLUMNS: &str = "version, row_count, \
     cast(planned_at as varchar(32)) as planned_at, cast(loaded_at as varchar(32)) as loaded_at";

/// Holds if the commit `:planned_at`, `:version` replaces the recorded one: the same decision as
/// [`LoadRecord::compare`], in the transaction.
pub(super) const IS_OLDER: &str = "(
        planned_at < cast(:planned_at as timestamp)
        or (
            planned_at = cast(:planned_at as timestamp)
            and version < cast(:version as bigint)
        )
        or (
            planned_at is null
            and (
                version < cast(:version as bigint)
                or loaded_at < cast(:planned_at as timestamp)
            )
        )
    )";

/// The row of a partition in `shoplake.loads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LoadRecord {
    /// The loaded version; 0 before the first load.
    pub version: u64,
    /// When the loaded commit was planned; `None` before the first load, and for a load from before
    /// the column.
    #[serde(deserialize_with = "timestamp::deserialize")]
    pub planned_at: Option<DateTime<Utc>>,
    /// When the load ran; `None` before the first load.
    #[serde(deserialize_with = "timestamp::deserialize")]
    pub loaded_at: Option<DateTime<Utc>>,
    /// Its rows; `None` before the first load and within the transaction of a load.
    pub row_count: Option<u64>,
}

impl LoadRecord {
    /// Compares the loaded commit with another one of the partition: `Less` means that the other
    /// one replaces it.
    ///
    /// Without a time of planning the versions decide. A commit that was planned after the load is
    /// newer whatever its version: gold was deleted in between.
    pub fn compare(&self, planned_at: DateTime<Utc>, version: u64) -> Ordering {
        let planned_at = planned_at.trunc_subsecs(6);
        match self.planned_at {
            Some(loaded) => (loaded, self.version).cmp(&(planned_at, version)),
            None if self.loaded_at.is_some_and(|loaded_at| loaded_at < planned_at) => {
                Ordering::Less
            }
            None => self.version.cmp(&version),
        }
    }

    /// Returns whether the loaded commit is this one. A reload of restored gold has a later time
    /// than its commit. The version alone is not enough: it restarts when gold is deleted and the
    /// state of its partition is lost.
    pub fn has(&self, planned_at: DateTime<Utc>, version: u64) -> bool {
        self.version == version && self.compare(planned_at, version) != Ordering::Less
    }

    /// Returns the `planned_at` with which a reload loads the commit that is in gold.
    ///
    /// It is the commit's own, unless the warehouse has a newer commit than gold: then an older
    /// object was restored, and the time is right after that of the newer commit. So the reload
    /// replaces the commit that was undone, also if a load of it comes late, and every job that was
    /// planned after the restore replaces the reload. The time of the reload itself would be too
    /// late: a job that was planned before the reload and commits after it would be refused.
    pub fn reload_planned_at(&self, planned_at: DateTime<Utc>, version: u64) -> DateTime<Utc> {
        match (self.compare(planned_at, version), self.planned_at.or(self.loaded_at)) {
            (Ordering::Greater, Some(undone)) => undone + TimeDelta::microseconds(1),
            _ => planned_at,
        }
    }
}

/// Returns what the warehouse has of a model, by the value of the partition.
///
/// To find out whether gold was restored, read this before gold: a record is written after its
/// commit, so gold has that commit or a newer one unless it was restored.
///
/// # Errors
/// When the query fails.
pub async fn load_records(
    warehouse: &dyn Warehouse,
    model: &str,
) -> Result<BTreeMap<String, LoadRecord>, WarehouseError> {
    #[derive(Deserialize)]
    struct Row {
        partition_value: String,
        #[serde(flatten)]
        record: LoadRecord,
    }
    let sql = format!(
        "select partition_value, {COLUMNS} from shoplake.loads \
         where model = cast(:model as varchar(256))"
    );
    let rows = warehouse.query(Statement::new(sql).bind("model", model)).await?;
    Ok(rows.decode::<Row>()?.into_iter().map(|row| (row.partition_value, row.record)).collect())
}

/// Returns what the warehouse has of all models, by model and value of the partition.
///
/// # Errors
/// When the query fails.
pub async fn all_load_records(
    warehouse: &dyn Warehouse,
) -> Result<BTreeMap<(String, String), LoadRecord>, WarehouseError> {
    #[derive(Deserialize)]
    struct Row {
        model: String,
        partition_value: String,
        #[serde(flatten)]
        record: LoadRecord,
    }
    let sql = format!("select model, partition_value, {COLUMNS} from shoplake.loads");
    let rows = warehouse.query(Statement::new(sql)).await?.decode::<Row>()?;
    Ok(rows.into_iter().map(|row| ((row.model, row.partition_value), row.record)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{RecordingWarehouse, Rows};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_291_259_000 + second, 0).unwrap()
    }

    fn record(planned_at: Option<i64>, version: u64) -> LoadRecord {
        LoadRecord {
            version,
            planned_at: planned_at.map(at),
            loaded_at: Some(at(100)),
            row_count: Some(3),
        }
    }

    #[test]
    fn the_time_of_planning_decides_before_the_version() {
        let loaded = record(Some(5), 7);
        assert_eq!(loaded.compare(at(6), 1), Ordering::Less, "gold was deleted and computed again");
        assert_eq!(loaded.compare(at(5), 8), Ordering::Less);
        assert_eq!(loaded.compare(at(5), 7), Ordering::Equal);
        assert_eq!(loaded.compare(at(5), 6), Ordering::Greater);
        assert_eq!(loaded.compare(at(4), 8), Ordering::Greater);
    }

    #[test]
    fn without_a_time_of_planning_versions_are_compared() {
        let loaded = record(None, 7);
        for (version, expected) in
            [(8, Ordering::Less), (7, Ordering::Equal), (6, Ordering::Greater)]
        {
            assert_eq!(loaded.compare(at(100), version), expected);
        }
        assert_eq!(loaded.compare(at(101), 1), Ordering::Less, "it was planned after the load");
        let registered = LoadRecord { loaded_at: None, row_count: None, ..record(None, 0) };
        assert_eq!(registered.compare(at(0), 1), Ordering::Less);
    }

    #[test]
    fn a_commit_is_loaded_with_its_version_and_time() {
        let loaded = record(Some(5), 7);
        assert!(loaded.has(at(5), 7));
        assert!(loaded.has(at(4), 7), "a reload of restored gold");
        assert!(!loaded.has(at(6), 7), "gold was computed again with the same version");
        assert!(!loaded.has(at(5), 6) && !loaded.has(at(5), 8));
        assert!(record(None, 7).has(at(100), 7) && !record(None, 7).has(at(101), 7));
    }

    #[test]
    fn a_fraction_that_the_column_cannot_hold_is_ignored() {
        let nanoseconds = at(5) + TimeDelta::nanoseconds(999);
        assert_eq!(record(Some(5), 7).compare(nanoseconds, 7), Ordering::Equal);
    }

    #[test]
    fn a_reload_of_newer_or_equal_gold_keeps_its_time() {
        for (planned_at, version) in [(5, 7), (5, 8), (6, 1)] {
            let reload = record(Some(5), 7).reload_planned_at(at(planned_at), version);
            assert_eq!(reload, at(planned_at));
        }
    }

    proptest! {
        #[test]
        fn reloaded_gold_is_older_than_the_next_plan(
            loaded in prop::option::of(0_i64..100),
            loaded_version in 1_u64..9,
            restored in 0_i64..100,
            version in 1_u64..9,
        ) {
            let record = record(loaded, loaded_version);
            let reload = record.reload_planned_at(at(restored), version);
            prop_assert_ne!(record.compare(reload, version), Ordering::Greater);
            // A restore is later than the plan of the commit that it undoes.
            let next = at(loaded.unwrap_or(100).max(restored) + 1);
            prop_assert!((reload, version) < (next, 1));
        }
    }

    #[tokio::test]
    async fn the_records_of_a_model_are_read_by_partition() {
        let warehouse = RecordingWarehouse::answering(|_| {
            let row = json!({
                "partition_value": "2010-12-01", "version": 7, "row_count": 3,
                "planned_at": "2010-12-02 03:04:05", "loaded_at": "2010-12-02 03:04:10",
            });
            Ok(vec![Some(Rows::from_iter(row.as_object().cloned()))])
        });
        let records = load_records(&warehouse, "total_sales").await.unwrap();
        assert_eq!(records["2010-12-01"].version, 7);
        assert_eq!(records["2010-12-01"].planned_at, "2010-12-02T03:04:05Z".parse().ok());
        assert_eq!(warehouse.transactions()[0][0].parameters()["model"], "total_sales");
    }

    #[tokio::test]
    async fn the_records_of_all_models_are_read() {
        let warehouse = RecordingWarehouse::answering(|_| {
            let row = |model: &str, version: u64| {
                json!({
                    "model": model, "partition_value": "2010-12-01", "version": version,
                    "row_count": 3, "planned_at": null, "loaded_at": null,
                })
            };
            let rows = [row("a", 1), row("b", 2)];
            Ok(vec![Some(Rows::from_iter(rows.iter().filter_map(|row| row.as_object().cloned())))])
        });
        let records = all_load_records(&warehouse).await.unwrap();
        let versions: Vec<_> = records.values().map(|record| record.version).collect();
        assert_eq!(versions, [1, 2]);
        assert!(records.contains_key(&("b".to_owned(), "2010-12-01".to_owned())));
    }
}
