//! The models and checks below `glue-sql/`, and how they depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use shoplake_contracts::{Contracts, Partitioning};
use shoplake_index::{
    Description, IndexedInput, IndexedModel, IndexedView, ModelIndex, ReferenceTable, References,
};
use shoplake_jobs::{
    Alert, CheckRun, Correspondence, Downstream, Partition, PartitionKind, Severity, Window,
};
use shoplake_lake::keys::{self, FolderRange};

use crate::dataset::{self, Dataset};
use crate::definition::{self, DefinitionError, Definitions, Reason, is_reference};
use crate::query::Query;
use crate::view::{self, MartView};

/// The column with the bucket of a row. The planner adds it to the rows of a model by bucket.
pub(crate) const BUCKET: &str = "bucket";

/// A table that is computed by one SQL file.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name, which is the name of its file.
    pub name: String,
    /// Its name in queries: `gold.<name>`.
    pub reference: String,
    /// Its file, such as `sales/total_sales.sql`.
    pub(crate) file: String,
    /// What one row is, in words.
    pub grain: Description,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The column whose value names the partition of a row.
    pub partition: String,
    /// How its rows are divided into partitions.
    pub partitioning: Partitioning,
    /// Tables that it reads: `silver.<dataset>`, `gold.<model>` or `reference.<table>`.
    pub inputs: Vec<String>,
    /// The dataset whose moved rows it finds. It or a model before it reads that dataset. Other
    /// models read it without these rows.
    pub(crate) moved_rows_of: Option<String>,
    /// Which partitions of them it reads, as its header says.
    pub(crate) reads: Reads,
    /// The shortest time between two computations of a partition: the dial between freshness and
    /// cost.
    pub every_seconds: u32,
    /// The warehouse table that shows it, as `schema.table`. The schema is the folder of the file.
    /// Models of the folder `intermediate` have none.
    pub warehouse: Option<String>,
    /// How people are notified of a new row.
    pub alert: Option<Alert>,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// Descriptions of its columns, by name.
    pub descriptions: BTreeMap<String, Description>,
    /// The queries that must return no row.
    pub checks: Vec<Check>,
    pub(crate) query: Query,
    /// The datasets and models whose objects are read: those that the inputs name, and what decides
    /// which of their rows count. Each with how its partitions correspond to those of the model.
    pub(crate) objects: BTreeMap<String, Correspondence>,
    /// Those of which its own partition has to have an object to be computed for the first time.
    pub(crate) first: BTreeSet<String>,
}

/// Which partitions of its inputs a model reads, as its header says.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    /// The days of inputs by time, and of those that are read by column.
    pub(crate) window: Window,
    /// The inputs of which a column names the day of a row, with that column.
    pub(crate) by_column: BTreeMap<String, String>,
    /// The inputs that are read whole.
    pub(crate) all: Vec<String>,
}

/// A query over the new rows of a model, and other inputs, that returns the invalid rows.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What happens when it returns rows.
    pub severity: Severity,
    /// Tables that it reads besides the model itself.
    pub inputs: Vec<String>,
    /// What holds for every row.
    pub description: String,
    /// The file of a check in `checks/`; none for a check of the model's header.
    pub(crate) file: Option<String>,
    pub(crate) query: Query,
}

/// The folders of one input that a partition of a model reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRange {
    /// The input, such as `silver.pos_sales`.
    pub input: String,
    /// The folders.
    pub folders: FolderRange,
}

impl Model {
    /// Returns the tables that the model and its checks name, sorted.
    pub(crate) fn named_inputs(&self) -> BTreeSet<&str> {
        let checks = self.checks.iter().flat_map(|check| &check.inputs);
        self.inputs.iter().chain(checks).map(String::as_str).collect()
    }

    /// Returns the names of the reference tables that the model and its checks read.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.named_inputs().into_iter().filter(|input| is_reference(input)).map(short_name)
    }

    /// Returns the kind of its partitions.
    pub fn kind(&self) -> PartitionKind {
        self.partitioning.kind()
    }

    /// Returns whether it reads an input by column. Its inputs then do not say which of its days
    /// have rows.
    pub fn reads_by_column(&self) -> bool {
        self.objects.values().any(|read| matches!(read, Correspondence::ByColumn { .. }))
    }

    /// Returns the key of the object that holds `partition`.
    pub fn output_key(&self, partition: Partition) -> String {
        keys::gold(&self.name, &self.partition, partition)
    }
}

/// All models. Every input exists, and no model depends on itself.
#[derive(Clone, Debug)]
pub struct Models {
    models: BTreeMap<String, Model>,
    pub(crate) datasets: BTreeMap<String, Dataset>,
    references: References,
    /// Columns of datasets that hold personal data. Models keep their names.
    pub(crate) personal: BTreeSet<String>,
    /// The names of the models, each after the models that it reads.
    order: Vec<String>,
    /// The views of the marts, in the order of their names.
    views: Vec<MartView>,
}

impl Models {
    /// Reads the models and views (`<mart>/*.sql`), `checks/*.sql` and `reference/*.csv` below
    /// `directory`.
    ///
    /// # Errors
    /// When a file is not valid.
    pub fn load(directory: &Path, contracts: &Contracts) -> Result<Self, DefinitionError> {
        let files = files(directory)
            .map_err(|error| DefinitionError::new("", Reason::Unreadable(error.to_string())))?;
        let mut sources = Vec::new();
        for file in files {
            let path = file.strip_prefix(directory).unwrap_or(&file);
            let name = path.to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(&file).map_err(|error| {
                DefinitionError::new(&name, Reason::Unreadable(error.to_string()))
            })?;
            sources.push((name, text));
        }
        Self::from_sources(
            contracts,
            sources.iter().map(|(name, text)| (name.as_str(), text.as_str())),
        )
    }

    /// Reads files given as pairs of path (such as `sales/total_sales.sql`) and text.
    pub fn from_sources<'a>(
        contracts: &Contracts,
        sources: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, DefinitionError> {
        let (views, sources): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|(file, text)| view::is_view(file, text));
        let mut datasets = dataset::all(contracts);
        let Definitions { models, references, order } = definition::read(&mut datasets, sources)?;
        let personal =
            contracts.iter().flat_map(|contract| contract.personal.iter().cloned()).collect();
        let models = Self { models, datasets, references, personal, order, views: Vec::new() };
        Ok(Self { views: view::read(&models, views)?, ..models })
    }

    /// Returns the model called `name`.
    pub fn get(&self, name: &str) -> Option<&Model> {
        self.models.get(name)
    }

    /// Returns all models, each after the models that it reads.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.order.iter().filter_map(|name| self.models.get(name))
    }

    /// Returns the views of the marts, in the order of their names.
    pub fn views(&self) -> &[MartView] {
        &self.views
    }

    /// Returns the reference table called `name`, with its packaged rows.
    pub fn reference(&self, name: &str) -> Option<&ReferenceTable> {
        self.references.get(name)
    }

    /// Returns all reference tables, with their packaged rows.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Returns the models that read the reference table called `name`, or have a check that does.
    pub fn readers_of_reference(&self, name: &str) -> impl Iterator<Item = &Model> {
        self.iter().filter(move |model| model.references().any(|read| read == name))
    }

    /// Returns what programs without the planner need to know of the models.
    pub fn index(&self) -> ModelIndex {
        let input = |(name, correspondence): (&String, &Correspondence)| IndexedInput {
            name: name.clone(),
            kind: self.kind_of(name),
            correspondence: correspondence.clone(),
        };
        let model = |model: &Model| IndexedModel {
            name: model.name.clone(),
            partition: model.partition.clone(),
            kind: model.kind(),
            inputs: model.objects.iter().map(input).collect(),
            first: model.first.iter().cloned().collect(),
            every_seconds: model.every_seconds,
            key: model.key.clone(),
            warehouse: model.warehouse.clone(),
            checks: model
                .job_checks()
                .iter()
                .map(CheckRun::from)
                .chain([CheckRun::computes(&model.name)])
                .collect(),
            references: model.references().map(str::to_owned).collect(),
            grain: model.grain.clone(),
            columns: model.descriptions.clone(),
        };
        ModelIndex {
            models: self.iter().map(model).collect(),
            views: self.views.iter().map(IndexedView::from).collect(),
            references: self.references().clone(),
        }
    }

    /// Returns the partitions that become dirty when `partition` of the dataset or model `name`
    /// changes, each once, in the order of the models.
    ///
    /// `name` has no prefix, as in keys: `pos_sales`.
    pub fn dirtied_by(&self, name: &str, partition: Partition) -> Vec<(String, Partition)> {
        self.readers(name)
            .flat_map(|(model, input, correspondence)| {
                let dirtied =
                    correspondence.dirtied_by(partition, self.kind_of(input), model.kind());
                dirtied.into_iter().map(|dirtied| (model.name.clone(), dirtied))
            })
            .collect()
    }

    /// Returns the folders of the inputs of `partition`.
    pub fn input_ranges(&self, model: &Model, partition: Partition) -> Vec<InputRange> {
        let read = model.objects.iter();
        read.flat_map(|(input, correspondence)| self.ranges(input, correspondence, partition))
            .collect()
    }

    /// Returns the folders to list to know whether `partition` is empty: see [`Models::plan`].
    pub fn own_partition_ranges(&self, model: &Model, partition: Partition) -> Vec<InputRange> {
        let own = model.first.iter().filter_map(|input| model.objects.get_key_value(input));
        own.flat_map(|(input, correspondence)| self.ranges(input, &correspondence.own(), partition))
            .collect()
    }

    fn ranges(
        &self,
        input: &str,
        correspondence: &Correspondence,
        partition: Partition,
    ) -> Vec<InputRange> {
        let folders = |(first, last): (Partition, Partition)| match self.by_reference(input) {
            Some(upstream) => keys::gold_folders(&upstream.name, &upstream.partition, first, last),
            None => keys::silver_folders(short_name(input), first, last),
        };
        let ranges = correspondence.read_by(partition, self.kind_of(input)).into_iter();
        ranges
            .map(|range| InputRange { input: input.to_owned(), folders: folders(range) })
            .collect()
    }

    /// Returns how the dataset or model that queries name `reference` is partitioned.
    fn kind_of(&self, reference: &str) -> PartitionKind {
        let of_model = self.by_reference(reference).map(Model::kind);
        let of_dataset = || self.dataset(reference).map(|dataset| dataset.kind);
        of_model.or_else(of_dataset).unwrap_or(PartitionKind::Day)
    }

    /// Returns the models that read the objects of the dataset or model `name`, or have a check
    /// that does, with its name in queries and the correspondence.
    fn readers<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a Model, &'a str, &'a Correspondence)> {
        self.iter().filter_map(move |model| {
            let mut objects = model.objects.iter();
            let (input, read) = objects.find(|(input, _)| short_name(input) == name)?;
            Some((model, input.as_str(), read))
        })
    }

    /// Returns the models that read the model `name`, or have a check that does.
    pub(crate) fn downstream(&self, name: &str) -> Vec<Downstream> {
        let downstream = |(model, _, correspondence): (&Model, &str, &Correspondence)| Downstream {
            model: model.name.clone(),
            kind: model.kind(),
            correspondence: correspondence.clone(),
        };
        self.readers(name).map(downstream).collect()
    }

    /// Returns the model that queries name `reference`; `None` if it is a dataset.
    pub(crate) fn by_reference(&self, reference: &str) -> Option<&Model> {
        self.models.get(short_name(reference)).filter(|model| model.reference == reference)
    }

    /// Returns the dataset that queries name `reference`.
    pub(crate) fn dataset(&self, reference: &str) -> Option<&Dataset> {
        self.datasets.get(reference)
    }
}

/// Returns `pos_sales` for `silver.pos_sales`.
pub(crate) fn short_name(reference: &str) -> &str {
    reference.split_once('.').map_or(reference, |(_, name)| name)
}

/// Folders that hold neither models, nor checks, nor reference tables.
const OTHER_FOLDERS: [&str; 2] = ["spark", "warehouse"];

/// Returns the definition files in the folders of `directory`, sorted.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(directory)? {
        let folder = folder?.path();
        let other = OTHER_FOLDERS.iter().any(|name| folder.ends_with(name));
        if other || !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "sql" || extension == "csv") {
                files.push(file);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use chrono::{Days, NaiveDate};
    use proptest::prelude::*;

    use shoplake_jobs::Hour;

    use super::*;
    use crate::testing::{
        ALL_SALES, BY_DAY, REFERENCE, bucketed, check, day, hourly, model, models, world,
    };

    #[test]
    fn models_come_after_what_they_read() {
        let names: Vec<_> = world().iter().map(|model| model.name.clone()).collect();
        assert_eq!(names, ["daily", "weekly"]);
    }

    #[test]
    fn a_change_makes_the_days_that_read_it_dirty() {
        let dirtied = |name: &str| -> Vec<String> {
            let dirtied = world().dirtied_by(name, day("2010-12-10"));
            dirtied.into_iter().map(|(model, day)| format!("{model} {day}")).collect()
        };
        assert_eq!(dirtied("sales"), ["daily 2010-12-09", "daily 2010-12-10"]);
        assert_eq!(dirtied("clicks"), dirtied("sales"), "a check's input dirties like a model's");
        assert_eq!(dirtied("daily").len(), 7);
        assert_eq!(dirtied("daily").last().map(String::as_str), Some("weekly 2010-12-16"));
        assert!(dirtied("weekly").is_empty() && dirtied("unknown").is_empty());
    }

    /// Returns the folders of the inputs of a partition, as texts.
    fn folders(models: &Models, name: &str, partition: &str) -> Vec<String> {
        let model = models.get(name).unwrap();
        let partition = partition.parse().unwrap();
        for own in models.own_partition_ranges(model, partition) {
            assert!(models.input_ranges(model, partition).iter().any(|range| {
                let FolderRange { prefix, first, last } = &range.folders;
                let own = &own.folders;
                *prefix == own.prefix && *first <= own.first && own.last <= *last
            }));
        }
        let ranges = models.input_ranges(model, partition).into_iter();
        ranges
            .map(|InputRange { folders: FolderRange { prefix, first, last }, .. }| {
                format!("{prefix}{first} to {last}")
            })
            .collect()
    }

    #[test]
    fn the_ranges_hold_every_object_of_the_window() {
        let models = world();
        assert_eq!(
            folders(&models, "daily", "2010-12-31"),
            [
                "silver/clicks/dt=2010-12-31 to 2011-01-01",
                "silver/sales/dt=2010-12-31 to 2011-01-01",
            ]
        );
        assert_eq!(
            folders(&models, "weekly", "2010-12-31"),
            ["gold/daily/day=2010-12-25 to 2010-12-31"]
        );
    }

    #[test]
    fn hours_buckets_and_days_over_both_correspond() {
        let models = models(&[
            ("sales/hourly.sql", hourly()),
            ("sales/orders_clean.sql", bucketed(&["silver.orders", "silver.sales"], ALL_SALES)),
            ("sales/again.sql", bucketed(&["gold.orders_clean"], "")),
            ("sales/days.sql", model(&["gold.hourly", "gold.orders_clean"], BY_DAY)),
        ]);
        assert_eq!(
            folders(&models, "hourly", "2010-12-31T09"),
            ["silver/taps/dt=2010-12-31/hour=09 to 09"]
        );
        assert_eq!(
            folders(&models, "orders_clean", "0007"),
            ["silver/orders/bucket=0007 to 0007", "silver/sales/dt=0000-01-01 to 9999-12-31"]
        );
        assert_eq!(folders(&models, "again", "0007"), ["gold/orders_clean/bucket=0007 to 0007"]);
        assert_eq!(
            folders(&models, "days", "2010-12-31"),
            [
                "gold/hourly/at=2010-12-31T00 to 2010-12-31T23",
                "gold/orders_clean/bucket=0000 to 0015",
            ]
        );
        let dirtied = |name: &str, partition: &str| -> Vec<String> {
            let dirtied = models.dirtied_by(name, partition.parse().unwrap()).into_iter();
            dirtied.map(|(model, partition)| format!("{model} {partition}")).collect()
        };
        assert_eq!(dirtied("taps", "2010-12-31T09"), ["hourly 2010-12-31T09"]);
        assert_eq!(dirtied("hourly", "2010-12-31T09"), ["days 2010-12-31"]);
        assert_eq!(dirtied("orders", "0007"), ["orders_clean 0007"]);
        assert_eq!(
            dirtied("orders_clean", "0007"),
            ["again 0007"],
            "the days follow from the rows"
        );
        assert_eq!(dirtied("sales", "2010-12-31").len(), 16);
    }

    #[test]
    fn a_reference_table_has_readers_and_is_not_listed() {
        let models = models(&[
            ("reference/weights.csv", REFERENCE.to_owned()),
            ("sales/a.sql", model(&["silver.sales", "reference.weights"], "")),
            ("sales/b.sql", model(&["silver.sales"], "")),
            ("checks/c.sql", check("b", &["reference.weights"])),
            ("sales/d.sql", model(&["gold.a"], "")),
        ]);
        let readers: Vec<_> =
            models.readers_of_reference("weights").map(|model| model.name.as_str()).collect();
        assert_eq!(readers, ["a", "b"]);
        assert_eq!(models.readers_of_reference("wages").count(), 0);
        let listed = models.input_ranges(models.get("a").unwrap(), day("2010-12-31"));
        assert_eq!(
            listed.iter().map(|range| range.input.as_str()).collect::<Vec<_>>(),
            ["silver.sales"]
        );
        assert_eq!(models.reference("weights").unwrap().row_count(), 1);
    }

    proptest! {
        /// A new object of X makes D dirty exactly if the job of D lists it.
        #[test]
        fn an_object_dirties_the_partitions_that_list_it(
            lookback in 0_u16..40, lookahead in 0_u16..40,
            hour in 0_u8..24, changed in 0_u64..20_000, distance in 0_u64..100,
            bucket in 0_u32..16, other in 0_u32..16,
        ) {
            let header = format!("-- lookback_days = {lookback}\n-- lookahead_days = {lookahead}");
            let models = models(&[
                ("sales/daily.sql", model(&["silver.sales"], &header)),
                ("sales/clicked.sql", model(&["silver.clicks"], &header)),
                ("sales/hourly.sql", hourly()),
                ("sales/orders_clean.sql", bucketed(&["silver.orders", "silver.sales"], ALL_SALES)),
            ]);
            let changed = NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() + Days::new(changed);
            let day = changed + Days::new(distance) - Days::new(50);
            let hour_of = |day| Hour::new(day, hour).unwrap().into();
            let objects = [
                ("sales", Partition::Day(changed)),
                ("clicks", hour_of(changed)),
                ("taps", hour_of(changed)),
                ("orders", Partition::Bucket(bucket)),
            ];
            let partitions = [
                ("daily", Partition::Day(day)),
                ("clicked", Partition::Day(day)),
                ("hourly", hour_of(day)),
                ("hourly", hour_of(changed)),
                ("orders_clean", Partition::Bucket(bucket)),
                ("orders_clean", Partition::Bucket(other)),
            ];
            for (dataset, changed) in objects {
                let key = keys::silver(dataset, changed, "x");
                let dirtied = models.dirtied_by(dataset, changed);
                for (name, partition) in partitions {
                    let ranges = models.input_ranges(models.get(name).unwrap(), partition);
                    let is_listed = ranges.iter().any(|range| range.folders.contains(&key));
                    let is_dirty = dirtied.contains(&(name.to_owned(), partition));
                    prop_assert_eq!(is_listed, is_dirty, "{} {}: {}", name, partition, key);
                }
            }
        }
    }
}
