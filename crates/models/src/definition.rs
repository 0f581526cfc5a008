//! From SQL files to models: each is read, then all of them are checked as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::dataset::Dataset;
use crate::header::{self, CheckHeader, ModelHeader};
use crate::models::{Check, Model, bare};
use crate::query::{Query, QueryError};
use crate::reference::{ReferenceError, ReferenceTable, References};

/// A SQL file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("glue-sql/{file}: {reason}")]
pub struct DefinitionError {
    /// The file, such as `gold/total_sales.sql`.
    pub file: String,
    /// What is wrong with it.
    pub reason: Reason,
}

impl DefinitionError {
    pub(crate) fn new(file: &str, reason: impl Into<Reason>) -> Self {
        Self { file: file.to_owned(), reason: reason.into() }
    }
}

/// What is wrong with a SQL file.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It could not be read.
    #[error("could not be read: {0}")]
    Unreadable(String),
    /// It is not where models and checks are.
    #[error(
        "expected silver/<name>.sql, gold/<name>.sql, checks/<name>.sql or reference/<name>.csv, with a name of a-z, 0-9 and _"
    )]
    Path,
    /// Its header is not what a header is.
    #[error("its header (TOML in the leading `--` lines) is wrong: {0}")]
    Header(#[from] toml::de::Error),
    /// Its query is not what a query is.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// It is no reference table.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A value in the header that cannot be.
    #[error("its header says {key} = {value:?}, expected {expected}")]
    Value {
        /// The header's key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it could say.
        expected: &'static str,
    },
    /// A key or partition column that the query does not return.
    #[error("its {what} names the column {column:?}, but the query returns {}", columns.join(", "))]
    NoSuchColumn {
        /// `key`, `partition` or `notice`.
        what: &'static str,
        /// The column.
        column: String,
        /// What there is.
        columns: Vec<String>,
    },
    /// Two models, or a model and a dataset, of one name.
    #[error(
        "the name {0:?} is taken by another model, dataset or reference table; names are unique over silver, gold and reference"
    )]
    NameTaken(String),
    /// An input that does not exist.
    #[error("its input {input:?} is no dataset, model or reference table; there are {}", known.join(", "))]
    UnknownInput {
        /// The input.
        input: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A model that nothing ever makes dirty.
    #[error(
        "its inputs are reference tables only, which have no days; add the dataset or model whose days it computes"
    )]
    NoDays,
    /// A dataset that models cannot read.
    #[error("its input {0:?} is not partitioned by day or hour; models read days")]
    NotByDay(String),
    /// A table that the query reads and the header does not name.
    #[error(
        "its query reads {0:?}, which is not among its inputs; a change there would go unnoticed, so add it"
    )]
    Undeclared(String),
    /// A table that the header names and the query does not read.
    #[error(
        "its input {0:?} is not read by the query; it would be computed again for nothing, so remove it"
    )]
    Unused(String),
    /// A check of a model that does not exist.
    #[error("it checks the model {0:?}, which does not exist")]
    UnknownModel(String),
    /// Models that depend on each other in a circle.
    #[error("it depends on itself: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
}

/// What a `glue-sql` directory defines.
pub(crate) struct Definitions {
    /// Models by name.
    pub(crate) models: BTreeMap<String, Model>,
    /// Reference tables by name, with their packaged rows.
    pub(crate) references: References,
    /// The names of the models in an order where each comes after what it reads.
    pub(crate) order: Vec<String>,
}

/// Reads all files.
pub(crate) fn read<'a>(
    datasets: &BTreeMap<String, Dataset>,
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Definitions, DefinitionError> {
    let mut models = BTreeMap::new();
    let mut references = References::new();
    let mut checks = Vec::new();
    for (file, text) in sources {
        let (folder, name) = split(file).ok_or_else(|| DefinitionError::new(file, Reason::Path))?;
        let failed = |reason| DefinitionError::new(file, reason);
        if folder == "checks" {
            checks.push((file, check(name, text).map_err(failed)?));
            continue;
        }
        let taken = models.contains_key(name)
            || references.contains_key(name)
            || datasets.keys().any(|reference| bare(reference) == name);
        if taken {
            return Err(failed(Reason::NameTaken(name.to_owned())));
        }
        if folder == "reference" {
            let table = ReferenceTable::parse(name, text).map_err(|error| failed(error.into()))?;
            references.insert(name.to_owned(), table);
        } else {
            models.insert(name.to_owned(), model(folder, name, text).map_err(failed)?);
        }
    }
    for (file, (model, check)) in checks {
        models
            .get_mut(&model)
            .ok_or_else(|| DefinitionError::new(file, Reason::UnknownModel(model)))?
            .checks
            .push(check);
    }
    for model in models.values_mut() {
        // The order of files is the machine's; the order of checks is not.
        model.checks.sort_by(|one, other| one.name.cmp(&other.name));
    }
    for model in models.values() {
        resolve(datasets, &models, &references, model)?;
    }
    let order = order(&models)?;
    Ok(Definitions { models, references, order })
}

/// The folder and the name of `gold/total_sales.sql`.
fn split(file: &str) -> Option<(&str, &str)> {
    let (path, extension) = file.rsplit_once('.')?;
    let (folder, name) = path.split_once('/')?;
    let expected = match folder {
        "silver" | "gold" | "checks" => "sql",
        "reference" => "csv",
        _ => return None,
    };
    (extension == expected && is_identifier(name)).then_some((folder, name))
}

pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_'))
}

fn model(folder: &str, name: &str, text: &str) -> Result<Model, Reason> {
    let (header, query): (ModelHeader, _) = header::read(text)?;
    let reference = format!("{folder}.{name}");
    if header.grain.trim().is_empty() {
        return Err(value(
            "grain",
            header.grain,
            "what one row is, such as \"one row per shop and day\"",
        ));
    }
    if header.inputs.is_empty() {
        return Err(value(
            "inputs",
            String::new(),
            "at least one table such as \"silver.pos_sales\"",
        ));
    }
    if header.inputs.iter().all(|input| is_reference(input)) {
        return Err(Reason::NoDays);
    }
    if header.key.first().is_none_or(|column| column != "shop_id") {
        return Err(value(
            "key",
            header.key.join(", "),
            "\"shop_id\" first: no row belongs to more than one shop",
        ));
    }
    if let Some(table) = &header.warehouse {
        let valid = table
            .split_once('.')
            .is_some_and(|(schema, table)| is_identifier(schema) && is_identifier(table));
        if !valid {
            return Err(value("warehouse", table.clone(), "\"<schema>.<table>\" in lower case"));
        }
    }
    let query = Query::parse(query)?;
    let columns = query.columns()?;
    let of_notice = header.notice.iter().flat_map(|notice| {
        let in_subject = notice
            .placeholders()
            .into_iter()
            .chain([notice.started.as_str(), notice.ended.as_str()]);
        in_subject.map(|column| ("notice", column))
    });
    let named = header.key.iter().map(|column| ("key", column.as_str()));
    for (what, column) in named.chain([("partition", header.partition.as_str())]).chain(of_notice) {
        if !columns.iter().any(|known| known == column) {
            return Err(Reason::NoSuchColumn { what, column: column.to_owned(), columns });
        }
    }
    agree(&header.inputs, &query, None)?;
    Ok(Model {
        name: name.to_owned(),
        reference,
        grain: header.grain,
        key: header.key,
        partition: header.partition,
        inputs: header.inputs,
        lookback_days: header.lookback_days,
        lookahead_days: header.lookahead_days,
        every_seconds: header.every_seconds,
        warehouse: header.warehouse,
        notice: header.notice,
        columns,
        checks: Vec::new(),
        query,
    })
}

/// The check, and the name of its model.
fn check(name: &str, text: &str) -> Result<(String, Check), Reason> {
    let (header, query): (CheckHeader, _) = header::read(text)?;
    let query = Query::parse(query)?;
    agree(&header.inputs, &query, Some(&header.model))?;
    let check = Check {
        name: name.to_owned(),
        severity: header.severity,
        inputs: header.inputs,
        description: header.description,
        query,
    };
    Ok((header.model, check))
}

/// The header's inputs are the tables that the query reads; a check also sees the rows that it
/// checks.
fn agree(inputs: &[String], query: &Query, checked: Option<&str>) -> Result<(), Reason> {
    let read: BTreeSet<&str> = query.references().collect();
    if let Some(unused) = inputs.iter().find(|input| !read.contains(input.as_str())) {
        return Err(Reason::Unused(unused.clone()));
    }
    let mut undeclared = read
        .into_iter()
        .filter(|table| !inputs.iter().any(|input| input == table))
        .filter(|table| checked.is_none_or(|model| bare(table) != model));
    undeclared.next().map_or(Ok(()), |table| Err(Reason::Undeclared(table.to_owned())))
}

/// Every input of the model and of its checks exists, under the name by which it is called.
fn resolve(
    datasets: &BTreeMap<String, Dataset>,
    models: &BTreeMap<String, Model>,
    references: &References,
    model: &Model,
) -> Result<(), DefinitionError> {
    let of_checks = model.checks.iter().flat_map(|check| {
        check.inputs.iter().map(move |input| (format!("checks/{}.sql", check.name), input))
    });
    let of_model = model.inputs.iter().map(|input| (file(model), input));
    for (file, input) in of_model.chain(of_checks) {
        let reason = match datasets.get(input) {
            Some(dataset) if dataset.by_day => continue,
            Some(_) => Reason::NotByDay(input.clone()),
            None if models.values().any(|other| other.reference == *input) => continue,
            None if is_reference(input) && references.contains_key(bare(input)) => continue,
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
        return Err(DefinitionError { file, reason });
    }
    Ok(())
}

/// Whether `table` is what queries call a reference table.
pub(crate) fn is_reference(table: &str) -> bool {
    table.starts_with("reference.")
}

fn file(model: &Model) -> String {
    format!("{}.sql", model.reference.replace('.', "/"))
}

/// The names of all models, each after those that it and its checks read.
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
            return Err(DefinitionError { file: file(model), reason: Reason::Cycle(circle) });
        }
        path.push(&model.name);
        for upstream in model.all_inputs().into_iter().filter_map(|input| models.get(bare(input))) {
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

fn value(key: &'static str, value: String, expected: &'static str) -> Reason {
    Reason::Value { key, value, expected }
}

#[cfg(test)]
mod tests {
    use crate::models::Models;
    use crate::testing::{REFERENCE, check, contracts, model, models};

    fn error(sources: &[(&str, String)]) -> String {
        Models::from_sources(
            &contracts(),
            sources.iter().map(|(name, text)| (*name, text.as_str())),
        )
        .unwrap_err()
        .to_string()
    }

    fn daily(change: impl FnOnce(String) -> String) -> String {
        error(&[("gold/daily.sql", change(model(&["silver.sales"], "")))])
    }

    #[test]
    fn given_a_key_or_partition_that_is_no_column_then_the_error_lists_the_columns() {
        assert_eq!(
            daily(|text| text.replace("\"day\"]", "\"date\"]")),
            "glue-sql/gold/daily.sql: its key names the column \"date\", but the query returns shop_id, day, row_count"
        );
        assert!(
            daily(|text| text.replace("partition = \"day\"", "partition = \"dt\""))
                .contains("its partition names")
        );
    }

    #[test]
    fn given_a_key_without_the_shop_then_it_is_refused() {
        let error = daily(|text| text.replace("[\"shop_id\", \"day\"]", "[\"day\"]"));
        assert!(error.contains("no row belongs to more than one shop"), "{error}");
    }

    #[test]
    fn given_a_table_that_the_header_does_not_name_then_the_error_does() {
        let error =
            daily(|text| text.replace("from rows", "from rows join gold.other using (day)"));
        assert!(error.contains("reads \"gold.other\", which is not among its inputs"), "{error}");
    }

    #[test]
    fn given_an_input_that_the_query_does_not_read_then_the_error_names_it() {
        let error = daily(|text| {
            text.replace("[\"silver.sales\"]", "[\"silver.sales\", \"silver.clicks\"]")
        });
        assert!(error.contains("\"silver.clicks\" is not read"), "{error}");
    }

    #[test]
    fn given_an_unknown_input_then_the_error_lists_those_there_are() {
        assert_eq!(
            error(&[("gold/daily.sql", model(&["silver.sails"], ""))]),
            "glue-sql/gold/daily.sql: its input \"silver.sails\" is no dataset, model or reference table; \
             there are silver.clicks, silver.orders, silver.sales, gold.daily"
        );
    }

    #[test]
    fn given_a_dataset_by_bucket_then_it_is_refused() {
        assert!(
            error(&[("gold/daily.sql", model(&["silver.orders"], ""))])
                .contains("not partitioned by day or hour")
        );
    }

    #[test]
    fn given_models_in_a_circle_then_the_error_shows_it() {
        assert_eq!(
            error(&[
                ("gold/a.sql", model(&["gold.b"], "")),
                ("gold/b.sql", model(&["silver.sales"], "")),
                ("checks/c.sql", check("b", &["gold.a"])),
            ]),
            "glue-sql/gold/a.sql: it depends on itself: a -> b -> a"
        );
    }

    #[test]
    fn given_an_unknown_key_then_the_error_names_file_and_line() {
        let error = error(&[("gold/daily.sql", model(&["silver.sales"], "-- refresh = 3"))]);
        assert!(error.starts_with("glue-sql/gold/daily.sql: its header"), "{error}");
        assert!(error.contains("line 5") && error.contains("unknown field `refresh`"), "{error}");
    }

    #[test]
    fn given_names_that_cannot_be_then_they_are_refused() {
        let text = || model(&["silver.sales"], "");
        for (file, message) in [
            ("gold/Daily.sql", "expected silver/<name>.sql"),
            ("warehouse/daily.sql", "expected silver/<name>.sql"),
            ("gold/sales.sql", "the name \"sales\" is taken"),
        ] {
            assert!(error(&[(file, text())]).contains(message), "{file}");
        }
        assert!(
            error(&[("silver/daily.sql", text()), ("gold/daily.sql", text())])
                .contains("\"daily\" is taken")
        );
        assert!(
            error(&[("checks/c.sql", check("daily", &[]))]).contains("checks the model \"daily\"")
        );
        let warehouse =
            error(&[("gold/daily.sql", model(&["silver.sales"], "-- warehouse = \"daily\""))]);
        assert!(warehouse.contains("expected \"<schema>.<table>\""), "{warehouse}");
    }

    const NOTICE: &str = "-- notice = { subject = \"{shop_id} has {row_count}\", started = \"day\", ended = \"day\" }";

    #[test]
    fn given_a_notice_then_its_columns_are_columns_of_the_query() {
        let daily =
            |notice: String| error(&[("gold/daily.sql", model(&["silver.sales"], &notice))]);
        let columns = "but the query returns shop_id, day, row_count";
        assert_eq!(
            daily(NOTICE.replace("{row_count}", "{rows}")),
            format!("glue-sql/gold/daily.sql: its notice names the column \"rows\", {columns}")
        );
        assert!(
            daily(NOTICE.replace("started = \"day\"", "started = \"at\""))
                .contains("its notice names the column \"at\"")
        );
        assert!(
            daily(NOTICE.replace("ended = \"day\"", "ended = \"at\""))
                .contains("its notice names the column \"at\"")
        );
        assert!(daily(NOTICE.replace("ended", "until")).contains("unknown field `until`"));

        let models = models(&[("gold/daily.sql", model(&["silver.sales"], NOTICE))]);
        let notice = models.get("daily").unwrap().notice.as_ref().unwrap();
        assert_eq!(notice.placeholders(), ["shop_id", "row_count"]);
    }

    #[test]
    fn given_a_reference_table_that_can_not_be_then_the_error_names_file_and_line() {
        let weights = |text: String| error(&[("reference/weights.csv", text)]);
        assert_eq!(
            weights(REFERENCE.replace("a,1", "a,x")),
            "glue-sql/reference/weights.csv: line 5, column \"weight\": expected a whole number of 64 bits, got \"x\""
        );
        let taken = error(&[("reference/sales.csv", REFERENCE.to_owned())]);
        assert!(taken.contains("the name \"sales\" is taken"), "{taken}");
    }

    #[test]
    fn given_an_unknown_reference_table_then_the_error_lists_those_there_are() {
        let error = error(&[
            ("reference/weights.csv", REFERENCE.to_owned()),
            ("gold/daily.sql", model(&["silver.sales", "reference.wages"], "")),
        ]);
        assert!(
            error.contains("\"reference.wages\" is no dataset, model or reference table"),
            "{error}"
        );
        assert!(error.ends_with("gold.daily, reference.weights"), "{error}");
    }

    #[test]
    fn given_a_model_of_reference_tables_only_then_it_is_refused() {
        let error = error(&[
            ("reference/weights.csv", REFERENCE.to_owned()),
            ("gold/daily.sql", model(&["reference.weights"], "")),
        ]);
        assert!(error.contains("its inputs are reference tables only"), "{error}");
    }
}
