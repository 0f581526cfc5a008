//! The result of a commit, read from its object in gold.

use parquet::errors::ParquetError;
use shoplake_index::{GoldHead, GoldHeadError, IndexedModel};
use shoplake_jobs::{
    JobOutcome, JobPartition, JobResult, LoadRequest, Partition, Withheld, metadata,
};
use shoplake_lake::Object;

use crate::file::Footer;

/// An object in gold that was not written by a job.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCommit {
    /// Its S3 metadata is not that of a commit.
    #[error(transparent)]
    Head(#[from] GoldHeadError),
    /// Its file is not that of a commit.
    #[error("cannot read the gold object: {0}; delete it and backfill its partition")]
    File(#[from] ParquetError),
}

/// Returns the result of the job that committed `object`, so that the commit can be loaded again.
/// The result asks for no alert and no time of receipt: both belong to the first load.
///
/// Version, time of planning, rows, columns and failed checks come from the commit. Table, key and
/// checks come from the model as it is now: a removed check is left out, and a new one counts as
/// passed.
///
/// The warehouse orders loads by (`planned_at`, version). The result of a restored object is older
/// than the commit that the restore undoes, so the warehouse would refuse it: a reload gives it the
/// time that `LoadRecord::reload_planned_at` of `shoplake-warehouse` returns.
///
/// # Errors
/// When `object` was not written by a job.
pub fn committed(
    model: &IndexedModel,
    partition: Partition,
    object: &Object,
) -> Result<JobResult, UnreadableCommit> {
    let GoldHead { version, job, .. } = GoldHead::try_from(&object.head)?;
    let Footer { rows, columns, failed_checks, .. } = Footer::decode(object.bytes.clone())?;
    let planned_at =
        object.head.metadata.get(metadata::PLANNED_AT).and_then(|time| time.parse().ok());
    let load = model.warehouse.as_ref().map(|warehouse| LoadRequest {
        model: model.name.clone(),
        warehouse: warehouse.clone(),
        partition: JobPartition { column: model.partition.clone(), value: partition },
        key: model.output_key(partition),
        version,
        // A key column that was added after this commit cannot sort the table.
        sort: model
            .key
            .iter()
            .filter(|name| columns.iter().any(|column| column.name == **name))
            .cloned()
            .collect(),
        columns,
    });
    let mut result = JobResult {
        outcome: JobOutcome::Committed,
        model: model.name.clone(),
        partition,
        job,
        version,
        planned_at: planned_at.unwrap_or(object.head.last_modified),
        received_at: None,
        rows,
        checks: model.checks.clone(),
        failed_checks: Vec::new(),
        withheld: Withheld::default(),
        alert: None,
        load,
        notify: None,
    }
    .with_failed_checks(failed_checks)
    .capped();
    result
        .failed_checks
        .retain(|failed| result.checks.iter().any(|check| check.name == failed.name));
    Ok(result)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
    use chrono::{DateTime, Utc};
    use serde_json::{Value, json};
    use shoplake_contracts::Contracts;
    use shoplake_jobs::{FailedCheck, JobDocument, Severity};
    use shoplake_lake::{ETag, Entry, Head, Metadata};
    use shoplake_models::{Listing, Models, Plan};

    use super::*;
    use crate::{Gold, encode};

    const SALES: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sales",
        "description": "d", "type": "object",
        "x-dataset": {"source": "pos", "delivery": "batch", "key": ["shop_id", "id", "day"],
                      "version": null,
                      "event_time": "at", "partition": "day(day)", "sort": ["shop_id"],
                      "personal": []},
        "required": ["id", "day", "at"],
        "properties": {"id": {"type": "string", "description": "d"},
                       "day": {"type": "string", "format": "date", "description": "d"},
                       "at": {"type": "string", "format": "date-time", "description": "d"}}
    }"#;

    const DAILY: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.sales"]

select shop_id, day, count(*) as sales from silver.sales group by shop_id, day
"#;

    const FEW: &str = r#"-- model = "daily"
-- severity = "warn"
-- description = "a shop sells more than one thing a day"

select shop_id from gold.daily where sales < 2
"#;

    fn models(daily: &str, check: &str) -> Models {
        models_in("sales/daily.sql", daily, check)
    }

    fn models_in(file: &str, daily: &str, check: &str) -> Models {
        let contracts = Contracts::from_sources([("sales", SALES)]).unwrap();
        Models::from_sources(&contracts, [(file, daily), (check, FEW)]).unwrap()
    }

    fn at(time: &str) -> DateTime<Utc> {
        format!("2010-12-02T{time}Z").parse().unwrap()
    }

    /// The job of 2010-12-01.
    fn job(models: &Models) -> JobDocument {
        let sales = Entry {
            key: "silver/sales/dt=2010-12-01/a.parquet".to_owned(),
            etag: ETag::new("\"a\""),
            size: 1,
            last_modified: at("00:00:00"),
        };
        let listing = Listing::from([("silver.sales".to_owned(), vec![sales])]);
        match models.plan(
            models.get("daily").unwrap(),
            "2010-12-01".parse().unwrap(),
            &listing,
            None,
        ) {
            Plan::Job(job) => *job,
            Plan::UpToDate => panic!("expected a job"),
        }
    }

    /// The seventh commit of 2010-12-01, in which a shop sold one thing.
    fn object(job: &JobDocument, metadata: &[(&str, &str)]) -> Object {
        let columns: [(&str, ArrayRef); 3] = [
            ("shop_id", Arc::new(StringArray::from(vec!["acme", "zenith"]))),
            ("day", Arc::new(Date32Array::from(vec![14_944, 14_944]))),
            ("sales", Arc::new(Int64Array::from(vec![1, 5]))),
        ];
        let sample = vec![[("shop_id".to_owned(), Some("acme".to_owned()))].into()];
        let failed = FailedCheck {
            name: "few".to_owned(),
            severity: Severity::Warn,
            rows: 1,
            shops: vec!["acme".to_owned()],
            sample,
        };
        let gold = Gold {
            rows: RecordBatch::try_from_iter(columns).unwrap(),
            dirtied: vec![],
            failed_checks: vec![failed],
            alert: vec![],
        };
        let metadata: Metadata = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let bytes = encode(&gold, job).unwrap();
        let size = bytes.len() as u64;
        let head =
            Head { etag: ETag::new("\"gold\""), size, last_modified: at("03:04:20"), metadata };
        Object { head, bytes }
    }

    const METADATA: &[(&str, &str)] = &[
        ("version", "7"),
        ("inputs", "digest"),
        ("job", "0a1b2c"),
        ("rows", "2"),
        ("planned-at", "2010-12-02T03:04:05Z"),
        ("received-at", "2010-12-02T03:03:40Z"),
    ];

    fn result(models: &Models, object: &Object) -> Value {
        let models = models.index();
        let model = models.get("daily").unwrap();
        json!(committed(model, "2010-12-01".parse().unwrap(), object).unwrap())
    }

    #[test]
    fn a_commit_gives_its_result_without_alert_and_receipt() {
        let models = models(DAILY, "checks/few.sql");
        assert_eq!(
            result(&models, &object(&job(&models), METADATA)),
            json!({
                "outcome": "committed",
                "model": "daily",
                "partition": "2010-12-01",
                "job": "0a1b2c",
                "version": 7,
                "planned_at": "2010-12-02T03:04:05Z",
                "received_at": null,
                "rows": 2,
                "checks": [
                    {"name": "daily_key_is_not_null", "severity": "error",
                     "description": "no column of the key is null"},
                    {"name": "daily_key_is_unique", "severity": "error",
                     "description": "no key occurs twice"},
                    {"name": "few", "severity": "warn",
                     "description": "a shop sells more than one thing a day"},
                    {"name": "daily_computes", "severity": "error",
                     "description": "the rows of each shop can be computed, and a withheld shop \
                                     can keep its previous rows"},
                ],
                "failed_checks": [{"name": "few", "severity": "warn", "rows": 1,
                 "shops": ["acme"], "sample": [{"shop_id": "acme"}]}],
                "withheld": {"count": 0, "shops": []},
                "alert": null,
                "load": {
                    "model": "daily",
                    "warehouse": "sales.daily",
                    "partition": {"column": "day", "type": "date", "value": "2010-12-01"},
                    "key": "gold/daily/day=2010-12-01/data.parquet",
                    "version": 7,
                    "columns": [
                        {"name": "shop_id", "type": "string"},
                        {"name": "day", "type": "date"},
                        {"name": "sales", "type": "bigint"},
                    ],
                    "sort": ["shop_id", "day"],
                },
                "notify": null,
            })
        );
    }

    #[test]
    fn a_changed_model_keeps_the_committed_rows_and_columns() {
        let before = object(&job(&models(DAILY, "checks/few.sql")), METADATA);
        let by_till = DAILY
            .replace("\"day\"]", "\"till\", \"day\"]")
            .replace("day, count", "day, max(id) as till, count");
        let moved = models_in("finance/daily.sql", &by_till, "checks/fewer.sql");
        let now = result(&moved, &before);

        let load = &now["load"];
        assert_eq!(
            (&load["warehouse"], &load["sort"]),
            (&json!("finance.daily"), &json!(["shop_id", "day"]))
        );
        let columns: Vec<_> =
            load["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
        assert_eq!(columns, ["shop_id", "day", "sales"]);
        assert_eq!(now["checks"][2]["name"], "fewer");
        assert_eq!(now["failed_checks"], json!([]), "a check that is gone is not shown");
    }

    #[test]
    fn a_commit_without_planned_at_uses_its_time_of_writing() {
        let models = models(DAILY, "checks/few.sql");
        assert_eq!(
            result(&models, &object(&job(&models), &METADATA[..4]))["planned_at"],
            "2010-12-02T03:04:20Z"
        );
    }

    #[test]
    fn an_object_that_no_job_wrote_is_rejected_with_advice() {
        let models = models(DAILY, "checks/few.sql");
        let foreign = object(&job(&models), &[]);
        let broken = Object { bytes: "rows".into(), ..object(&job(&models), METADATA) };
        for object in [foreign, broken] {
            let models = models.index();
            let model = models.get("daily").unwrap();
            let error = committed(model, "2010-12-01".parse().unwrap(), &object).unwrap_err();
            assert!(error.to_string().contains("backfill its partition"), "{error}");
        }
    }
}
