//! Renders the SQL that both engines run.

use shoplake_contracts::{Completeness, Partitioning};
use shoplake_jobs::{Buckets, InputDays, Partition};

use crate::models::BUCKET;

/// Returns the name of `reference` in rendered SQL: `silver.pos_sales` becomes `silver__pos_sales`.
pub(crate) fn view_name(reference: &str) -> String {
    reference.replace('.', "__")
}

/// Returns the name of the table with the objects of `reference`, duplicates included.
pub(crate) fn objects_name(reference: &str) -> String {
    format!("{}__objects", view_name(reference))
}

/// Returns the query of a model, restricted to one partition.
///
/// The rows of a bucket get their bucket as a column. The condition also leaves out what a folder
/// has of another bucket, from before the number of buckets was doubled.
pub(crate) fn partition_query(
    query: &str,
    partitioning: &Partitioning,
    partition: Partition,
) -> String {
    let value = partition.sql();
    match partitioning {
        Partitioning::Day(column) | Partitioning::Hour(column) => {
            format!("select *\nfrom (\n{query}\n) as model\nwhere {column} = {value}\n")
        }
        Partitioning::Bucket { column, buckets: Buckets { count, .. } } => format!(
            "select
    *,
    cast({value} as bigint) as {BUCKET}
from (
{query}
) as model
where crc32(cast({column} as string)) % {count} = {value}
"
        ),
    }
}

/// Returns the query for the rows of `table` whose day is one of `days`; for all rows without days.
pub(crate) fn rows_of_days(table: &str, days: Option<&InputDays>) -> String {
    let Some(InputDays { column, first, last }) = days else {
        return format!("select *\nfrom {table}\n");
    };
    let (first, last) = (Partition::Day(*first).sql(), Partition::Day(*last).sql());
    format!("select *\nfrom {table}\nwhere {column} between {first} and {last}\n")
}

/// Returns the name of the view with the runs of a dataset's batches.
pub(crate) fn runs_name(reference: &str) -> String {
    format!("{}__runs", view_name(reference))
}

/// Returns the name of a row's batch, as an expression over the columns of `prefix` (`rows.`).
fn batch_name(batch: &Partitioning, prefix: &str) -> String {
    let column = format!("{prefix}{}", batch.column());
    let day = format!("cast(cast({column} as date) as string)");
    match batch {
        Partitioning::Hour(_) => {
            format!("{day} || 'T' || lpad(cast(extract(hour from {column}) as string), 2, '0')")
        }
        _ => day,
    }
}

/// A quantity that rows do not have.
const UNKNOWN_QUANTITY: &str = "cast(null as bigint)";

/// Returns the query for the runs of the batches of several datasets.
pub(crate) fn batch_runs<'a>(references: impl Iterator<Item = &'a str>) -> String {
    let runs = references.map(|reference| {
        let dataset = reference.strip_prefix("silver.").unwrap_or(reference);
        format!(
            "select
    '{dataset}' as dataset,
    {}
from {}
",
            RUN_COLUMNS.join(",\n    "),
            runs_name(reference)
        )
    });
    runs.collect::<Vec<_>>().join("union all\n")
}

/// The columns of the runs of a dataset's batches. The quantities are null if the rows have none.
const RUN_COLUMNS: [&str; 12] = [
    "shop_id",
    "batch",
    "business_date",
    "run",
    "completed_at",
    "expected_rows",
    "expected_quantity",
    "landed_rows",
    "landed_quantity",
    "rejected_rows",
    "quarantined_rows",
    "is_complete",
];

/// Returns the query for the rows of `table` without those of an envelope that a later generation
/// has read again. The rows of a run are those that it delivered, so the run is part of the
/// envelope's identity.
pub(crate) fn latest_generation<'a>(
    table: &str,
    columns: impl Iterator<Item = &'a str>,
    has_runs: bool,
) -> String {
    let run = |prefix: &str| {
        if has_runs { format!("coalesce({prefix}_run, '')") } else { "''".to_owned() }
    };
    let columns: Vec<_> = columns.map(|column| format!("candidates.{column}")).collect();
    format!(
        "with read_again as (
    select
        shop_id,
        _envelope_id,
        {} as _read_run,
        _generation
    from {table}
    where _generation > 1
),

latest as (
    select
        shop_id,
        _envelope_id,
        _read_run,
        max(_generation) as _latest_generation
    from read_again
    group by
        shop_id,
        _envelope_id,
        _read_run
)

select
    {}
from {table} as candidates
left join latest
    on
        candidates.shop_id = latest.shop_id
        and candidates._envelope_id = latest._envelope_id
        and {} = latest._read_run
where
    latest._latest_generation is null
    or coalesce(candidates._generation, 1) = latest._latest_generation
",
        run(""),
        columns.join(",\n    "),
        run("candidates."),
    )
}

/// Returns the query for the rows of `table` that count with the newest version of their parent: a
/// row counts if its version is at least the parent's, and if the parent is unknown.
pub(crate) fn of_parent(
    table: &str,
    columns: &[&str],
    parents: &str,
    key: &[String],
    version: &str,
) -> String {
    let same_key: Vec<_> =
        key.iter().map(|column| format!("children.{column} = parents.{column}")).collect();
    format!(
        "select
    {}
from {table} as children
left join {parents} as parents
    on
        {}
where
    parents.{version} is null
    or children.{version} >= parents.{version}
",
        children(columns),
        same_key.join("\n        and "),
    )
}

/// Returns the query for the rows of an array that count: those that came with the newest version
/// of their parent. A row of a parent is told from its other rows by its envelope, its receipt, its
/// run, because a row that is delivered again has the same envelope, and its generation, because a
/// corrected decoder reads the same envelope again.
pub(crate) fn of_array(table: &str, columns: &[&str], parents: &str, key: &[String]) -> String {
    let key = key.iter().map(String::as_str).chain(["_envelope_id", "_received_at"]);
    let mut same: Vec<_> =
        key.map(|column| format!("children.{column} = parents.{column}")).collect();
    for (column, none) in [("_run", "''"), ("_generation", "1")] {
        if columns.contains(&column) {
            same.push(format!(
                "coalesce(children.{column}, {none}) = coalesce(parents.{column}, {none})"
            ));
        }
    }
    format!(
        "select
    {}
from {table} as children
left semi join {parents} as parents
    on
        {}
",
        children(columns),
        same.join("\n        and "),
    )
}

fn children(columns: &[&str]) -> String {
    let columns: Vec<_> = columns.iter().map(|column| format!("children.{column}")).collect();
    columns.join(",\n    ")
}

/// The rows of a dataset of which a model has found those that were moved to another day.
pub(crate) struct Moved<'a> {
    /// The rows of the dataset, the moved ones included.
    pub(crate) table: &'a str,
    /// All of its columns.
    pub(crate) columns: Vec<&'a str>,
    /// The columns that identify a row within its day.
    pub(crate) key: &'a [String],
    /// The column whose day is the place of a row.
    pub(crate) place: &'a str,
    /// The moved rows.
    pub(crate) moved: &'a str,
    /// Their column with the day that they left.
    pub(crate) day: &'a str,
}

/// Returns the query for the rows that were not moved.
pub(crate) fn without_moved(rows: &Moved<'_>) -> String {
    let Moved { table, columns, key, place, moved, day } = rows;
    let columns: Vec<_> = columns.iter().map(|column| format!("versions.{column}")).collect();
    let same_key = key.iter().map(|column| format!("versions.{column} = moved.{column}"));
    let same_day = format!("cast(versions.{place} as date) = moved.{day}");
    format!(
        "select
    {}
from {table} as versions
left anti join {moved} as moved
    on
        {}
",
        columns.join(",\n    "),
        same_key.chain([same_day]).collect::<Vec<_>>().join("\n        and "),
    )
}

/// A dataset whose batches are snapshots: of the runs of a batch, the newest complete one counts.
///
/// A run is complete if the distinct rows that landed, in silver or in quarantine, are as many as
/// its control total says, and if their quantities add up to its quantity. The sender does not know
/// the quantity of a rejected row, so the quantities of a run with rows in quarantine are not
/// compared. A run that is not complete counts nothing and hides nothing. Rows and control totals
/// without a run are those of the run `''`, the oldest one: its rows count without a control total
/// as well, until a run of their batch is complete.
pub(crate) struct Snapshots<'a> {
    /// The dataset: `pos_sales`.
    pub(crate) dataset: &'a str,
    /// Its rows, duplicates included.
    pub(crate) table: &'a str,
    /// Its rows, each row of a run once: those of [`Deduplication`] within batch and run.
    pub(crate) landed: &'a str,
    /// The rows of the control totals, duplicates included.
    pub(crate) control_totals: &'a str,
    /// The rows of the quarantine, duplicates included.
    pub(crate) quarantined: &'a str,
    /// All columns of the dataset.
    pub(crate) columns: Vec<&'a str>,
    /// What a batch is.
    pub(crate) batch: &'a Partitioning,
    /// When a run is complete.
    pub(crate) complete: &'a Completeness,
    /// The view with the [runs](Self::runs).
    pub(crate) runs: &'a str,
    /// The view with the [runs that count](Self::newest).
    pub(crate) newest: &'a str,
}

impl Snapshots<'_> {
    /// Returns the query for every run of every batch that has a control total, with its columns
    /// [`RUN_COLUMNS`].
    ///
    /// A batch has few runs, and a run has few rejected lines. So the engine keeps the rows of this
    /// view and of those that follow from it, instead of planning and computing them for each query
    /// that reads them.
    ///
    /// The batch is computed one step before rows are grouped by it: DataFusion confuses a time
    /// with its day where both are grouped at once.
    pub(crate) fn runs(&self) -> String {
        let Self { dataset, table, landed, control_totals, quarantined, .. } = self;
        let batch = batch_name(self.batch, "");
        let Completeness { count, sum } = self.complete;
        // A sum of no rows is 0. That of rows without a quantity is unknown.
        let (quantity, expected, landed_quantity, has_quantity) = match sum {
            Some(sum) => (
                sum.column.as_str(),
                sum.total.as_str(),
                "coalesce(landed.landed_quantity, 0)",
                "\n    and (quarantined_rows > 0 or expected_quantity = landed_quantity)",
            ),
            None => (UNKNOWN_QUANTITY, UNKNOWN_QUANTITY, "landed.landed_quantity", ""),
        };
        let select = |column: &str| match column {
            "is_complete" => {
                format!("expected_rows = landed_rows + rejected_rows{has_quantity} as is_complete")
            }
            column => column.to_owned(),
        };
        let columns: Vec<_> = RUN_COLUMNS.iter().map(|column| select(column)).collect();
        let columns = columns.join(",\n    ");
        format!(
            "with landed_lines as (
    select
        shop_id,
        {batch} as batch,
        coalesce(_run, '') as run,
        {quantity} as quantity
    from {landed}
),

landed as (
    select
        shop_id,
        batch,
        run,
        count(*) as landed_rows,
        sum(quantity) as landed_quantity
    from landed_lines
    group by
        shop_id,
        batch,
        run
),

accepted as (
    select
        shop_id,
        _envelope_id as line_id,
        coalesce(_run, '') as run
    from {table}
),

quarantined_lines as (
    select
        shop_id,
        batch,
        coalesce(run, '') as run,
        case when envelope_id = '_unknown' then origin else envelope_id end as line_id
    from {quarantined}
    where dataset = '{dataset}'
),

quarantined as (
    select
        shop_id,
        batch,
        run,
        count(distinct line_id) as quarantined_rows
    from quarantined_lines
    group by
        shop_id,
        batch,
        run
),

still_quarantined as (
    select
        quarantined_lines.shop_id,
        quarantined_lines.batch,
        quarantined_lines.run,
        quarantined_lines.line_id
    from quarantined_lines
    left anti join accepted
        on
            quarantined_lines.shop_id = accepted.shop_id
            and quarantined_lines.line_id = accepted.line_id
            and quarantined_lines.run = accepted.run
),

rejected as (
    select
        shop_id,
        batch,
        run,
        count(distinct line_id) as rejected_rows
    from still_quarantined
    group by
        shop_id,
        batch,
        run
),

totals as (
    select
        shop_id,
        batch,
        business_date,
        coalesce(run, '') as run,
        completed_at,
        {count} as expected_rows,
        {expected} as expected_quantity
    from {control_totals}
    where dataset = '{dataset}'
),

ranked as (
    select
        shop_id,
        batch,
        business_date,
        run,
        completed_at,
        expected_rows,
        expected_quantity,
        row_number() over (
            partition by shop_id, batch, run
            order by
                completed_at desc,
                business_date desc,
                expected_rows desc,
                expected_quantity desc
        ) as place
    from totals
),

counted as (
    select *
    from ranked
    where place = 1
),

compared as (
    select
        counted.shop_id,
        counted.batch,
        counted.business_date,
        counted.run,
        counted.completed_at,
        counted.expected_rows,
        counted.expected_quantity,
        coalesce(landed.landed_rows, 0) as landed_rows,
        {landed_quantity} as landed_quantity,
        coalesce(rejected.rejected_rows, 0) as rejected_rows,
        coalesce(quarantined.quarantined_rows, 0) as quarantined_rows
    from counted
    left join landed
        on
            counted.shop_id = landed.shop_id
            and counted.batch = landed.batch
            and counted.run = landed.run
    left join rejected
        on
            counted.shop_id = rejected.shop_id
            and counted.batch = rejected.batch
            and counted.run = rejected.run
    left join quarantined
        on
            counted.shop_id = quarantined.shop_id
            and counted.batch = quarantined.batch
            and counted.run = quarantined.run
)

select
    {columns}
from compared
"
        )
    }

    /// Returns the query for the run that counts of each batch with a control total: the newest
    /// complete one; else that of the rows without a run, if no control total compares them; else
    /// none, which is null.
    pub(crate) fn newest(&self) -> String {
        let Self { runs, .. } = self;
        format!(
            "select
    shop_id,
    batch,
    coalesce(
        max(case when is_complete then run end),
        case when min(run) > '' then '' end
    ) as run
from {runs}
group by
    shop_id,
    batch
"
        )
    }

    /// Returns the query for the rows that count, duplicates included.
    pub(crate) fn current(&self) -> String {
        let Self { table, columns, newest, .. } = self;
        let batch = batch_name(self.batch, "candidates.");
        let columns: Vec<_> = columns.iter().map(|column| format!("candidates.{column}")).collect();
        let columns = columns.join(",\n    ");
        format!(
            "select
    {columns}
from {table} as candidates
left join {newest} as newest
    on
        candidates.shop_id = newest.shop_id
        and {batch} = newest.batch
where
    coalesce(candidates._run, '') = newest.run
    or (candidates._run is null and newest.shop_id is null)
"
        )
    }
}

/// How a table is read without duplicates: of the rows with one key, one counts.
pub(crate) struct Deduplication<'a> {
    /// The table with duplicates.
    pub(crate) table: &'a str,
    /// All of its columns.
    pub(crate) columns: Vec<&'a str>,
    /// Columns that identify a row; none of them is ever null.
    pub(crate) key: Vec<&'a str>,
    /// What identifies a row as well, if the key identifies it within that only.
    pub(crate) within: Vec<Within<'a>>,
    /// Columns whose highest value wins, the most important one first.
    pub(crate) precedence: Vec<&'a str>,
}

/// What the key of a row identifies it within.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within<'a> {
    /// The day (UTC) of this column.
    Day(&'a str),
    /// The batch.
    Batch(&'a Partitioning),
    /// The run; `''` for rows without one.
    Run,
}

impl Within<'_> {
    /// Returns its name in a query.
    fn name(self) -> &'static str {
        match self {
            Self::Day(_) => "_key_day",
            Self::Batch(_) => "_key_batch",
            Self::Run => "_key_run",
        }
    }

    /// Returns it as an expression over the columns of `prefix` (`rows.`). It is never null.
    fn sql(self, prefix: &str) -> String {
        match self {
            Self::Day(column) => format!("cast({prefix}{column} as date)"),
            Self::Batch(batch) => batch_name(batch, prefix),
            Self::Run => format!("coalesce({prefix}_run, '')"),
        }
    }
}

impl Deduplication<'_> {
    /// Returns the query for the rows without duplicates.
    ///
    /// It numbers only the rows of keys that occur twice. Numbering all rows would sort the whole
    /// table, which is slow in DataFusion. Every column takes part in the order, so that the result
    /// never depends on the order of files.
    pub(crate) fn sql(&self) -> String {
        let Self { table, columns, key, within, precedence } = self;
        let columns_list = columns.join(", ");
        let listed = |column: fn(&str) -> String, within_sql: &dyn Fn(&Within<'_>) -> String| {
            let columns = key.iter().map(|name| column(name));
            columns.chain(within.iter().map(within_sql)).collect::<Vec<_>>()
        };
        let selected =
            listed(str::to_owned, &|part| format!("{} as {}", part.sql(""), part.name()))
                .join(", ");
        let grouped = listed(str::to_owned, &|part| part.sql("")).join(", ");
        let same_key =
            listed(|column| format!("candidates.{column} = repeated.{column}"), &|part| {
                format!("{} = repeated.{}", part.sql("candidates."), part.name())
            });
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
        let partition =
            listed(|column| format!("candidates.{column}"), &|part| part.sql("candidates."));
        let partition = partition.join(", ");
        format!(
            "with repeated as (
    select {selected}
    from {table}
    group by {grouped}
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
