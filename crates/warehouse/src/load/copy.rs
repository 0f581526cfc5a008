//! The SQL of a partition's copy. Pure.

use serde::Deserialize;
use shoplake_jobs::ColumnType;

use crate::{Column, Identifier, Literal, Statement, TableName, column::Redshift, table::join};

/// The temporary table that a gold object is copied to. It lives in its transaction's session, so
/// its name needs to be no one's own.
const STAGE: &str = "\"load_stage\"";

/// Picks the row of `shoplake.loads` that stands for the partition. Parameters are cast alike
/// wherever they are used, as the server infers one type for each.
const THIS_PARTITION: &str = "model = cast(:model as varchar(256)) and partition_value = cast(:partition_value as varchar(256))";

/// Holds in the transaction that has just claimed this version, and only there: a committed version
/// has its row count.
const CLAIMED: &str = "version = cast(:version as bigint) and row_count is null";

/// A committed gold partition to bring to its table.
#[derive(Debug, Clone)]
pub struct PartitionCopy {
    /// The model.
    pub model: String,
    /// The table.
    pub table: TableName,
    /// The gold object's columns, in the object's order: COPY goes by position.
    pub columns: Vec<Column>,
    /// The table's sort order.
    pub sort: Vec<Identifier>,
    /// The partition to replace.
    pub partition: ColumnValue,
    /// The gold commit's number, from 1.
    pub version: u64,
    /// The gold object's key, for the record.
    pub key: String,
    /// The gold object, `s3://...`.
    pub source: Literal,
    /// The ARN of the role with which Redshift reads it.
    pub role: Literal,
}

/// The value of a table's partition column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnValue {
    /// The column.
    pub column: Identifier,
    /// Its type.
    pub column_type: ColumnType,
    /// Its value as text, such as `2010-12-01`.
    pub value: String,
}

/// What `shoplake.loads` says of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Record {
    /// The version loaded last, 0 if none was.
    pub(super) version: u64,
    /// Its rows; none if none was loaded, or within the transaction that is loading.
    pub(super) row_count: Option<u64>,
}

/// What a copy's transaction reports of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) record: Record,
    /// The gold object's rows.
    pub(super) staged_rows: u64,
}

impl PartitionCopy {
    /// Asks for the partition's [`Record`].
    pub(super) fn record(&self) -> Statement {
        self.name(format!("select version, row_count from shoplake.loads where {THIS_PARTITION}"))
    }

    /// What has to come first in a transaction that registers, before it has its snapshot.
    pub(super) fn lock() -> Vec<Statement> {
        vec![Statement::new("lock table shoplake.loads")]
    }

    /// Makes sure that the partition has its row in `shoplake.loads`, once.
    ///
    /// Two updates of one row conflict in every isolation level; two inserts of one key do not, as
    /// Redshift enforces no key. So the row is there before the first copy.
    pub(super) fn register(&self) -> Statement {
        self.name(format!(
            "insert into shoplake.loads (model, partition_value, version)
select cast(:model as varchar(256)), cast(:partition_value as varchar(256)), 0
where not exists (select 1 from shoplake.loads where {THIS_PARTITION})"
        ))
    }

    /// The copy, as one transaction. The statement at [`REPORT`] says what became of it.
    ///
    /// The claim comes after the slow COPY, as from there on other copies have to wait, and before
    /// the partition is touched: whoever claims second waits for the first, then sees its version
    /// (READ COMMITTED) or is aborted and run again (SNAPSHOT, SERIALIZABLE).
    pub(super) fn statements(&self) -> Vec<Statement> {
        let (table, partition) = (&self.table, &self.partition);
        let columns =
            join(&self.columns.iter().map(|column| &column.name).collect::<Vec<_>>(), ", ");
        vec![
            Statement::new(format!(
                "create temporary table {STAGE} (\n    {}\n)",
                join(&self.columns, ",\n    ")
            )),
            Statement::new(format!(
                "copy {STAGE} from {} iam_role {} format as parquet",
                self.source, self.role
            )),
            self.claim(format!(
                "update shoplake.loads
set version = cast(:version as bigint), row_count = null, gold_key = :gold_key
where {THIS_PARTITION} and version < cast(:version as bigint)"
            ))
            .bind("gold_key", &self.key),
            // The same value under two names, as it is used as a text and as the column's type.
            self.claim(format!(
                "delete from {table}
where {} = cast(:partition as {})
    and exists (select 1 from shoplake.loads where {THIS_PARTITION} and {CLAIMED})",
                partition.column,
                Redshift(partition.column_type)
            ))
            .bind("partition", &partition.value),
            self.claim(format!(
                "insert into {table} ({columns})
select {columns}
from {STAGE}
where exists (select 1 from shoplake.loads where {THIS_PARTITION} and {CLAIMED})"
            )),
            self.name(format!(
                "select version, row_count, (select count(*) from {STAGE}) as staged_rows
from shoplake.loads
where {THIS_PARTITION}"
            )),
            self.claim(format!(
                "update shoplake.loads
set row_count = staged.staged_rows, loaded_at = getdate()
from (select count(*) as staged_rows from {STAGE}) as staged
where {THIS_PARTITION} and {CLAIMED}"
            )),
            Statement::new(format!("drop table {STAGE}")),
        ]
    }

    fn name(&self, sql: String) -> Statement {
        Statement::new(sql)
            .bind("model", &self.model)
            .bind("partition_value", &self.partition.value)
    }

    fn claim(&self, sql: String) -> Statement {
        self.name(sql).bind("version", self.version)
    }
}

/// Where in [`PartitionCopy::statements`] the [`Report`] is.
pub(super) const REPORT: usize = 5;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::statement::script;

    pub(crate) fn december_first(version: u64) -> PartitionCopy {
        PartitionCopy {
            model: "total_sales".into(),
            table: "sales.total_sales".parse().unwrap(),
            columns: [("shop_id", "string"), ("business_date", "date"), ("net", "decimal(18,4)")]
                .map(|(name, portable)| Column {
                    name: name.parse().unwrap(),
                    column_type: portable.parse().unwrap(),
                })
                .to_vec(),
            sort: vec!["shop_id".parse().unwrap()],
            partition: ColumnValue {
                column: "business_date".parse().unwrap(),
                column_type: ColumnType::Date,
                value: "2010-12-01".into(),
            },
            version,
            key: "gold/total_sales/business_date=2010-12-01/data.parquet".into(),
            source: Literal::new(
                "s3://lake/gold/total_sales/business_date=2010-12-01/data.parquet",
            )
            .unwrap(),
            role: Literal::new("arn:aws:iam::000000000000:role/copy").unwrap(),
        }
    }

    #[test]
    fn given_a_partition_when_its_copy_is_rendered_then_it_is_one_guarded_transaction() {
        insta::assert_snapshot!(script(&december_first(7).statements()));
    }

    #[test]
    fn given_a_partition_when_its_registration_is_rendered_then_the_lock_comes_first() {
        let mut statements = PartitionCopy::lock();
        statements.push(december_first(7).register());
        insta::assert_snapshot!(script(&statements));
    }

    #[test]
    fn given_a_copy_when_rendered_then_the_report_is_where_it_is_looked_for() {
        assert!(december_first(7).statements()[REPORT].sql().contains("staged_rows"));
    }
}
