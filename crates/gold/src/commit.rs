//! What an object of gold says of the commit that it is.

use parquet::errors::ParquetError;
use shoplake_index::{GoldHead, GoldHeadError, IndexedModel};
use shoplake_jobs::{JobOutcome, JobPartition, JobResult, LoadRequest, Partition, metadata};
use shoplake_lake::Object;

use crate::file::Footer;

/// An object in gold that does not say which commit it is.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCommit {
    /// Not beside its rows.
    #[error(transparent)]
    Head(#[from] GoldHeadError),
    /// Not in its file.
    #[error("the gold object cannot be read: {0}; delete it and backfill its partition")]
    File(#[from] ParquetError),
}

/// What the job came to that committed `object`, so that the warehouse can be shown it when nobody
/// has that result any more. Nobody is told of its rows again, and no time is measured that has
/// passed long ago.
///
/// Version, rows, columns and what was found wrong are the commit's. Table, key and checks are
/// those of the model as it is now: a check that is gone is left out, and one that is new has found
/// nothing. If the model is as it was, all is as it was.
///
/// # Errors
/// When `object` was not written by a job.
pub fn committed(
    model: &IndexedModel,
    partition: Partition,
    object: &Object,
) -> Result<JobResult, UnreadableCommit> {
    let GoldHead { version, job, .. } = GoldHead::try_from(&object.head)?;
    let Footer { rows, columns, mut failed_checks } = Footer::decode(object.bytes.clone())?;
    let checks = model.checks.clone();
    failed_checks.retain(|failed| checks.iter().any(|check| check.name == failed.name));
    let planned_at =
        object.head.metadata.get(metadata::PLANNED_AT).and_then(|moment| moment.parse().ok());
    let load = model.warehouse.as_ref().map(|warehouse| LoadRequest {
        model: model.name.clone(),
        warehouse: warehouse.clone(),
        partition: JobPartition { column: model.partition.clone(), value: partition },
        key: model.output_key(partition),
        version,
        // A table cannot be sorted by what the rows did not have yet.
        sort: model
            .key
            .iter()
            .filter(|name| columns.iter().any(|column| column.name == **name))
            .cloned()
            .collect(),
        columns,
    });
    Ok(JobResult {
        outcome: JobOutcome::Committed,
        model: model.name.clone(),
        partition: partition.to_string(),
        job,
        version,
        planned_at: planned_at.unwrap_or(object.head.last_modified),
        received_at: None,
        rows,
        checks,
        failed_checks,
        alert: None,
        load,
        notify: None,
    })
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
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sales", "description": "d", "type": "object",
        "x-dataset": {"source": "pos", "delivery": "batch", "key": ["shop_id", "id"], "version": null,
                      "event_time": "at", "partition": "day(day)", "sort": ["shop_id"], "personal": []},
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
    fn object(job: &JobDocument, notes: &[(&str, &str)]) -> Object {
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
        };
        let metadata: Metadata =
            notes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let bytes = encode(&gold, job).unwrap();
        let size = bytes.len() as u64;
        let head =
            Head { etag: ETag::new("\"gold\""), size, last_modified: at("03:04:20"), metadata };
        Object { head, bytes }
    }

    const NOTES: &[(&str, &str)] = &[
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
    fn given_a_commit_then_it_is_what_its_job_came_to_but_nobody_is_told_and_nothing_is_measured() {
        let models = models(DAILY, "checks/few.sql");
        assert_eq!(
            result(&models, &object(&job(&models), NOTES)),
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
                    {"name": "daily_key_is_not_null", "severity": "error", "description": "no column of the key is null"},
                    {"name": "daily_key_is_unique", "severity": "error", "description": "no key occurs twice"},
                    {"name": "few", "severity": "warn", "description": "a shop sells more than one thing a day"},
                ],
                "failed_checks": [{"name": "few", "severity": "warn", "rows": 1, "shops": ["acme"], "sample": [{"shop_id": "acme"}]}],
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
    fn given_a_model_that_has_changed_since_then_the_rows_are_as_they_were_committed() {
        let before = object(&job(&models(DAILY, "checks/few.sql")), NOTES);
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
    fn given_a_commit_that_does_not_say_when_it_was_planned_then_it_was_when_it_was_written() {
        let models = models(DAILY, "checks/few.sql");
        assert_eq!(
            result(&models, &object(&job(&models), &NOTES[..4]))["planned_at"],
            "2010-12-02T03:04:20Z"
        );
    }

    #[test]
    fn given_what_no_job_wrote_then_the_error_says_what_to_do() {
        let models = models(DAILY, "checks/few.sql");
        let foreign = object(&job(&models), &[]);
        let broken = Object { bytes: "rows".into(), ..object(&job(&models), NOTES) };
        for object in [foreign, broken] {
            let models = models.index();
            let model = models.get("daily").unwrap();
            let error = committed(model, "2010-12-01".parse().unwrap(), &object).unwrap_err();
            assert!(error.to_string().contains("delete it and backfill its partition"), "{error}");
        }
    }
}
