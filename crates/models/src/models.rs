//! The models and checks below `glue-sql/`, and how they depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use shoplake_contracts::Contracts;
use shoplake_index::{
    Description, IndexedModel, IndexedView, ModelIndex, ReferenceTable, References,
};
use shoplake_jobs::{Alert, CheckRun, Downstream, Partition, Severity};
use shoplake_lake::keys;

use crate::dataset::{self, Dataset};
use crate::definition::{self, DefinitionError, Definitions, Reason, is_reference};
use crate::query::Query;
use crate::view::{self, MartView};

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
    /// Tables that it reads: `silver.<dataset>`, `gold.<model>` or `reference.<table>`.
    pub inputs: Vec<String>,
    /// The dataset whose moved rows it finds. It or a model before it reads that dataset. Other
    /// models read it without these rows.
    pub(crate) moved_rows_of: Option<String>,
    /// Its partition D reads the input days from D - lookback_days ...
    pub lookback_days: u16,
    /// ... to D + lookahead_days.
    pub lookahead_days: u16,
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
    /// which of their rows count.
    pub(crate) objects: BTreeSet<String>,
    /// Those of which a day has to have an object to be computed for the first time.
    pub(crate) first: BTreeSet<String>,
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

/// The folders that a partition of a model reads of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPrefix {
    /// The input, such as `silver.pos_sales`.
    pub input: String,
    /// The prefixes to list.
    pub prefixes: Vec<String>,
}

/// The folders that a partition of a model reads of one input, as one range for
/// [`Store::list_range`](shoplake_lake::Store::list_range).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRange {
    /// The input, such as `silver.pos_sales`.
    pub input: String,
    /// The part of every key before the day, such as `silver/pos_sales/dt=`.
    pub prefix: String,
    /// The first day.
    pub first: Partition,
    /// The last day.
    pub last: Partition,
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

    /// Returns the datasets and models whose objects the model and its checks read.
    fn day_inputs(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().map(String::as_str)
    }

    /// Returns the days of the inputs that `partition` is computed from. A dataset whose rows have
    /// copies on other days is read for further days: see
    /// [`Contract::copies_within_days`](shoplake_contracts::Contract::copies_within_days).
    pub fn input_partitions(&self, partition: Partition) -> impl Iterator<Item = Partition> {
        partition.window(self.lookback_days, self.lookahead_days)
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
        let window = |model: &Model| {
            let windows = model.day_inputs().map(|input| self.window(model, input));
            windows
                .fold((0, 0), |(before, after), (one, other)| (before.max(one), after.max(other)))
        };
        let model = |model: &Model| IndexedModel {
            name: model.name.clone(),
            partition: model.partition.clone(),
            inputs: model.day_inputs().map(str::to_owned).collect(),
            first: model.first.iter().cloned().collect(),
            lookback_days: window(model).0,
            lookahead_days: window(model).1,
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
        self.downstream(name)
            .iter()
            .flat_map(|downstream| {
                downstream.dirtied_by(partition).map(|dirtied| (downstream.model.clone(), dirtied))
            })
            .collect()
    }

    /// Returns the folders of the inputs of `partition`, day by day.
    pub fn input_prefixes(&self, model: &Model, partition: Partition) -> Vec<InputPrefix> {
        let prefixes = |input: &str| -> Vec<String> {
            let (before, after) = self.window(model, input);
            partition.window(before, after).map(|day| self.day_prefix(input, day)).collect()
        };
        model
            .day_inputs()
            .map(|input| InputPrefix { input: input.to_owned(), prefixes: prefixes(input) })
            .collect()
    }

    /// Returns the folders of the inputs of `partition`: those of [`Models::input_prefixes`], as
    /// one range for each input.
    pub fn input_ranges(&self, model: &Model, partition: Partition) -> Vec<InputRange> {
        let range = |input: &str| {
            let (before, after) = self.window(model, input);
            self.range(input, partition.window_ends(before, after))
        };
        model.day_inputs().map(range).collect()
    }

    /// Returns the ranges to list to know whether `partition` is empty: see [`Models::plan`].
    pub fn own_partition_ranges(&self, model: &Model, partition: Partition) -> Vec<InputRange> {
        model.first.iter().map(|input| self.range(input, (partition, partition))).collect()
    }

    fn range(&self, input: &str, (first, last): (Partition, Partition)) -> InputRange {
        InputRange { input: input.to_owned(), prefix: self.days_prefix(input), first, last }
    }

    /// Returns how many days of `input` a partition of the model reads before and after its own.
    fn window(&self, model: &Model, input: &str) -> (u16, u16) {
        let copies = self.dataset(input).map_or(0, |dataset| dataset.copies_within_days);
        (model.lookback_days.saturating_add(copies), model.lookahead_days.saturating_add(copies))
    }

    /// Whether `key` belongs to `day` of `input`.
    pub(crate) fn is_in_day(&self, input: &str, day: Partition, key: &str) -> bool {
        key.starts_with(&self.day_prefix(input, day))
    }

    /// Returns the prefix of the keys of one day of `input`.
    fn day_prefix(&self, input: &str, day: Partition) -> String {
        format!("{}{day}/", self.days_prefix(input))
    }

    /// Returns the part of the keys of `input` before the day.
    fn days_prefix(&self, input: &str) -> String {
        match self.by_reference(input) {
            Some(upstream) => keys::gold_values(&upstream.name, &upstream.partition),
            None => keys::silver_days(short_name(input)),
        }
    }

    /// Returns the models that read the dataset or model `name`, or have a check that does.
    pub(crate) fn downstream(&self, name: &str) -> Vec<Downstream> {
        let of_model = |model: &Model| {
            let input = model.day_inputs().find(|input| short_name(input) == name)?;
            let (lookback_days, lookahead_days) = self.window(model, input);
            Some(Downstream {
                model: model.name.clone(),
                // Models are partitioned by day, and read each other day by day.
                column: self
                    .models
                    .get(name)
                    .map_or_else(String::new, |upstream| upstream.partition.clone()),
                lookback_days,
                lookahead_days,
            })
        };
        self.iter().filter_map(of_model).collect()
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

    use super::*;
    use crate::testing::{REFERENCE, check, day, model, models, world};

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

    #[test]
    fn the_prefixes_hold_every_object_of_the_window() {
        let models = world();
        let prefixes =
            |name: &str| models.input_prefixes(models.get(name).unwrap(), day("2010-12-31"));
        assert_eq!(
            prefixes("daily"),
            [
                InputPrefix {
                    input: "silver.clicks".into(),
                    prefixes: vec![
                        "silver/clicks/dt=2010-12-31/".into(),
                        "silver/clicks/dt=2011-01-01/".into()
                    ],
                },
                InputPrefix {
                    input: "silver.sales".into(),
                    prefixes: vec![
                        "silver/sales/dt=2010-12-31/".into(),
                        "silver/sales/dt=2011-01-01/".into()
                    ],
                },
            ]
        );
        let weekly = prefixes("weekly");
        assert_eq!(weekly[0].prefixes.len(), 7);
        assert_eq!(weekly[0].prefixes[0], "gold/daily/day=2010-12-25/");
    }

    #[test]
    fn the_ranges_begin_and_end_where_the_prefixes_do() {
        let models = world();
        for name in ["daily", "weekly"] {
            let (model, partition) = (models.get(name).unwrap(), day("2010-12-31"));
            let prefixes = models.input_prefixes(model, partition);
            let ends: Vec<_> = models
                .input_ranges(model, partition)
                .into_iter()
                .map(|range| {
                    [range.first, range.last]
                        .map(|day| format!("{} {}{day}/", range.input, range.prefix))
                })
                .collect();
            let expected: Vec<_> = prefixes
                .iter()
                .map(|listed| {
                    [listed.prefixes.first(), listed.prefixes.last()]
                        .map(|prefix| format!("{} {}", listed.input, prefix.unwrap()))
                })
                .collect();
            assert_eq!(ends, expected);
            for own in models.own_partition_ranges(model, partition) {
                assert_eq!((own.first, own.last), (partition, partition));
            }
        }
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
        /// A change of X makes D dirty exactly if D is computed from X.
        #[test]
        fn dirtied_by_is_the_inverse_of_input_partitions(
            lookback in 0_u16..40, lookahead in 0_u16..40,
            changed in 0_u64..20_000, distance in 0_u64..100,
        ) {
            let header = format!("-- lookback_days = {lookback}\n-- lookahead_days = {lookahead}");
            let models = models(&[("sales/daily.sql", model(&["silver.sales"], &header))]);
            let daily = models.get("daily").unwrap();
            let start = NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() + Days::new(changed);
            let changed = Partition::Day(start);
            let dirtied = models.dirtied_by("sales", changed);
            let partition = Partition::Day(start + Days::new(distance) - Days::new(50));

            let reads = daily.input_partitions(partition).any(|input| input == changed);
            let is_dirty = dirtied.contains(&("daily".to_owned(), partition));
            prop_assert_eq!(reads, is_dirty);
        }
    }
}
