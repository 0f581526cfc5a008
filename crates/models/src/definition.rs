//! Reads SQL files: first each model and check by itself, then how they fit together.

use std::collections::{BTreeMap, BTreeSet};

use shoplake_contracts::Partitioning;
use shoplake_index::{Description, ReferenceError, References};
use shoplake_jobs::{CheckRun, Correspondence, PartitionKind, Window};

use crate::dataset::{self, Dataset, MovedRows};
use crate::header::{self, CheckHeader, ModelHeader};
use crate::models::{BUCKET, Check, Model, Reads, short_name};
use crate::query::{Query, QueryError};
use crate::reference;

/// An invalid file below `glue-sql/`.
#[derive(Debug, thiserror::Error)]
#[error("glue-sql/{file}: {reason}")]
pub struct DefinitionError {
    /// The file, such as `sales/total_sales.sql`.
    pub file: String,
    /// Why it is invalid.
    pub reason: Reason,
}

impl DefinitionError {
    pub(crate) fn new(file: &str, reason: impl Into<Reason>) -> Self {
        Self { file: file.to_owned(), reason: reason.into() }
    }
}

/// Why a file is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is neither a model, nor a check, nor a reference table.
    #[error(
        "expected <mart>/<name>.sql, checks/<name>.sql or reference/<name>.csv, with names of a-z, \
         0-9 and _, and a mart that is not called bronze, silver or gold"
    )]
    Path,
    /// Its header is not valid.
    #[error("invalid header (TOML in the leading `--` lines): {0}")]
    Header(#[from] toml::de::Error),
    /// Its query is not valid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// It is not a valid reference table.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The header of a reference table is not valid.
    #[error("invalid header (TOML in the leading `#` lines): {0}")]
    ReferenceHeader(#[source] toml::de::Error),
    /// Its header has an invalid value.
    #[error("invalid {key} {value:?} in the header: expected {expected}")]
    Value {
        /// The key of the header.
        key: &'static str,
        /// The value.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
    /// Its header names a column that the query does not return.
    #[error("unknown column {column:?} in {what}: the query returns {}", columns.join(", "))]
    NoSuchColumn {
        /// The key of the header, such as `partition`.
        what: &'static str,
        /// The column.
        column: String,
        /// The columns that the query returns.
        columns: Vec<String>,
    },
    /// Its name is the name of something else.
    #[error(
        "another model, dataset, reference table or check is called {0:?}: choose another name"
    )]
    NameTaken(String),
    /// Its input does not exist.
    #[error(
        "unknown input {input:?}: expected a dataset, a model or a reference table, one of {}",
        known.join(", ")
    )]
    UnknownInput {
        /// The input.
        input: String,
        /// The inputs that exist.
        known: Vec<String>,
    },
    /// No input has partitions that correspond to those of the model, so none is ever dirty.
    #[error(
        "all inputs are reference tables or read whole (\"all\"), so no partition is ever \
         computed: add a dataset or a model of which each partition reads its own"
    )]
    NoPartitions,
    /// The partitions of an input do not correspond to those of the model.
    #[error(
        "the model is by {model} and its input {input:?} by {actual}: expected {}",
        expected_input(*model)
    )]
    NoCorrespondence {
        /// How the model is partitioned.
        model: PartitionKind,
        /// The input.
        input: String,
        /// How the input is partitioned.
        actual: PartitionKind,
    },
    /// Versions of a row may lie in several hours, of which the model reads one.
    #[error(
        "the rows of {0:?} may be corrected to another hour (copies_within_days), which a model by \
         hour does not read: expected a model by day, or the time of a row in the dataset's key"
    )]
    MovableRows(String),
    /// An input of a model by time is read whole.
    #[error(
        "the model is by {model} and reads {input:?} whole (\"all\"): each change would dirty \
         every {model} there is; make it a model by bucket, or join {input:?} in a view of the \
         warehouse"
    )]
    ReadWhole {
        /// How the model is partitioned.
        model: PartitionKind,
        /// The input.
        input: String,
    },
    /// An input is read by column, but its changed rows are not compared.
    #[error(
        "{0:?} cannot be read by column: expected an input that is a model by bucket, and a model \
         by day that reads it; the days follow from the rows that a commit changes"
    )]
    NotByColumn(String),
    /// Its query reads a table that the header does not name.
    #[error(
        "the query reads {0:?}, which is not among the inputs: add it, or changes there are missed"
    )]
    Undeclared(String),
    /// Its query does not read a table that the header names.
    #[error(
        "the query does not read the input {0:?}: remove it, or changes there recompute the model"
    )]
    Unused(String),
    /// It checks a model that does not exist.
    #[error("unknown model {0:?}: expected the model that the check is for")]
    UnknownModel(String),
    /// Its check does not return the shop of a row.
    #[error(
        "the check returns {}, expected \"shop_id\" among them: a failure concerns only the shops \
         that the check returns", .0.join(", ")
    )]
    NoShop(Vec<String>),
    /// A view reads a table that the warehouse does not have.
    #[error(
        "the view reads {input:?}: expected models with a warehouse table, one of {}",
        known.join(", ")
    )]
    NotInMart {
        /// The input.
        input: String,
        /// The models with a warehouse table.
        known: Vec<String>,
    },
    /// It depends on itself.
    #[error("the model depends on itself: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
}

/// The definitions below `glue-sql/`.
pub(crate) struct Definitions {
    /// Models by name.
    pub(crate) models: BTreeMap<String, Model>,
    /// Reference tables by name, with their packaged rows.
    pub(crate) references: References,
    /// The names of the models, each after the models that it reads.
    pub(crate) order: Vec<String>,
}

/// Reads all files, given as pairs of path and text. The datasets learn which models find their
/// moved rows.
pub(crate) fn read<'a>(
    datasets: &mut BTreeMap<String, Dataset>,
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Definitions, DefinitionError> {
    let mut models = BTreeMap::new();
    let mut references = References::new();
    let mut checks = Vec::new();
    for (file, text) in sources {
        let (folder, name) = split(file).ok_or_else(|| DefinitionError::new(file, Reason::Path))?;
        let failed = |reason| DefinitionError::new(file, reason);
        if folder == "checks" {
            checks.push((file, check(file, name, text).map_err(failed)?));
            continue;
        }
        let taken = models.contains_key(name)
            || references.contains_key(name)
            || datasets.keys().any(|reference| short_name(reference) == name);
        if taken {
            return Err(failed(Reason::NameTaken(name.to_owned())));
        }
        if folder == "reference" {
            let table = reference::parse(name, text).map_err(failed)?;
            references.insert(name.to_owned(), table);
        } else {
            let model = model(folder, name, text).map_err(failed)?;
            models.insert(name.to_owned(), model);
        }
    }
    for (file, (model, check)) in checks {
        let checks = &mut models
            .get_mut(&model)
            .ok_or_else(|| DefinitionError::new(file, Reason::UnknownModel(model)))?
            .checks;
        if checks.iter().any(|other: &Check| other.name == check.name) {
            return Err(DefinitionError::new(file, Reason::NameTaken(check.name)));
        }
        checks.push(check);
    }
    for model in models.values() {
        add_moved_rows(datasets, &models, model)
            .map_err(|reason| DefinitionError::new(&model.file, reason))?;
    }
    for model in models.values_mut() {
        // Checks are sorted, as their order is part of a job and the order of files is not.
        model.checks.sort_by(|one, other| one.name.cmp(&other.name));
    }
    let mut read = Vec::with_capacity(models.len());
    for model in models.values() {
        resolve(datasets, &models, &references, model)?;
        let found = read_objects(datasets, &models, model);
        read.push(found.map_err(|reason| DefinitionError::new(&model.file, reason))?);
    }
    for (model, (objects, first)) in models.values_mut().zip(read) {
        (model.objects, model.first) = (objects, first);
    }
    let mut names = BTreeSet::new();
    for model in models.values() {
        let checks = model.job_checks().into_iter().map(|check| check.name);
        for check in checks.chain([CheckRun::computes(&model.name).name]) {
            if !names.insert(check.clone()) {
                return Err(DefinitionError::new(&model.file, Reason::NameTaken(check)));
            }
        }
    }
    let order = order(&models)?;
    Ok(Definitions { models, references, order })
}

/// The column with the shop of a row.
const SHOP: &str = "shop_id";

/// The folder of models that only other models read. Every other folder of models is a mart: the
/// schema of the warehouse that shows them.
pub(crate) const INTERMEDIATE: &str = "intermediate";

/// Returns the folder and the name of `sales/total_sales.sql`.
pub(crate) fn split(file: &str) -> Option<(&str, &str)> {
    let (path, extension) = file.rsplit_once('.')?;
    let (folder, name) = path.split_once('/')?;
    let expected = match folder {
        "bronze" | "silver" | "gold" => return None,
        "reference" => "csv",
        _ => "sql",
    };
    let valid = extension == expected && is_identifier(folder) && is_identifier(name);
    valid.then_some((folder, name))
}

pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_'))
}

/// Returns the datasets and models whose objects a model reads, with the correspondence of their
/// partitions, and those of which its own partition has to have an object to be computed for the
/// first time.
fn read_objects(
    datasets: &BTreeMap<String, Dataset>,
    models: &BTreeMap<String, Model>,
    model: &Model,
) -> Result<(BTreeMap<String, Correspondence>, BTreeSet<String>), Reason> {
    let Reads { by_column, all, .. } = &model.reads;
    let named = model.named_inputs();
    let unknown = |input: &&String| !named.contains(input.as_str()) || is_reference(input);
    for (key, inputs) in
        [("by_column", by_column.keys().collect::<Vec<_>>()), ("all", all.iter().collect())]
    {
        if let Some(input) = inputs.into_iter().find(unknown) {
            let expected = "datasets and models among the inputs of the model or of its checks";
            return Err(value(key, input.clone(), expected));
        }
    }
    let (mut objects, mut first) = (BTreeMap::new(), BTreeSet::new());
    for input in named.into_iter().filter(|input| !is_reference(input)) {
        let (read, own) = match datasets.get(input) {
            Some(dataset) => (
                dataset::objects_of(datasets, input, &model.reference),
                dataset.first.iter().cloned().collect(),
            ),
            None => (BTreeSet::from([input.to_owned()]), BTreeSet::from([input.to_owned()])),
        };
        for object in read {
            let found = correspondence(datasets, models, model, input, &object)?;
            // What one input needs whole is read whole.
            if found == Correspondence::All || !objects.contains_key(&object) {
                objects.insert(object, found);
            }
        }
        first.extend(own);
    }
    first.retain(|input| objects.get(input) != Some(&Correspondence::All));
    if first.is_empty() { Err(Reason::NoPartitions) } else { Ok((objects, first)) }
}

/// Returns how the partitions of `object`, which is read for `input`, correspond to those of the
/// model.
fn correspondence(
    datasets: &BTreeMap<String, Dataset>,
    models: &BTreeMap<String, Model>,
    model: &Model,
    input: &str,
    object: &str,
) -> Result<Correspondence, Reason> {
    let Reads { window, by_column, all } = &model.reads;
    let kind = model.kind();
    if all.iter().any(|name| name == input) {
        return match kind {
            PartitionKind::Bucket(_) => Ok(Correspondence::All),
            _ => Err(Reason::ReadWhole { model: kind, input: input.to_owned() }),
        };
    }
    let dataset = datasets.get(object);
    let upstream = models.values().find(|upstream| upstream.reference == object);
    if let Some(column) = by_column.get(input) {
        let Some(upstream) = upstream
            .filter(|upstream| matches!(upstream.kind(), PartitionKind::Bucket(_)))
            .filter(|_| kind == PartitionKind::Day)
        else {
            return Err(Reason::NotByColumn(input.to_owned()));
        };
        return if upstream.columns.contains(column) {
            Ok(Correspondence::ByColumn { column: column.clone(), window: *window })
        } else {
            let columns = upstream.columns.clone();
            Err(Reason::NoSuchColumn { what: "by_column", column: column.clone(), columns })
        };
    }
    let copies = dataset.map_or(0, |dataset| dataset.copies_within_days);
    let actual = dataset.map(|dataset| dataset.kind).or(upstream.map(Model::kind)).unwrap_or(kind);
    match (kind, actual) {
        (PartitionKind::Day, PartitionKind::Day | PartitionKind::Hour) => {
            Ok(Correspondence::Days(Window {
                lookback_days: window.lookback_days.saturating_add(copies),
                lookahead_days: window.lookahead_days.saturating_add(copies),
            }))
        }
        (PartitionKind::Hour, PartitionKind::Hour)
            if copies > 0 || dataset.is_some_and(|dataset| dataset.movable.is_some()) =>
        {
            Err(Reason::MovableRows(object.to_owned()))
        }
        (PartitionKind::Hour, PartitionKind::Hour) => Ok(Correspondence::Same),
        (PartitionKind::Bucket(own), PartitionKind::Bucket(other)) if own.count == other.count => {
            Ok(Correspondence::Same)
        }
        _ => Err(Reason::NoCorrespondence { model: kind, input: object.to_owned(), actual }),
    }
}

/// Returns the inputs that a model of the kind may have.
fn expected_input(model: PartitionKind) -> &'static str {
    match model {
        PartitionKind::Hour => "inputs by hour",
        PartitionKind::Day => {
            "inputs by day or hour, or a model by bucket with the column of its rows that names \
             the day (\"by_column\")"
        }
        PartitionKind::Bucket(_) => {
            "inputs with as many buckets, or an input that is read whole (\"all\")"
        }
    }
}

/// Tells the dataset whose moved rows a model finds about the model. The rows are compared by the
/// key of the dataset and the day, so these have to be the key of the model.
fn add_moved_rows(
    datasets: &mut BTreeMap<String, Dataset>,
    models: &BTreeMap<String, Model>,
    model: &Model,
) -> Result<(), Reason> {
    let Some(reference) = &model.moved_rows_of else { return Ok(()) };
    let found = finders(models, model);
    let dataset = datasets.get_mut(reference).filter(|dataset| {
        let key: BTreeSet<_> = dataset.key.iter().chain([&model.partition]).collect();
        dataset.movable.is_some()
            && dataset.moved.is_none()
            && found.iter().any(|finder| finder.inputs.contains(reference))
            && key == model.key.iter().collect::<BTreeSet<_>>()
    });
    let Some(dataset) = dataset else {
        return Err(value(
            "moved_rows_of",
            reference.clone(),
            "a dataset with \"copies_within_days\": 0 that the model or a model before it reads, \
             whose moved rows no other model finds, and whose key, with the partition of the \
             model, is the key of the model",
        ));
    };
    dataset.moved = Some(MovedRows {
        model: model.reference.clone(),
        day: model.partition.clone(),
        finders: found.iter().map(|finder| finder.reference.clone()).collect(),
    });
    Ok(())
}

/// Returns the model and all models that it reads, directly or not.
fn finders<'m>(models: &'m BTreeMap<String, Model>, model: &'m Model) -> Vec<&'m Model> {
    let mut found = vec![model];
    let mut next = 0;
    while let Some(&reader) = found.get(next) {
        next += 1;
        for upstream in reader.inputs.iter().filter_map(|input| models.get(short_name(input))) {
            if found.iter().all(|known| known.name != upstream.name) {
                found.push(upstream);
            }
        }
    }
    found
}

fn model(folder: &str, name: &str, text: &str) -> Result<Model, Reason> {
    let (header, query): (ModelHeader, _) = header::read(text)?;
    if header.inputs.is_empty() {
        return Err(value(
            "inputs",
            String::new(),
            "at least one table such as \"silver.pos_sales\"",
        ));
    }
    let partitioning = partitioning(&header.partition)?;
    let window =
        Window { lookback_days: header.lookback_days, lookahead_days: header.lookahead_days };
    if partitioning.kind() != PartitionKind::Day && window != Window::default() {
        let days = window.lookback_days.max(window.lookahead_days).to_string();
        let expected = "0: only a model by day reads other days than its own";
        return Err(value("lookback_days or lookahead_days", days, expected));
    }
    check_key(&header.key)?;
    let query = Query::parse(query)?;
    let mut columns = query.columns()?;
    let key = header.key.iter().map(|column| ("key", column.as_str()));
    let alert = header.alert.iter().flat_map(|alert| {
        let columns =
            alert.placeholders().into_iter().chain([alert.started.as_str(), alert.ended.as_str()]);
        columns.map(|column| ("alert", column))
    });
    let described = header.columns.keys().map(|column| ("columns", column.as_str()));
    let checked = header.checks.columns().map(|column| ("checks", column));
    let named = key
        .chain([("partition", partitioning.column())])
        .chain(alert)
        .chain(described)
        .chain(checked);
    check_named_columns(named, &columns)?;
    let mut descriptions = header.columns;
    let partition = match &partitioning {
        Partitioning::Day(column) | Partitioning::Hour(column) => column.clone(),
        Partitioning::Bucket { column, buckets } => {
            if columns.iter().any(|known| known == BUCKET) {
                let expected = "another name: the column is that of the partition";
                return Err(value("partition", BUCKET.to_owned(), expected));
            }
            let text = format!("The bucket of the row: crc32({column}) modulo {}.", buckets.count);
            let text = Description::try_from(text).expect("one line");
            descriptions.insert(BUCKET.to_owned(), text);
            columns.push(BUCKET.to_owned());
            BUCKET.to_owned()
        }
    };
    check_declared_inputs(&header.inputs, &query, None)?;
    let checks = header.checks.compile(name)?;
    for check in &checks {
        check_declared_inputs(&check.inputs, &check.query, Some(name))?;
    }
    Ok(Model {
        name: name.to_owned(),
        reference: format!("gold.{name}"),
        file: format!("{folder}/{name}.sql"),
        grain: header.grain,
        key: header.key,
        partition,
        partitioning,
        inputs: header.inputs,
        reads: Reads { window, by_column: header.by_column, all: header.all },
        moved_rows_of: header.moved_rows_of,
        every_seconds: header.every_seconds,
        warehouse: (folder != INTERMEDIATE).then(|| format!("{folder}.{name}")),
        alert: header.alert,
        columns,
        descriptions,
        checks,
        query,
        objects: BTreeMap::new(),
        first: BTreeSet::new(),
    })
}

/// Reads how a model is partitioned. A name alone is that of a day column.
fn partitioning(text: &str) -> Result<Partitioning, Reason> {
    if is_identifier(text) {
        return Ok(Partitioning::Day(text.to_owned()));
    }
    let parsed = text.parse().ok().filter(|parsed| match parsed {
        Partitioning::Day(_) | Partitioning::Hour(_) => true,
        // Doubling computes all buckets of a model again.
        Partitioning::Bucket { buckets, .. } => buckets.count == buckets.oldest,
    });
    let expected = "a column with the day of a row, hour(column) with a column that has the \
                    hour, or bucket(column, n) with a power of two";
    parsed.ok_or_else(|| value("partition", text.to_owned(), expected))
}

/// Reads a check; returns the name of its model, too.
fn check(file: &str, name: &str, text: &str) -> Result<(String, Check), Reason> {
    let (header, query): (CheckHeader, _) = header::read(text)?;
    let query = Query::parse(query)?;
    check_declared_inputs(&header.inputs, &query, Some(&header.model))?;
    let columns = query.columns()?;
    if !columns.iter().any(|column| column == SHOP) {
        return Err(Reason::NoShop(columns));
    }
    let check = Check {
        name: name.to_owned(),
        file: Some(file.to_owned()),
        severity: header.severity,
        inputs: header.inputs,
        description: header.description,
        query,
    };
    Ok((header.model, check))
}

/// Checks that a key begins with the shop.
pub(crate) fn check_key(key: &[String]) -> Result<(), Reason> {
    if key.first().is_some_and(|column| column == SHOP) {
        return Ok(());
    }
    let expected = "\"shop_id\" first: no row belongs to more than one shop";
    Err(value("key", key.join(", "), expected))
}

/// Checks that the columns that a header names, each with its key of the header, are columns of the
/// query.
pub(crate) fn check_named_columns<'a>(
    named: impl IntoIterator<Item = (&'static str, &'a str)>,
    columns: &[String],
) -> Result<(), Reason> {
    let mut unknown =
        named.into_iter().filter(|(_, column)| !columns.iter().any(|known| known == column));
    unknown.next().map_or(Ok(()), |(what, column)| {
        let columns = columns.to_vec();
        Err(Reason::NoSuchColumn { what, column: column.to_owned(), columns })
    })
}

/// Checks that the declared inputs are the tables that the query reads. A check also reads the rows
/// of its model, which are not an input.
pub(crate) fn check_declared_inputs(
    inputs: &[String],
    query: &Query,
    checked: Option<&str>,
) -> Result<(), Reason> {
    let read: BTreeSet<&str> = query.references().collect();
    if let Some(unused) = inputs.iter().find(|input| !read.contains(input.as_str())) {
        return Err(Reason::Unused(unused.clone()));
    }
    let mut undeclared = read
        .into_iter()
        .filter(|table| !inputs.iter().any(|input| input == table))
        .filter(|table| checked.is_none_or(|model| short_name(table) != model));
    undeclared.next().map_or(Ok(()), |table| Err(Reason::Undeclared(table.to_owned())))
}

/// Checks that every input of the model and of its checks exists.
fn resolve(
    datasets: &BTreeMap<String, Dataset>,
    models: &BTreeMap<String, Model>,
    references: &References,
    model: &Model,
) -> Result<(), DefinitionError> {
    let of_model = model.inputs.iter().map(|input| (&model.file, input));
    let of_checks = model.checks.iter().flat_map(|check| {
        let file = check.file.as_ref().unwrap_or(&model.file);
        check.inputs.iter().map(move |input| (file, input))
    });
    for (file, input) in of_model.chain(of_checks) {
        let reason = match datasets.get(input) {
            Some(_) => continue,
            None if models.values().any(|other| other.reference == *input) => continue,
            None if is_reference(input) && references.contains_key(short_name(input)) => continue,
            None => Reason::UnknownInput {
                input: input.clone(),
                known: datasets
                    .keys()
                    .chain(models.values().map(|other| &other.reference))
                    .cloned()
                    .chain(references.keys().map(|name| format!("reference.{name}")))
                    .collect(),
            },
        };
        return Err(DefinitionError::new(file, reason));
    }
    Ok(())
}

/// Whether `table` is a reference table, as queries name it.
pub(crate) fn is_reference(table: &str) -> bool {
    table.starts_with("reference.")
}

/// Returns the names of all models, each after those whose objects it and its checks read.
fn order(models: &BTreeMap<String, Model>) -> Result<Vec<String>, DefinitionError> {
    fn visit<'a>(
        models: &'a BTreeMap<String, Model>,
        model: &'a Model,
        path: &mut Vec<&'a str>,
        order: &mut Vec<String>,
    ) -> Result<(), DefinitionError> {
        if order.contains(&model.name) {
            return Ok(());
        }
        if let Some(start) = path.iter().position(|name| *name == model.name) {
            let circle = path[start..]
                .iter()
                .copied()
                .chain([model.name.as_str()])
                .map(str::to_owned)
                .collect();
            return Err(DefinitionError::new(&model.file, Reason::Cycle(circle)));
        }
        path.push(&model.name);
        let inputs = model.objects.keys();
        for upstream in inputs.filter_map(|input| models.get(short_name(input))) {
            visit(models, upstream, path, order)?;
        }
        path.pop();
        order.push(model.name.clone());
        Ok(())
    }
    let mut order = Vec::with_capacity(models.len());
    for model in models.values() {
        visit(models, model, &mut Vec::new(), &mut order)?;
    }
    Ok(order)
}

pub(crate) fn value(key: &'static str, value: String, expected: &'static str) -> Reason {
    Reason::Value { key, value, expected }
}

#[cfg(test)]
mod tests {
    use crate::models::Models;
    use crate::testing::{REFERENCE, bucketed, check, contracts, hourly, model, models};

    fn error(sources: &[(&str, String)]) -> String {
        Models::from_sources(
            &contracts(),
            sources.iter().map(|(name, text)| (*name, text.as_str())),
        )
        .unwrap_err()
        .to_string()
    }

    fn daily(change: impl FnOnce(String) -> String) -> String {
        error(&[("sales/daily.sql", change(model(&["silver.sales"], "")))])
    }

    #[test]
    fn key_and_partition_are_columns_of_the_query() {
        assert_eq!(
            daily(|text| text.replace("\"day\"]", "\"date\"]")),
            "glue-sql/sales/daily.sql: unknown column \"date\" in key: \
             the query returns shop_id, day, row_count"
        );
        assert!(
            daily(|text| text.replace("partition = \"day\"", "partition = \"dt\""))
                .contains("in partition: the query")
        );
    }

    #[test]
    fn a_key_without_the_shop_is_refused() {
        let error = daily(|text| text.replace("[\"shop_id\", \"day\"]", "[\"day\"]"));
        assert!(error.contains("no row belongs to more than one shop"), "{error}");
    }

    #[test]
    fn an_undeclared_input_is_refused() {
        let error =
            daily(|text| text.replace("from rows", "from rows join gold.other using (day)"));
        assert!(error.contains("reads \"gold.other\", which is not among the inputs"), "{error}");
    }

    #[test]
    fn an_unused_input_is_refused() {
        let error = daily(|text| {
            text.replace("[\"silver.sales\"]", "[\"silver.sales\", \"silver.clicks\"]")
        });
        assert!(error.contains("does not read the input \"silver.clicks\""), "{error}");
    }

    #[test]
    fn an_unknown_input_is_refused_with_the_known_ones() {
        assert_eq!(
            error(&[("sales/daily.sql", model(&["silver.sails"], ""))]),
            "glue-sql/sales/daily.sql: unknown input \"silver.sails\": \
             expected a dataset, a model or a reference table, one of silver.clicks, \
             silver.orders, silver.sales, silver.taps, gold.daily"
        );
    }

    #[test]
    fn inputs_without_correspondence_are_refused_with_what_is_expected() {
        let daily = |more: &str| {
            let orders = ("sales/orders_clean.sql", bucketed(&["silver.orders"], ""));
            error(&[orders, ("sales/daily.sql", model(&["gold.orders_clean"], more))])
        };
        let bucket = |input: &str, more: &str| {
            error(&[("sales/orders_clean.sql", bucketed(&["silver.orders", input], more))])
        };
        let hour = |change: fn(String) -> String| error(&[("sales/hourly.sql", change(hourly()))]);
        for (error, expected) in [
            (
                daily(""),
                "glue-sql/sales/daily.sql: the model is by day and its input \
                 \"gold.orders_clean\" by bucket of 16: expected inputs by day or hour, or a model \
                 by bucket with the column of its rows that names the day (\"by_column\")",
            ),
            (
                daily("-- all = [\"gold.orders_clean\"]"),
                "each change would dirty every day there is",
            ),
            (
                daily("-- by_column = { \"gold.orders_clean\" = \"sold_on\" }"),
                "unknown column \"sold_on\" in by_column: the query returns shop_id, id, day, \
                 bucket",
            ),
            (
                daily("-- by_column = { \"gold.orders\" = \"day\" }"),
                "invalid by_column \"gold.orders\" in the header: expected datasets and models",
            ),
            (bucket("silver.sales", ""), "by bucket of 16 and its input \"silver.sales\" by day"),
            (
                bucket("silver.sales", "-- by_column = { \"silver.sales\" = \"day\" }"),
                "\"silver.sales\" cannot be read by column",
            ),
            (
                error(&[(
                    "sales/sold.sql",
                    bucketed(&["silver.sales"], "-- all = [\"silver.sales\"]"),
                )]),
                "so no partition is ever computed",
            ),
            (
                error(&[(
                    "sales/orders_clean.sql",
                    bucketed(&["silver.orders"], "").replace("(id, 16)", "(id, 32)"),
                )]),
                "by bucket of 32 and its input \"silver.orders\" by bucket of 16: expected inputs",
            ),
            (
                hour(|text| text.replace("silver.taps", "silver.clicks")),
                "the rows of \"silver.clicks\" may be corrected to another hour",
            ),
            (
                hour(|text| text.replace("silver.taps", "silver.sales")),
                "by hour and its input \"silver.sales\" by day: expected inputs by hour",
            ),
            (
                hour(|text| text.replace("\nselect", "\n-- lookback_days = 2\nselect")),
                "invalid lookback_days or lookahead_days \"2\" in the header: expected 0",
            ),
        ] {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_invalid_partition_is_refused_with_the_kinds() {
        for text in ["week(day)", "bucket(id)", "bucket(id, 12)", "bucket(id, 32, 16)", "Day"] {
            let error = daily(|model| {
                model.replace("partition = \"day\"", &format!("partition = \"{text}\""))
            });
            assert!(
                error.contains(&format!("invalid partition {text:?} in the header")),
                "{error}"
            );
            assert!(error.contains("or bucket(column, n) with a power of two"), "{error}");
        }
        let error = error(&[(
            "sales/orders_clean.sql",
            bucketed(&["silver.orders"], "").replace("max(day) as day", "max(day) as bucket"),
        )]);
        assert!(error.contains("the column is that of the partition"), "{error}");
    }

    #[test]
    fn models_in_a_circle_are_refused() {
        assert_eq!(
            error(&[
                ("sales/a.sql", model(&["gold.b"], "")),
                ("sales/b.sql", model(&["silver.sales"], "")),
                ("checks/c.sql", check("b", &["gold.a"])),
            ]),
            "glue-sql/sales/a.sql: the model depends on itself: a -> b -> a"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        let error = error(&[("sales/daily.sql", model(&["silver.sales"], "-- refresh = 3"))]);
        assert!(error.starts_with("glue-sql/sales/daily.sql: invalid header"), "{error}");
        assert!(error.contains("line 5") && error.contains("unknown field `refresh`"), "{error}");
    }

    #[test]
    fn invalid_names_are_refused() {
        let text = || model(&["silver.sales"], "");
        for (file, message) in [
            ("sales/Daily.sql", "expected <mart>/<name>.sql"),
            ("gold/daily.sql", "expected <mart>/<name>.sql"),
            ("sales/sales.sql", "is called \"sales\""),
        ] {
            assert!(error(&[(file, text())]).contains(message), "{file}");
        }
        assert!(
            error(&[("intermediate/daily.sql", text()), ("sales/daily.sql", text())])
                .contains("is called \"daily\"")
        );
        assert!(
            error(&[("checks/c.sql", check("daily", &[]))]).contains("unknown model \"daily\"")
        );
    }

    #[test]
    fn the_folder_of_a_model_is_its_warehouse_schema() {
        let text = model(&["silver.sales"], "");
        for (file, table) in
            [("sales/daily.sql", Some("sales.daily")), ("intermediate/daily.sql", None)]
        {
            let models = models(&[(file, text.clone())]);
            assert_eq!(models.get("daily").unwrap().warehouse.as_deref(), table);
        }
    }

    #[test]
    fn columns_and_checks_of_a_header_name_columns_of_the_query() {
        for more in [
            "-- columns = { units = \"How many.\" }",
            "-- checks = { not_null = [\"units\"] }",
            "-- checks = { reconciles = { units = \"1\" } }",
        ] {
            let error = error(&[("sales/daily.sql", model(&["silver.sales"], more))]);
            assert!(error.contains("unknown column \"units\" in"), "{error}");
        }
    }

    #[test]
    fn common_checks_are_checks_of_the_model() {
        let more = "-- checks = { bounds = [\"row_count > 0\"] }";
        let models = models(&[
            ("sales/daily.sql", model(&["silver.sales"], more)),
            ("checks/clicks.sql", check("daily", &["silver.clicks"])),
        ]);
        let checks: Vec<_> =
            models.get("daily").unwrap().job_checks().into_iter().map(|check| check.name).collect();
        assert_eq!(
            checks,
            ["daily_key_is_not_null", "daily_key_is_unique", "clicks", "daily_bounds"]
        );
    }

    #[test]
    fn two_checks_of_one_name_are_refused() {
        let more = "-- checks = { bounds = [\"row_count > 0\"] }";
        let error = error(&[
            ("sales/daily.sql", model(&["silver.sales"], more)),
            ("checks/daily_bounds.sql", check("daily", &[])),
        ]);
        assert!(error.contains("is called \"daily_bounds\""), "{error}");
    }

    #[test]
    fn two_models_have_no_check_of_one_name() {
        let more = "-- checks = { bounds = [\"row_count > 0\"] }";
        let error = error(&[
            ("sales/daily.sql", model(&["silver.sales"], "")),
            ("sales/weekly.sql", model(&["silver.sales"], more)),
            ("checks/weekly_bounds.sql", check("daily", &[])),
        ]);
        assert!(error.contains("is called \"weekly_bounds\""), "{error}");
    }

    #[test]
    fn a_check_without_the_shop_is_refused() {
        let text = check("daily", &[]).replace("shop_id, row_count", "row_count");
        let daily = ("sales/daily.sql", model(&["silver.sales"], ""));
        assert_eq!(
            error(&[daily, ("checks/c.sql", text)]),
            "glue-sql/checks/c.sql: the check returns row_count, expected \"shop_id\" among them: \
             a failure concerns only the shops that the check returns"
        );
    }

    #[test]
    fn a_check_without_named_columns_is_refused() {
        let text = check("daily", &[]).replace("shop_id, row_count", "*");
        let daily = ("sales/daily.sql", model(&["silver.sales"], ""));
        let error = error(&[daily, ("checks/c.sql", text)]);
        assert!(error.contains("the last `select` returns \"*\": expected columns"), "{error}");
    }

    #[test]
    fn the_name_of_the_engine_s_check_is_taken() {
        let daily = ("sales/daily.sql", model(&["silver.sales"], ""));
        let error = error(&[daily, ("checks/daily_computes.sql", check("daily", &[]))]);
        assert!(error.contains("is called \"daily_computes\""), "{error}");
    }

    #[test]
    fn an_unknown_input_of_a_check_names_its_file() {
        let error = error(&[
            ("sales/daily.sql", model(&["silver.sales"], "")),
            ("checks/c.sql", check("daily", &["silver.wages"])),
        ]);
        assert!(error.contains("checks/c.sql: unknown input \"silver.wages\""), "{error}");
    }

    #[test]
    fn moved_rows_are_those_of_an_input_by_its_key_and_day() {
        let moved = |more: &str| {
            let text = model(&["silver.clicks"], &format!("-- moved_rows_of = {more}"));
            text.replace("[\"shop_id\", \"day\"]", "[\"shop_id\", \"day\", \"id\"]")
                .replace("shop_id, day", "shop_id, day, id")
        };
        let right = moved("\"silver.clicks\"");
        models(&[("intermediate/moved.sql", right.clone())]);
        let keyless = right.replace("\"day\", \"id\"]", "\"day\"]");
        for sources in [
            vec![("intermediate/moved.sql", moved("\"silver.sales\""))],
            vec![("intermediate/moved.sql", moved("\"silver.swipes\""))],
            vec![("intermediate/moved.sql", keyless)],
            vec![(
                "intermediate/moved.sql",
                right
                    .replace("= [\"silver.clicks", "= [\"silver.sales")
                    .replace("from silver.clicks", "from silver.sales"),
            )],
            vec![("intermediate/again.sql", right.clone()), ("intermediate/moved.sql", right)],
        ] {
            let error = error(&sources);
            assert!(error.contains("invalid moved_rows_of \"silver."), "{error}");
            assert!(error.contains("moved.sql: "), "{error}");
        }
    }

    const ALERT: &str =
        r#"-- alert = { subject = "{shop_id} has {row_count}", started = "day", ended = "day" }"#;

    #[test]
    fn columns_of_an_alert_are_columns_of_the_query() {
        let daily = |alert: String| error(&[("sales/daily.sql", model(&["silver.sales"], &alert))]);
        let columns = "the query returns shop_id, day, row_count";
        assert_eq!(
            daily(ALERT.replace("{row_count}", "{rows}")),
            format!("glue-sql/sales/daily.sql: unknown column \"rows\" in alert: {columns}")
        );
        assert!(
            daily(ALERT.replace("started = \"day\"", "started = \"at\""))
                .contains("unknown column \"at\" in alert")
        );
        assert!(
            daily(ALERT.replace("ended = \"day\"", "ended = \"at\""))
                .contains("unknown column \"at\" in alert")
        );
        assert!(daily(ALERT.replace("ended", "until")).contains("unknown field `until`"));

        let models = models(&[("sales/daily.sql", model(&["silver.sales"], ALERT))]);
        let alert = models.get("daily").unwrap().alert.as_ref().unwrap();
        assert_eq!(alert.placeholders(), ["shop_id", "row_count"]);
    }

    #[test]
    fn an_invalid_reference_table_is_refused_with_its_line() {
        let weights = |text: String| error(&[("reference/weights.csv", text)]);
        assert_eq!(
            weights(REFERENCE.replace("a,1", "a,x")),
            "glue-sql/reference/weights.csv: line 5, column \"weight\": \
             expected a whole number of 64 bits, got \"x\""
        );
        let taken = error(&[("reference/sales.csv", REFERENCE.to_owned())]);
        assert!(taken.contains("is called \"sales\""), "{taken}");
    }

    #[test]
    fn an_unknown_reference_table_is_refused() {
        let error = error(&[
            ("reference/weights.csv", REFERENCE.to_owned()),
            ("sales/daily.sql", model(&["silver.sales", "reference.wages"], "")),
        ]);
        assert!(error.contains("unknown input \"reference.wages\""), "{error}");
        assert!(error.ends_with("gold.daily, reference.weights"), "{error}");
    }

    #[test]
    fn a_model_of_reference_tables_only_is_refused() {
        let error = error(&[
            ("reference/weights.csv", REFERENCE.to_owned()),
            ("sales/daily.sql", model(&["reference.weights"], "")),
        ]);
        assert!(error.contains("all inputs are reference tables"), "{error}");
    }
}
