//! Renders the SQL that both engines run.

use shoplake_jobs::JobPartition;

/// Returns the name of `reference` in rendered SQL: `silver.pos_sales` becomes `silver__pos_sales`.
pub(crate) fn view_name(reference: &str) -> String {
    reference.replace('.', "__")
}

/// Returns the name of the table with the objects of `reference`, duplicates included.
pub(crate) fn objects_name(reference: &str) -> String {
    format!("{}__objects", view_name(reference))
}

/// Returns the query of a model, restricted to one partition.
pub(crate) fn partition_query(query: &str, partition: &JobPartition) -> String {
    format!(
        "select *\nfrom (\n{query}\n) as model\nwhere {} = {}\n",
        partition.column,
        partition.value.sql()
    )
}

/// How a table is read without duplicates: of the rows with one key, one counts.
pub(crate) struct Deduplication<'a> {
    /// The table with duplicates.
    pub(crate) table: &'a str,
    /// All of its columns.
    pub(crate) columns: Vec<&'a str>,
    /// Columns that identify a row; none of them is ever null.
    pub(crate) key: Vec<&'a str>,
    /// Columns whose highest value wins, the most important one first.
    pub(crate) precedence: Vec<&'a str>,
}

impl Deduplication<'_> {
    /// Returns the query for the rows without duplicates.
    ///
    /// It numbers only the rows of keys that occur twice. Numbering all rows would sort the whole
    /// table, which is slow in DataFusion. Every column takes part in the order, so that the result
    /// never depends on the order of files.
    pub(crate) fn sql(&self) -> String {
        let Self { table, columns, key, precedence } = self;
        let columns_list = columns.join(", ");
        let key_list = key.join(", ");
        let same_key: Vec<_> =
            key.iter().map(|column| format!("candidates.{column} = repeated.{column}")).collect();
        let same_key = same_key.join(" and ");
        let others =
            columns.iter().filter(|column| !key.contains(column) && !precedence.contains(column));
        let order: Vec<_> = precedence
            .iter()
            .chain(others)
            .map(|column| format!("candidates.{column} desc nulls last"))
            .collect();
        let order = order.join(",\n                ");
        let candidates: Vec<_> =
            columns.iter().map(|column| format!("candidates.{column}")).collect();
        let candidates = candidates.join(",\n        ");
        let partition: Vec<_> = key.iter().map(|column| format!("candidates.{column}")).collect();
        let partition = partition.join(", ");
        format!(
            "with repeated as (
    select {key_list}
    from {table}
    group by {key_list}
    having count(*) > 1
),

numbered as (
    select
        {candidates},
        row_number() over (
            partition by {partition}
            order by
                {order}
        ) as _duplicate_number
    from {table} as candidates
    left semi join repeated
    on {same_key}
)

select {columns_list}
from numbered
where _duplicate_number = 1
union all
select {columns_list}
from {table} as candidates
left anti join repeated
on {same_key}
"
        )
    }
}

/// A query for the rows of `table` whose key is not whole: a column of it is null.
pub(crate) fn key_is_null(table: &str, key: &[String]) -> String {
    let nulls: Vec<_> = key.iter().map(|column| format!("{column} is null")).collect();
    format!("select {}\nfrom {table}\nwhere {}\n", key.join(", "), nulls.join("\n    or "))
}

/// Returns a query for the keys that `table` has more than once.
pub(crate) fn key_repeats(table: &str, key: &[String]) -> String {
    let key = key.join(", ");
    format!(
        "select {key}, count(*) as row_count\nfrom {table}\ngroup by {key}\nhaving count(*) > 1\n"
    )
}
