//! The parts of a contract that models use.

use std::collections::{BTreeMap, BTreeSet};

use shoplake_contracts::{Contract, Contracts, Parent};
use shoplake_jobs::{PartitionKind, TableColumn, View};

use crate::render::{self, Deduplication, Within, objects_name, view_name};

/// Columns with the time and the envelope in which a row arrived. They decide between rows that are
/// otherwise equal.
const RECEIVED_AT: &str = "_received_at";
const ENVELOPE_ID: &str = "_envelope_id";

const CONTROL_TOTALS: &str = Contracts::CONTROL_TOTALS;
const QUARANTINED: &str = "quarantined";

/// The runs of all batches, as queries name them: see [`render::batch_runs`].
pub(crate) const BATCH_RUNS: &str = "silver.batch_runs";

/// A dataset, as models read it.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// The columns of its objects; none for [`BATCH_RUNS`], which has no objects of its own.
    pub(crate) columns: Option<Vec<TableColumn>>,
    /// The views over its objects. The last one is the dataset: each row once.
    pub(crate) views: Vec<View>,
    /// The datasets whose views these views read.
    pub(crate) parents: Vec<String>,
    /// The further datasets whose objects these views read.
    pub(crate) objects: Vec<String>,
    /// The datasets of which a day has to have an object to be computed for the first time.
    pub(crate) first: Vec<String>,
    /// Whether its batches are snapshots, so that it has runs.
    pub(crate) has_batches: bool,
    /// Its key.
    pub(crate) key: Vec<String>,
    /// The column whose day is the place of a row, if a correction may move the row to another day
    /// without its key.
    pub(crate) movable: Option<String>,
    /// What finds the rows that were moved, if a model does.
    pub(crate) moved: Option<MovedRows>,
    /// How its objects are partitioned.
    pub(crate) kind: PartitionKind,
    /// How many days more are read on either side, for copies of the rows of a day.
    pub(crate) copies_within_days: u16,
}

/// The model with the rows of a dataset that do not count, because a row of another day counts in
/// their place: the key of each and its day.
#[derive(Clone, Debug)]
pub(crate) struct MovedRows {
    /// The model, as queries name it.
    pub(crate) model: String,
    /// Its column with the day.
    pub(crate) day: String,
    /// The model and all models that it reads, as queries name them. They read all rows.
    pub(crate) finders: BTreeSet<String>,
}

impl Dataset {
    /// Returns what finds the moved rows, unless the model `reader` is one of those that find them.
    pub(crate) fn moved_for(&self, reader: &str) -> Option<&MovedRows> {
        self.moved.as_ref().filter(|moved| !moved.finders.contains(reader))
    }

    /// Returns the views that the model `reader` reads. The last one is the dataset, without the
    /// rows that were moved.
    pub(crate) fn views_for(&self, reader: &str) -> Vec<View> {
        let moved = self.moved_for(reader).zip(self.movable.as_deref());
        let Some(((moved, place), (dataset, views))) = moved.zip(self.views.split_last()) else {
            return self.views.clone();
        };
        let versions = format!("{}__versions", dataset.name);
        let sql = render::without_moved(&render::Moved {
            table: &versions,
            columns: self.columns.as_deref().map(names).unwrap_or_default(),
            key: &self.key,
            place,
            moved: &view_name(&moved.model),
            day: &moved.day,
        });
        let mut views = views.to_vec();
        views.push(View { name: versions, ..dataset.clone() });
        views.push(View { sql, ..dataset.clone() });
        views
    }
}

/// Returns all datasets, by their name in queries: `silver.<dataset>`.
pub(crate) fn all(contracts: &Contracts) -> BTreeMap<String, Dataset> {
    let mut datasets: BTreeMap<_, _> = contracts
        .iter()
        .map(|contract| (reference(&contract.dataset), dataset(contracts, contract)))
        .collect();
    if let Some(runs) = batch_runs(&datasets) {
        datasets.insert(BATCH_RUNS.to_owned(), runs);
    }
    datasets
}

/// Returns every dataset and model whose objects the model `reader` reads for `input`, sorted.
pub(crate) fn objects_of(
    datasets: &BTreeMap<String, Dataset>,
    input: &str,
    reader: &str,
) -> BTreeSet<String> {
    let Some(dataset) = datasets.get(input) else { return BTreeSet::new() };
    let mut objects: BTreeSet<_> = dataset.objects.iter().cloned().collect();
    objects.extend(dataset.columns.is_some().then(|| input.to_owned()));
    objects.extend(dataset.moved_for(reader).map(|moved| moved.model.clone()));
    for parent in &dataset.parents {
        objects.extend(objects_of(datasets, parent, reader));
    }
    objects
}

fn reference(dataset: &str) -> String {
    format!("silver.{dataset}")
}

/// Returns the dataset of all runs; none if the batches of no dataset are snapshots.
fn batch_runs(datasets: &BTreeMap<String, Dataset>) -> Option<Dataset> {
    let with_runs: Vec<_> = datasets.iter().filter(|(_, dataset)| dataset.has_batches).collect();
    if with_runs.is_empty() {
        return None;
    }
    // Which rows count does not matter here, so the views that say so are left out.
    let mut views: Vec<View> = Vec::new();
    let mut objects = BTreeSet::new();
    for (reference, dataset) in &with_runs {
        let runs = render::runs_name(reference);
        let end =
            dataset.views.iter().position(|view| view.name == runs).map_or(0, |last| last + 1);
        views.extend(dataset.views[..end].iter().cloned());
        objects.extend(objects_of(datasets, reference, BATCH_RUNS));
    }
    let sql = render::batch_runs(with_runs.iter().map(|(reference, _)| reference.as_str()));
    views.push(View { name: view_name(BATCH_RUNS), sql, stored: false });
    Some(Dataset {
        columns: None,
        views,
        parents: Vec::new(),
        objects: objects.into_iter().collect(),
        first: vec![reference(CONTROL_TOTALS)],
        has_batches: false,
        key: Vec::new(),
        movable: None,
        moved: None,
        kind: PartitionKind::Day,
        copies_within_days: 0,
    })
}

fn dataset(contracts: &Contracts, contract: &Contract) -> Dataset {
    let columns: Vec<_> = contract
        .columns
        .iter()
        .map(|column| TableColumn {
            name: column.name.clone(),
            column_type: column.column_type,
            nullable: column.nullable,
        })
        .collect();
    let name = reference(&contract.dataset);
    // No run is known to be complete without the control totals and the quarantine.
    let totals = contracts.get(CONTROL_TOTALS).zip(contracts.get(QUARANTINED));
    let batches =
        contract.batch.as_ref().zip(contract.complete.as_ref()).filter(|_| totals.is_some());
    // A parent that is not among the contracts says nothing about its rows.
    let parent =
        contract.belongs_to.as_ref().filter(|parent| contracts.get(&parent.dataset).is_some());

    let mut views = Vec::new();
    let mut objects = Vec::new();
    let mut table = generation_view(contract, &mut views);
    let key: Vec<_> = contract.key.iter().map(String::as_str).collect();
    // A row is identified by its key within its batch, or within its day if copies on other days
    // are other rows: then all models agree, however many days they read. A key with that column
    // needs neither. DataFusion confuses a time with its day where rows are grouped by both.
    let place = match &contract.batch {
        Some(batch) => Some(Within::Batch(batch)),
        None if contract.copies_within_days == Some(0) => {
            Some(Within::Day(contract.partition.column()))
        }
        None => None,
    };
    let place = place.filter(|_| !key.contains(&contract.partition.column()));
    if let (Some((batch, complete)), Some((control_totals, quarantined))) = (batches, totals) {
        let control_totals = generation_view(control_totals, &mut views);
        let view = |part: &str| format!("{}__{part}", view_name(&name));
        let landed = view("landed");
        let rows_of_runs = Deduplication {
            table: &table,
            columns: names(&columns),
            precedence: precedence(contract),
            key: key.clone(),
            within: place.into_iter().chain([Within::Run]).collect(),
        };
        views.push(View { name: landed.clone(), sql: rows_of_runs.sql(), stored: false });
        let (runs, newest, current) = (render::runs_name(&name), view("newest"), view("current"));
        let lines = objects_name(&reference(&quarantined.dataset));
        let snapshots = render::Snapshots {
            dataset: &contract.dataset,
            table: &table,
            landed: &landed,
            control_totals: &control_totals,
            quarantined: &lines,
            columns: names(&columns),
            batch,
            complete,
            runs: &runs,
            newest: &newest,
        };
        let stored = [(&runs, snapshots.runs()), (&newest, snapshots.newest())];
        views.extend(stored.map(|(name, sql)| View { name: name.clone(), sql, stored: true }));
        views.push(View { name: current.clone(), sql: snapshots.current(), stored: false });
        table = current;
        objects.extend([CONTROL_TOTALS, QUARANTINED].map(reference));
    }
    let deduplication = Deduplication {
        table: &table,
        columns: names(&columns),
        precedence: precedence(contract),
        within: place.into_iter().collect(),
        key,
    };
    let distinct = match parent {
        Some(_) => format!("{}__distinct", view_name(&name)),
        None => view_name(&name),
    };
    views.push(View { name: distinct.clone(), sql: deduplication.sql(), stored: false });
    if let Some(parent) = parent {
        let sql = of_parent(parent, &distinct, &columns);
        views.push(View { name: view_name(&name), sql, stored: false });
    }
    Dataset {
        views,
        parents: parent.iter().map(|parent| reference(&parent.dataset)).collect(),
        objects,
        first: vec![name],
        has_batches: batches.is_some(),
        key: contract.key.clone(),
        movable: (contract.copies_within_days == Some(0))
            .then(|| contract.partition.column().to_owned()),
        moved: None,
        kind: contract.partition.kind(),
        copies_within_days: contract.copies_within_days.unwrap_or(0),
        columns: Some(columns),
    }
}

fn names(columns: &[TableColumn]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

/// Returns the columns that decide between rows with one key, the most important one first. All
/// other columns follow in the order of the contract, so that rows in any order give the same row.
///
/// A row and the rows of its arrays have these columns in common, so the rows that count are of one
/// version. The run is among them: two runs may deliver a row at the same instant.
fn precedence(contract: &Contract) -> Vec<&str> {
    let [_, run] = Contract::DELIVERY;
    let mut columns: Vec<&str> = Vec::new();
    let order = contract.version.as_deref().into_iter().chain([
        Contract::TRIGGERED_AT,
        Contract::GENERATION,
        run,
        RECEIVED_AT,
        ENVELOPE_ID,
    ]);
    for column in order {
        if contract.position(column).is_some() && !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// Adds the view of the rows that no later generation of the decoder has read again. Returns its
/// name, or that of the objects where there is only one generation.
fn generation_view(contract: &Contract, views: &mut Vec<View>) -> String {
    let name = reference(&contract.dataset);
    let objects = objects_name(&name);
    if contract.generation == 1 {
        return objects;
    }
    let view = format!("{}__latest", view_name(&name));
    let columns = contract.columns.iter().map(|column| column.name.as_str());
    let [_, run] = Contract::DELIVERY;
    let has_runs = contract.position(run).is_some();
    let sql = render::latest_generation(&objects, columns, has_runs);
    views.push(View { name: view.clone(), sql, stored: false });
    view
}

/// Returns the query for the rows that count with their parent's newest version.
fn of_parent(parent: &Parent, table: &str, columns: &[TableColumn]) -> String {
    let (columns, parents) = (names(columns), view_name(&reference(&parent.dataset)));
    match &parent.version {
        Some(version) => render::of_parent(table, &columns, &parents, &parent.key, version),
        None => render::of_array(table, &columns, &parents, &parent.key),
    }
}
