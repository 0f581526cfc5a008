//! The lake's layout: the only place that makes keys or reads them. All functions are pure, so a
//! retry computes the same key.

use chrono::{DateTime, NaiveDate, Utc};
use shoplake_jobs::Partition;

use crate::store::Folders;

/// What a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeKey<'a> {
    /// Raw envelopes as Firehose delivered them.
    Bronze {
        /// The stream's source, such as `pos`.
        source: &'a str,
        /// The folder of the arrival, such as `dt=2026-11-21/hour=10`.
        arrival: &'a str,
        /// The object's name without its folder and `.gz`.
        name: &'a str,
    },
    /// Typed rows of a dataset.
    Silver {
        /// The dataset, such as `web_traffic`.
        dataset: &'a str,
        /// The partition that the object belongs to.
        partition: Partition,
    },
    /// A partition of a model.
    Gold {
        /// The model, such as `session_duration_bounce_rate`.
        model: &'a str,
        /// The partition that the object holds.
        partition: Partition,
    },
    /// The rows of a reference table that an operator has edited.
    Reference {
        /// The table, such as `engagement_weights`.
        table: &'a str,
    },
}

/// The folders from one partition to another, for
/// [`Store::list_range`](crate::Store::list_range).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderRange {
    /// The part of every key before the partition, such as `silver/pos_sales/dt=`.
    pub prefix: String,
    /// The name of the first folder after the prefix.
    pub first: String,
    /// The name of the last folder after the prefix.
    pub last: String,
}

impl FolderRange {
    /// Returns a key that precedes all keys of the folders.
    pub fn start_after(&self) -> String {
        Folders::new(&self.prefix, &self.first, &self.last).start_after()
    }

    /// Returns whether the key is in one of the folders.
    pub fn contains(&self, key: &str) -> bool {
        Folders::new(&self.prefix, &self.first, &self.last).contain(key)
    }
}

/// `bronze/`: everything that arrived.
pub const BRONZE: &str = "bronze/";
/// `silver/`: typed rows.
pub const SILVER: &str = "silver/";
/// `quarantine/`: lines that could not become rows.
pub const QUARANTINE: &str = "quarantine/";
/// `gold/`: the rows of models.
pub const GOLD: &str = "gold/";
/// `jobs/`: job documents and results.
pub const JOBS: &str = "jobs/";
/// `state/partitions/`: the states of partitions.
pub const PARTITION_STATES: &str = "state/partitions/";
/// `state/owed/`: the markers of the partitions that owe something.
pub const OWED: &str = "state/owed/";
/// `state/conformed/`: the receipts of the bronze objects that were conformed.
pub const CONFORMED: &str = "state/conformed/";
/// `state/unconformed/`: the bronze objects that were not conformed and that the operator was
/// alerted to.
pub const UNCONFORMED: &str = "state/unconformed/";
/// `state/runs/`: the run slots that are taken.
pub const RUNS: &str = "state/runs/";
/// `state/old-days/`: the turns of the old days of shops.
pub const OLD_DAYS: &str = "state/old-days/";
/// `state/sweep.json`: how far the sweep has compared states with silver and gold.
pub const SWEEP: &str = "state/sweep.json";
/// `alerts/`: the alerts that were sent.
pub const ALERTS: &str = "alerts/";
/// `reference/`: edited reference tables.
pub const REFERENCE: &str = "reference/";

/// `bronze/<source>/`
pub fn bronze_source(source: &str) -> String {
    format!("{BRONZE}{source}/")
}

/// `bronze/<source>/dt=`: what precedes the day of arrival in the keys of a source.
pub fn bronze_days(source: &str) -> String {
    format!("{}dt=", bronze_source(source))
}

/// `bronze/<source>/dt=<day>/hour=<HH>/`: the objects of the envelopes that arrived in one hour.
pub fn bronze_hour(source: &str, hour: DateTime<Utc>) -> String {
    format!("{}{}/", bronze_source(source), hour.format("dt=%Y-%m-%d/hour=%H"))
}

/// `bronze/<source>/dt=<day>/hour=<HH>/<name>.gz`
pub fn bronze(source: &str, hour: DateTime<Utc>, name: &str) -> String {
    format!("{}{name}.gz", bronze_hour(source, hour))
}

/// `state/conformed/<source>/dt=<day>/hour=<HH>/<name>.gz`: the receipt of a bronze object or of a
/// prefix of bronze; `None` for other keys.
pub fn conformed(key: &str) -> Option<String> {
    Some(format!("{CONFORMED}{}", key.strip_prefix(BRONZE)?))
}

/// `state/unconformed/<source>/dt=<day>/hour=<HH>/<name>.gz`: says that the operator was alerted to
/// a bronze object that was not conformed, or the prefix of such objects; `None` for keys outside
/// bronze.
pub fn unconformed(key: &str) -> Option<String> {
    Some(format!("{UNCONFORMED}{}", key.strip_prefix(BRONZE)?))
}

/// `silver/<dataset>/<partition>/<name>.parquet`
pub fn silver(dataset: &str, partition: Partition, name: &str) -> String {
    format!("{}{name}.parquet", silver_folder(dataset, &partition.silver_folder()))
}

/// `silver/<dataset>/`
pub fn silver_dataset(dataset: &str) -> String {
    format!("{SILVER}{dataset}/")
}

/// `silver/<dataset>/<folder>/`
pub fn silver_folder(dataset: &str, folder: &str) -> String {
    format!("{}{folder}/", silver_dataset(dataset))
}

/// `silver/<dataset>/dt=`: what precedes the day in the keys of a dataset partitioned by day or
/// hour.
pub fn silver_days(dataset: &str) -> String {
    format!("{}dt=", silver_dataset(dataset))
}

/// Returns the folders of a dataset from the partition `first` to `last`: one hour, the hours of
/// whole days, days or buckets.
pub fn silver_folders(dataset: &str, first: Partition, last: Partition) -> FolderRange {
    let (prefix, [first, last]) = match (first, last) {
        (Partition::Hour(hour), _) if first == last => {
            let prefix = format!("{}{}/hour=", silver_days(dataset), hour.day());
            (prefix, [first, last].map(|_| format!("{:02}", hour.of_day())))
        }
        (Partition::Hour(first), Partition::Hour(last)) => {
            (silver_days(dataset), [first, last].map(|hour| hour.day().to_string()))
        }
        (Partition::Bucket(_), _) => {
            let prefix = format!("{}bucket=", silver_dataset(dataset));
            (prefix, [first, last].map(|bucket| bucket.to_string()))
        }
        _ => (silver_days(dataset), [first, last].map(|day| day.to_string())),
    };
    FolderRange { prefix, first, last }
}

/// Returns the folders of a model from the partition `first` to `last`.
pub fn gold_folders(model: &str, column: &str, first: Partition, last: Partition) -> FolderRange {
    let (first, last) = (first.to_string(), last.to_string());
    FolderRange { prefix: gold_values(model, column), first, last }
}

/// `quarantine/<dataset>/dt=<day of arrival>/<name>.ndjson.gz`
pub fn quarantine(dataset: &str, day: NaiveDate, name: &str) -> String {
    format!("{}{name}.ndjson.gz", quarantine_day(dataset, day))
}

/// `quarantine/<dataset>/dt=<day of arrival>/`
pub fn quarantine_day(dataset: &str, day: NaiveDate) -> String {
    format!("{}dt={day}/", quarantine_dataset(dataset))
}

/// `quarantine/<dataset>/`
pub fn quarantine_dataset(dataset: &str) -> String {
    format!("{QUARANTINE}{dataset}/")
}

/// `gold/<model>/<column>=<partition>/data.parquet`
pub fn gold(model: &str, column: &str, partition: Partition) -> String {
    format!("{}data.parquet", gold_partition(model, column, partition))
}

/// `gold/<model>/`
pub fn gold_model(model: &str) -> String {
    format!("{GOLD}{model}/")
}

/// `gold/<model>/<column>=<partition>/`
pub fn gold_partition(model: &str, column: &str, partition: Partition) -> String {
    format!("{}{partition}/", gold_values(model, column))
}

/// `gold/<model>/<column>=`: what precedes the partition in the keys of a model.
pub fn gold_values(model: &str, column: &str) -> String {
    format!("{}{column}=", gold_model(model))
}

/// `jobs/<model>/<partition>/<id>.json`: a job document.
pub fn job(model: &str, partition: Partition, id: &str) -> String {
    format!("{}{partition}/{id}.json", jobs(model))
}

/// `jobs/<model>/<partition>/<id>.result.json`: the result of a job that runs on Spark.
pub fn job_result(model: &str, partition: Partition, id: &str) -> String {
    format!("{}{partition}/{id}.result.json", jobs(model))
}

/// Returns the model, the partition and the job of the key of a job document; `None` for other
/// keys.
pub fn parse_job(key: &str) -> Option<(&str, Partition, &str)> {
    let (model, rest) = key.strip_prefix(JOBS)?.split_once('/')?;
    let (partition, name) = rest.split_once('/')?;
    let id = name.strip_suffix(".json")?;
    let is_id = !id.is_empty() && !id.contains(['/', '.']);
    is_id.then_some((model, partition.parse().ok()?, id))
}

/// `jobs/<model>/`
pub fn jobs(model: &str) -> String {
    format!("{JOBS}{model}/")
}

/// Returns the partition of a job document or result of `model`; `None` for other keys.
pub fn job_partition(model: &str, key: &str) -> Option<Partition> {
    let (partition, _) = key.strip_prefix(&jobs(model))?.split_once('/')?;
    partition.parse().ok()
}

/// `state/partitions/<model>/`: the states of a model's partitions.
pub fn partition_states(model: &str) -> String {
    format!("{PARTITION_STATES}{model}/")
}

/// `state/partitions/<model>/<partition>.json`: the state of a partition.
pub fn partition_state(model: &str, partition: Partition) -> String {
    format!("{}{partition}.json", partition_states(model))
}

/// `state/owed/<model>/<partition>`: the marker of a partition that owes something.
pub fn owed(model: &str, partition: Partition) -> String {
    format!("{OWED}{model}/{partition}")
}

/// Returns the model and the partition of a marker; `None` for other keys.
pub fn parse_owed(key: &str) -> Option<(&str, Partition)> {
    let (model, partition) = key.strip_prefix(OWED)?.split_once('/')?;
    Some((model, partition.parse().ok()?))
}

/// `state/runs/<number>.json`: a run slot.
pub fn run(number: u16) -> String {
    format!("{RUNS}{number:02}.json")
}

/// Returns the number of a run slot; `None` for other keys.
pub fn run_number(key: &str) -> Option<u16> {
    key.strip_prefix(RUNS)?.strip_suffix(".json")?.parse().ok()
}

/// `state/old-days/<shop>.json`: the turns of a shop's old days.
pub fn old_days(shop: &str) -> String {
    format!("{OLD_DAYS}{shop}.json")
}

/// `state/connectors/<connector>/<shop>/<batch>.json`: the checkpoint of a connector's batch.
pub fn connector_checkpoint(connector: &str, shop: &str, batch: &str) -> String {
    format!("state/connectors/{connector}/{shop}/{batch}.json")
}

/// `state/connectors/<connector>/<shop>/<batch>/<digest>.keys`: some of the keys that the batch has
/// sent.
pub fn connector_keys(connector: &str, shop: &str, batch: &str, digest: &str) -> String {
    format!("state/connectors/{connector}/{shop}/{batch}/{digest}.keys")
}

/// `state/connectors/<connector>/<shop>/ids/<table>.jsonl`: the ids that the last extract found in
/// a table, one per line.
pub fn connector_ids(connector: &str, shop: &str, table: &str) -> String {
    format!("state/connectors/{connector}/{shop}/ids/{table}.jsonl")
}

/// `state/freshness/<dataset>.json`: the last known freshness of a dataset.
pub fn freshness(dataset: &str) -> String {
    format!("state/freshness/{dataset}.json")
}

/// `alerts/<model>/<id>.json`: the alerts that were sent about a subject, such as a product at a
/// location.
pub fn alert(model: &str, id: &str) -> String {
    format!("{ALERTS}{model}/{id}.json")
}

/// `alerts/<model>/waiting/<partition>/`: the rows whose alert waits for the next commit of the
/// partition.
pub fn waiting_alerts(model: &str, partition: Partition) -> String {
    format!("{ALERTS}{model}/waiting/{partition}/")
}

/// `alerts/<model>/waiting/<partition>/<id>.json`: one such row.
pub fn waiting_alert(model: &str, partition: Partition, id: &str) -> String {
    format!("{}{id}.json", waiting_alerts(model, partition))
}

/// `alerts/<model>/progress/<partition>.json`: the rows of a commit that are left to the next run
/// of notify.
pub fn alert_progress(model: &str, partition: Partition) -> String {
    format!("{ALERTS}{model}/progress/{partition}.json")
}

/// Returns the key or folder that deployments from before 2026-11-30 have in place of one in
/// `alerts/`. To be removed in 0.2.0, with the permissions of notify for `notices/`.
pub fn former_alerts(key: &str) -> String {
    key.replacen(ALERTS, "notices/", 1)
}

/// `reference/<table>.csv`
pub fn reference(table: &str) -> String {
    format!("{REFERENCE}{table}.csv")
}

/// Returns what `key` names; `None` for keys that nothing is computed from.
pub fn parse(key: &str) -> Option<LakeKey<'_>> {
    if let Some(table) = key.strip_prefix(REFERENCE) {
        let table = table.strip_suffix(".csv")?;
        return (!table.is_empty() && !table.contains('/')).then_some(LakeKey::Reference { table });
    }
    let (layer, rest) = key.split_once('/')?;
    let (owner, path) = rest.split_once('/')?;
    let (folder, file) = path.rsplit_once('/')?;
    match layer {
        "bronze" => Some(LakeKey::Bronze {
            source: owner,
            arrival: folder,
            name: file.strip_suffix(".gz").unwrap_or(file),
        }),
        "silver" if file.ends_with(".parquet") => {
            let partition = Partition::from_silver_folder(folder).ok()?;
            Some(LakeKey::Silver { dataset: owner, partition })
        }
        "gold" if file == "data.parquet" => {
            let (_, value) = folder.split_once('=')?;
            Some(LakeKey::Gold { model: owner, partition: value.parse().ok()? })
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
    fn a_receipt_has_the_place_of_its_object() {
        let key = "bronze/pos/dt=2026-11-21/hour=09/a.gz";
        assert!(key.starts_with(&bronze_days("pos")));
        let receipt = conformed(key).unwrap();
        assert_eq!(receipt, "state/conformed/pos/dt=2026-11-21/hour=09/a.gz");
        assert_eq!((conformed("silver/x"), parse(&receipt)), (None, None));
        let alerted = unconformed(key).unwrap();
        assert_eq!(alerted, "state/unconformed/pos/dt=2026-11-21/hour=09/a.gz");
        assert_eq!((unconformed("silver/x"), parse(&alerted)), (None, None));
    }

    #[test]
    fn a_range_of_folders_holds_the_objects_of_its_partitions() {
        for (first, last, inside, outside) in [
            ("2010-12-01", "2010-12-02", "dt=2010-12-02", "dt=2010-12-03"),
            ("2010-12-01T09", "2010-12-01T09", "dt=2010-12-01/hour=09", "dt=2010-12-01/hour=10"),
            ("2010-12-01T00", "2010-12-02T23", "dt=2010-12-02/hour=10", "dt=2010-12-03/hour=00"),
            ("0000", "0015", "bucket=0015", "bucket=0016"),
        ] {
            let range = silver_folders("d", first.parse().unwrap(), last.parse().unwrap());
            let key = |folder| format!("silver/d/{folder}/x.parquet");
            assert!(range.contains(&key(inside)) && range.start_after() < key(inside), "{inside}");
            assert!(!range.contains(&key(outside)), "{outside}");
        }
        let range = gold_folders(
            "m",
            "hour",
            "2010-12-01T00".parse().unwrap(),
            "2010-12-01T23".parse().unwrap(),
        );
        assert!(range.contains("gold/m/hour=2010-12-01T09/data.parquet"));
    }

    #[test]
    fn other_keys_name_nothing() {
        for key in [
            "",
            "silver",
            "silver/x",
            "silver/x/dt=2026-01-01/_SUCCESS",
            "silver/x/dt=2026-1-1/a.parquet",
            "silver/x/bucket=7/a.parquet",
            "gold/x/day=yesterday/data.parquet",
            "jobs/a/b/c.json",
            "alerts/a/b/c.json",
            "reference/.csv",
            "reference/a/b.csv",
            "reference/a.txt",
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }

    #[test]
    fn the_objects_of_a_job_name_its_partition() {
        let day = "2010-12-01".parse().unwrap();
        for key in [job("m", day, "0a"), job_result("m", day, "0a")] {
            assert_eq!(job_partition("m", &key), Some(day), "{key}");
            assert_eq!(job_partition("n", &key), None, "{key}");
        }
        assert_eq!(parse_job(&job("m", day, "0a")), Some(("m", day, "0a")));
        for key in ["jobs/m/2010-12-01/0a.result.json", "jobs/m/2010-12-01/.json", "jobs/m/x.json"]
        {
            assert_eq!(parse_job(key), None, "{key}");
        }
    }

    #[test]
    fn a_marker_and_a_slot_can_be_read_back() {
        let day = "2010-12-01".parse().unwrap();
        assert_eq!(parse_owed(&owed("m", day)), Some(("m", day)));
        assert_eq!(partition_state("m", day), "state/partitions/m/2010-12-01.json");
        assert_eq!([run(7), run(120)].map(|key| run_number(&key)), [Some(7), Some(120)]);
        assert_eq!((parse_owed("state/owed/m"), run_number("state/runs/x.json")), (None, None));
    }

    proptest! {
        #[test]
        fn a_silver_key_can_be_read_back(
            dataset in "[a-z_]{1,20}",
            folder in "(dt=2026-01-0[1-9]|bucket=000[0-9]|dt=2026-01-01/hour=0[0-9])",
            name in "[A-Za-z0-9-]{1,40}",
        ) {
            let partition = Partition::from_silver_folder(&folder).unwrap();
            let key = silver(&dataset, partition, &name);
            prop_assert_eq!(&key, &format!("silver/{dataset}/{folder}/{name}.parquet"));
            prop_assert_eq!(parse(&key), Some(LakeKey::Silver { dataset: &dataset, partition }));
        }

        #[test]
        fn a_gold_key_can_be_read_back(
            model in "[a-z_]{1,20}", partition in "(2026-01-0[1-9]|000[0-9]|2026-01-01T0[0-9])",
        ) {
            let partition = partition.parse().unwrap();
            let key = gold(&model, "business_date", partition);
            prop_assert_eq!(parse(&key), Some(LakeKey::Gold { model: &model, partition }));
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(key in ".*") {
            parse(&key);
        }
    }
}
