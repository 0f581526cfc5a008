//! The lake's layout: which key an object has, and what a key says. Pure, so that a retry computes
//! the same name.

use chrono::{DateTime, NaiveDate, Utc};

/// What a key of the lake names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeKey<'a> {
    /// Raw envelopes as Firehose delivered them.
    Bronze {
        /// The stream's source, such as `pos`.
        source: &'a str,
        /// The arrival's folder, such as `dt=2026-11-21/hour=10`.
        arrival: &'a str,
        /// The object's name without its folder and `.gz`.
        name: &'a str,
    },
    /// Typed rows of a dataset.
    Silver {
        /// The dataset, such as `web_traffic`.
        dataset: &'a str,
        /// The partition's folder, such as `dt=2026-11-21` or `bucket=0007`.
        partition: &'a str,
    },
    /// A KPI partition.
    Gold {
        /// The model, such as `session_duration_bounce_rate`.
        model: &'a str,
        /// The partition's value, such as `2026-11-21`.
        partition: &'a str,
    },
    /// The rows of a reference table that an operator has edited.
    Reference {
        /// The table, such as `engagement_weights`.
        table: &'a str,
    },
}

/// `silver/<dataset>/<partition>/<name>.parquet`
pub fn silver(dataset: &str, partition: &str, name: &str) -> String {
    format!("{}{name}.parquet", silver_prefix(dataset, partition))
}

/// `silver/<dataset>/`
pub fn silver_dataset(dataset: &str) -> String {
    format!("silver/{dataset}/")
}

/// `silver/<dataset>/<partition>/`
pub fn silver_prefix(dataset: &str, partition: &str) -> String {
    format!("{}{partition}/", silver_dataset(dataset))
}

/// `silver/<dataset>/dt=`: what comes before the day in the keys of a dataset partitioned by day or
/// hour.
pub fn silver_days(dataset: &str) -> String {
    format!("silver/{dataset}/dt=")
}

/// `bronze/<source>/`
pub fn bronze_source(source: &str) -> String {
    format!("bronze/{source}/")
}

/// `bronze/<source>/dt=<day>/hour=<HH>/`: what arrived in one hour.
pub fn bronze_hour(source: &str, hour: DateTime<Utc>) -> String {
    format!("{}{}/", bronze_source(source), hour.format("dt=%Y-%m-%d/hour=%H"))
}

/// `quarantine/<dataset>/dt=<day of arrival>/<name>.ndjson.gz`
pub fn quarantine(dataset: &str, day: NaiveDate, name: &str) -> String {
    format!("{}{name}.ndjson.gz", quarantine_day(dataset, day))
}

/// `quarantine/<dataset>/dt=<day of arrival>/`
pub fn quarantine_day(dataset: &str, day: NaiveDate) -> String {
    format!("quarantine/{dataset}/dt={day}/")
}

/// `gold/<model>/<column>=<value>/data.parquet`
pub fn gold(model: &str, column: &str, value: &str) -> String {
    format!("{}{value}/data.parquet", gold_values(model, column))
}

/// `gold/<model>/`
pub fn gold_model(model: &str) -> String {
    format!("gold/{model}/")
}

/// `gold/<model>/<column>=`: what comes before the value in the keys of a model.
pub fn gold_values(model: &str, column: &str) -> String {
    format!("{}{column}=", gold_model(model))
}

/// `jobs/<model>/<partition value>/<id>.json`
pub fn job(model: &str, partition: &str, id: &str) -> String {
    format!("{}{partition}/{id}.json", jobs(model))
}

/// `jobs/<model>/<partition value>/<id>.result.json`: where a job that runs on Spark leaves what it
/// came to.
pub fn job_result(model: &str, partition: &str, id: &str) -> String {
    format!("{}{partition}/{id}.result.json", jobs(model))
}

/// `jobs/<model>/<partition value>/running.json`: the lease of whoever computes the partition. No
/// id of a job is called that.
pub fn lease(model: &str, partition: &str) -> String {
    format!("{}{partition}/running.json", jobs(model))
}

/// `jobs/<model>/`
pub fn jobs(model: &str) -> String {
    format!("jobs/{model}/")
}

/// `notices/<model>/<id>.json`: what people know of the episodes of a subject, such as a product at
/// a location.
pub fn notice(model: &str, id: &str) -> String {
    format!("notices/{model}/{id}.json")
}

/// `notices/<model>/waiting/<partition>/`: the rows that wait for the next commit of the partition
/// before people are notified.
pub fn waiting_notices(model: &str, partition: &str) -> String {
    format!("notices/{model}/waiting/{partition}/")
}

/// `reference/<table>.csv`
pub fn reference(table: &str) -> String {
    format!("reference/{table}.csv")
}

/// What `key` names; `None` for keys that nothing is computed from.
pub fn parse(key: &str) -> Option<LakeKey<'_>> {
    let (layer, rest) = key.split_once('/')?;
    if layer == "reference" {
        let table = rest.strip_suffix(".csv")?;
        return (!table.is_empty() && !table.contains('/')).then_some(LakeKey::Reference { table });
    }
    let (owner, path) = rest.split_once('/')?;
    let (folder, file) = path.rsplit_once('/')?;
    match layer {
        "bronze" => Some(LakeKey::Bronze {
            source: owner,
            arrival: folder,
            name: file.strip_suffix(".gz").unwrap_or(file),
        }),
        "silver" if file.ends_with(".parquet") => {
            Some(LakeKey::Silver { dataset: owner, partition: folder })
        }
        "gold" if file == "data.parquet" => {
            let (_, value) = folder.split_once('=')?;
            Some(LakeKey::Gold { model: owner, partition: value })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bronze_key_names_its_source_and_object() {
        assert_eq!(
            parse("bronze/pos/dt=2026-11-21/hour=10/shoplake-local-pos-1-2026.gz"),
            Some(LakeKey::Bronze {
                source: "pos",
                arrival: "dt=2026-11-21/hour=10",
                name: "shoplake-local-pos-1-2026"
            })
        );
    }

    #[test]
    fn a_reference_key_names_its_table() {
        let key = reference("engagement_weights");
        assert_eq!(key, "reference/engagement_weights.csv");
        assert_eq!(parse(&key), Some(LakeKey::Reference { table: "engagement_weights" }));
    }

    #[test]
    fn an_hour_of_bronze_is_where_firehose_puts_it() {
        let time = "2026-11-21T09:59:59Z".parse().unwrap();
        assert_eq!(bronze_hour("web", time), "bronze/web/dt=2026-11-21/hour=09/");
    }

    #[test]
    fn what_is_not_of_the_lake_is_nothing() {
        for key in [
            "",
            "silver",
            "silver/x",
            "silver/x/dt=2026-01-01/_SUCCESS",
            "jobs/a/b/c.json",
            "notices/a/b/c.json",
            "reference/.csv",
            "reference/a/b.csv",
            "reference/a.txt",
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_back(
            owner in "[a-z_]{1,20}", folder in "(dt=2026-01-0[1-9]|bucket=000[0-9]|dt=2026-01-01/hour=0[0-9])", name in "[A-Za-z0-9-]{1,40}",
        ) {
            let key = silver(&owner, &folder, &name);
            prop_assert_eq!(parse(&key), Some(LakeKey::Silver { dataset: &owner, partition: &folder }));
        }

        #[test]
        fn a_gold_key_can_be_read_back(model in "[a-z_]{1,20}", value in "[0-9-]{1,10}") {
            let key = gold(&model, "business_date", &value);
            prop_assert_eq!(parse(&key), Some(LakeKey::Gold { model: &model, partition: &value }));
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(key in ".*") {
            parse(&key);
        }
    }
}
