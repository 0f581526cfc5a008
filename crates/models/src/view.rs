//! Views of marts: queries over tables of models, which the warehouse and Athena run when a view is
//! read.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use shoplake_index::{Description, IndexedView};
use shoplake_jobs::{
    JOB_VERSION, JobDocument, JobInput, JobOutput, JobPartition, Partition, TableColumn,
};
use shoplake_lake::keys;

use crate::definition::{self, DefinitionError, Reason};
use crate::header;
use crate::models::{Models, short_name};
use crate::plan::key_checks;
use crate::query::{Query, code_only};
use crate::render::view_name;

/// A view of a mart.
#[derive(Clone, Debug)]
pub struct MartView {
    /// Its name, which is the name of its file.
    pub name: String,
    /// What one row is, in words.
    pub grain: Description,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The models that it reads, `gold.<model>`, each with its warehouse table.
    pub inputs: BTreeMap<String, String>,
    /// Its name in the warehouse, as `schema.view`. The schema is the folder of the file.
    pub warehouse: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// Descriptions of its columns, by name.
    pub descriptions: BTreeMap<String, Description>,
    query: Query,
}

/// The header of a view.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewHeader {
    #[serde(rename = "view")]
    _is_view: bool,
    grain: Description,
    key: Vec<String>,
    inputs: Vec<String>,
    /// Descriptions of the columns, by name.
    #[serde(default)]
    columns: BTreeMap<String, Description>,
}

/// The key of a header that tells a view from a model.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    view: bool,
}

impl MartView {
    /// Returns the job that computes the rows of the view from the rows of its inputs, and checks
    /// that its key identifies a row. `input` returns the columns and the objects of an input, as
    /// [`JobInput`] has them.
    ///
    /// No job computes a view in a deployment: this one tells its column types, and what the
    /// warehouse and Athena have to show.
    pub fn job(
        &self,
        input: impl Fn(&str) -> (Option<Vec<TableColumn>>, Vec<String>),
    ) -> JobDocument {
        let input = |name: &String| {
            let (columns, objects) = input(name);
            let (table, name) = (view_name(name), name.clone());
            JobInput { table, name, columns, objects, sizes: Vec::new(), days: None }
        };
        JobDocument {
            version: JOB_VERSION,
            id: self.name.clone(),
            model: self.name.clone(),
            partition: JobPartition { column: self.key[0].clone(), value: Partition::Bucket(0) },
            inputs: self.inputs.keys().map(input).collect(),
            views: Vec::new(),
            sql: self.engine_sql(),
            key: self.key.clone(),
            sort: self.key.clone(),
            checks: key_checks(&self.name, &self.key),
            downstream: Vec::new(),
            output: JobOutput {
                key: format!("{}rows/data.parquet", keys::gold_model(&self.name)),
                expected_etag: None,
                version: 1,
                inputs_digest: String::new(),
            },
            warehouse: None,
            alert: None,
            personal: Vec::new(),
        }
    }

    /// Returns the query for the engines, which have each input as `gold__<model>`.
    fn engine_sql(&self) -> String {
        self.query.render(view_name)
    }

    /// Returns the query for Redshift.
    pub fn redshift_sql(&self) -> String {
        let table = |input: &str| match self.inputs.get(input).and_then(|name| name.split_once('.'))
        {
            Some((schema, table)) => format!("\"{schema}\".\"{table}\""),
            None => input.to_owned(),
        };
        with_types(&self.query.render(table), "varchar(65535)", "double precision")
    }

    /// Returns the query for Athena, with `${gold}` in place of the name of the database.
    pub fn athena_sql(&self) -> String {
        let table = |input: &str| format!("\"${{gold}}\".\"{}\"", short_name(input));
        with_types(&self.query.render(table), "varchar", "double")
    }
}

impl From<&MartView> for IndexedView {
    fn from(view: &MartView) -> Self {
        Self { warehouse: view.warehouse.clone(), sql: view.redshift_sql() }
    }
}

/// Returns whether a file is a view.
pub(crate) fn is_view(file: &str, text: &str) -> bool {
    file.ends_with(".sql") && header::read::<Kind>(text).is_ok_and(|(kind, _)| kind.view)
}

/// Reads the views, given as pairs of path and text, over the tables of `models`. Returns them in
/// the order of their names.
pub(crate) fn read<'a>(
    models: &Models,
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<MartView>, DefinitionError> {
    let mut views = BTreeMap::new();
    for (file, text) in sources {
        let failed = |reason| DefinitionError::new(file, reason);
        let view = view(models, file, text).map_err(failed)?;
        let taken = models.get(&view.name).is_some()
            || models.reference(&view.name).is_some()
            || models.datasets.keys().any(|reference| short_name(reference) == view.name)
            || views.contains_key(&view.name);
        if taken {
            return Err(failed(Reason::NameTaken(view.name)));
        }
        views.insert(view.name.clone(), view);
    }
    Ok(views.into_values().collect())
}

fn view(models: &Models, file: &str, text: &str) -> Result<MartView, Reason> {
    let (mart, name) = definition::split(file).ok_or(Reason::Path)?;
    if mart == definition::INTERMEDIATE {
        let expected = "a model: only the folder of a mart has views";
        return Err(definition::value("view", "true".to_owned(), expected));
    }
    let (header, query): (ViewHeader, _) = header::read(text)?;
    let query = Query::parse(query)?;
    let columns = query.columns()?;
    definition::check_key(&header.key)?;
    let key = header.key.iter().map(|column| ("key", column.as_str()));
    let described = header.columns.keys().map(|column| ("columns", column.as_str()));
    definition::check_named_columns(key.chain(described), &columns)?;
    definition::check_declared_inputs(&header.inputs, &query, None)?;
    let tables: BTreeMap<_, _> = models
        .iter()
        .filter_map(|model| Some((model.reference.as_str(), model.warehouse.as_deref()?)))
        .collect();
    let inputs = header.inputs.into_iter().map(|input| match tables.get(input.as_str()) {
        Some(table) => Ok((input, (*table).to_owned())),
        None => {
            let known = tables.keys().map(|known| (*known).to_owned()).collect();
            Err(Reason::NotInMart { input, known })
        }
    });
    Ok(MartView {
        name: name.to_owned(),
        grain: header.grain,
        key: header.key,
        inputs: inputs.collect::<Result<_, _>>()?,
        warehouse: format!("{mart}.{name}"),
        columns,
        descriptions: header.columns,
        query,
    })
}

/// The portable types of casts that have other names in Redshift or Athena.
static CAST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\sas\s+(string|double)\s*\)").expect("a valid pattern"));

/// Returns the query with these names of the types `string` and `double`.
fn with_types(sql: &str, string: &str, double: &str) -> String {
    let code = code_only(sql);
    let mut found = String::with_capacity(sql.len());
    let mut end = 0;
    for cast in CAST.captures_iter(&code) {
        let Some(name) = cast.get(1) else { continue };
        found.push_str(&sql[end..name.start()]);
        found.push_str(if name.as_str() == "string" { string } else { double });
        end = name.end();
    }
    found.push_str(&sql[end..]);
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::{REFERENCE, contracts, model};

    use super::*;

    /// A view of the model `daily`.
    const MONTHLY: &str = "-- view = true
-- grain = \"one row per shop and month\"
-- key = [\"shop_id\", \"month\"]
-- inputs = [\"gold.daily\"]
--
-- [columns]
-- shop_id = \"The shop.\"

select
    shop_id,
    cast(date_trunc('month', day) as date) as month,
    cast(sum(row_count) as double) as rows_of_month,
    concat(shop_id, 'gold.daily as string)') as note, -- cast(x as string)
    cast(count(*) as string) as days
from gold.daily
group by
    shop_id,
    cast(date_trunc('month', day) as date);
";

    fn sources<'a>(file: &'a str, text: &'a str, daily: &'a str) -> Result<Models, String> {
        let files =
            [("sales/daily.sql", daily), ("reference/weights.csv", REFERENCE), (file, text)];
        Models::from_sources(&contracts(), files).map_err(|error| error.to_string())
    }

    fn error(file: &str, text: &str) -> String {
        sources(file, text, &model(&["silver.sales"], "")).unwrap_err()
    }

    #[test]
    fn a_view_has_the_query_of_each_engine() {
        let daily = model(&["silver.sales"], "");
        let models = sources("finance/monthly.sql", MONTHLY, &daily).unwrap();
        let [view] = models.views() else { panic!("{:?}", models.views()) };
        assert_eq!(view.warehouse, "finance.monthly");
        assert_eq!(view.columns, ["shop_id", "month", "rows_of_month", "note", "days"]);
        assert!(models.get("monthly").is_none(), "no job computes a view");
        let engines = view.engine_sql();
        assert!(engines.contains("from gold__daily\n") && engines.contains("as double) as rows_"));
        for (sql, table, double, string) in [
            (view.redshift_sql(), r#""sales"."daily""#, "double precision", "varchar(65535)"),
            (view.athena_sql(), r#""${gold}"."daily""#, "double", "varchar"),
        ] {
            let expected = engines
                .replace("gold__daily", table)
                .replace("(row_count) as double)", &format!("(row_count) as {double})"))
                .replace("(*) as string)", &format!("(*) as {string})"));
            assert_eq!(sql, expected);
            assert!(sql.contains("'gold.daily as string)'"), "a literal is kept: {sql}");
        }
    }

    #[test]
    fn the_index_has_the_views_of_the_warehouse() {
        let models =
            sources("finance/monthly.sql", MONTHLY, &model(&["silver.sales"], "")).unwrap();
        let index = models.index();
        assert_eq!(index.views[0].warehouse, "finance.monthly");
        assert_eq!(index.views[0].sql, models.views()[0].redshift_sql());
        assert_eq!(index.models.len(), 1);
    }

    #[test]
    fn a_view_reads_tables_of_marts_only() {
        for input in ["silver.sales", "reference.weights", "gold.monthly"] {
            let error = error("finance/monthly.sql", &MONTHLY.replace("gold.daily", input));
            assert!(
                error.ends_with(&format!(
                    "the view reads \"{input}\": expected models with a warehouse table, one of \
                     gold.daily"
                )),
                "{error}"
            );
        }
        let intermediate = [
            ("intermediate/daily.sql", model(&["silver.sales"], "")),
            ("finance/monthly.sql", MONTHLY.to_owned()),
        ];
        let sources = intermediate.iter().map(|(file, text)| (*file, text.as_str()));
        assert!(Models::from_sources(&contracts(), sources).is_err());
    }

    #[test]
    fn a_model_reads_no_view() {
        let daily = model(&["gold.monthly"], "");
        let error = sources("finance/monthly.sql", MONTHLY, &daily).unwrap_err();
        assert!(error.contains("sales/daily.sql: unknown input \"gold.monthly\""), "{error}");
    }

    #[test]
    fn an_invalid_header_of_a_view_is_refused() {
        for (from, to, message) in [
            ("-- view", "-- partition = \"month\"\n-- view", "unknown field `partition`"),
            ("\"shop_id\", \"month\"]", "\"month\"]", "no row belongs to more than one shop"),
            ("\"month\"]", "\"week\"]", "unknown column \"week\" in key"),
            ("shop_id = ", "shop = ", "unknown column \"shop\" in columns"),
            ("[\"gold.daily\"]", "[]", "reads \"gold.daily\", which is not among the inputs"),
            ("view = true", "view = false", "unknown field `view`"),
        ] {
            let error = error("finance/monthly.sql", &MONTHLY.replacen(from, to, 1));
            assert!(
                error.starts_with("glue-sql/finance/monthly.sql: ") && error.contains(message),
                "{error}"
            );
        }
    }

    #[test]
    fn a_view_needs_a_mart_and_a_name_of_its_own() {
        assert!(error("gold/monthly.sql", MONTHLY).contains("expected <mart>/<name>.sql"));
        assert!(error("intermediate/monthly.sql", MONTHLY).contains("only the folder of a mart"));
        for name in ["daily", "sales", "weights"] {
            let error = error(&format!("finance/{name}.sql"), MONTHLY);
            assert!(error.contains(&format!("is called \"{name}\"")), "{error}");
        }
    }
}
