//! The SQL of a copy.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use shoplake_jobs::Partition;

use super::record::{COLUMNS, IS_OLDER, LoadRecord};
use crate::{
    Comments, Identifier, Literal, MartColumn, Statement, TableName, table::join, timestamp,
};

/// The temporary table that a gold object is copied to. It belongs to the session of the
/// transaction, so its name need not be unique.
const STAGE: &str = "\"load_stage\"";

/// Selects the row of the partition in `shoplake.loads`. A parameter has the same cast everywhere,
/// as the server infers one type for each.
const THIS_PARTITION: &str = "model = cast(:model as varchar(256)) \
     and partition_value = cast(:partition_value as varchar(256))";

/// Holds only in the transaction that has claimed this version: a committed version has a row
/// count.
const CLAIMED: &str = "version = cast(:version as bigint) and row_count is null";

/// A committed gold partition to copy to its table.
#[derive(Debug, Clone)]
pub struct PartitionCopy {
    /// The model.
    pub model: String,
    /// The table.
    pub table: TableName,
    /// The columns of the gold object in its order: COPY goes by position.
    pub columns: Vec<MartColumn>,
    /// The table's sort order.
    pub sort: Vec<Identifier>,
    /// The comments of the table and its columns.
    pub comments: Comments,
    /// The column of the table with the partition of a row.
    pub partition_column: Identifier,
    /// The partition to replace.
    pub partition: Partition,
    /// When the inputs of the commit were listed.
    pub planned_at: DateTime<Utc>,
    /// The number of the gold commit, from 1.
    pub version: u64,
    /// The key of the gold object, which is recorded.
    pub key: String,
    /// The gold object, `s3://...`.
    pub source: Literal,
    /// The ARN of the role that reads it.
    pub role: Literal,
}

/// The report of a copy, from its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) record: LoadRecord,
    /// The rows of the gold object.
    pub(super) staged_rows: u64,
}

impl PartitionCopy {
    /// Returns the query for the [`LoadRecord`] of the partition.
    pub(super) fn record(&self) -> Statement {
        self.name(format!("select {COLUMNS}\nfrom shoplake.loads\nwhere {THIS_PARTITION}"))
    }

    /// Returns the first statements of a transaction that registers: locks come before its
    /// snapshot.
    pub(super) fn lock() -> Vec<Statement> {
        vec![Statement::new("lock table shoplake.loads")]
    }

    /// Inserts the row of the partition into `shoplake.loads` if it is missing.
    ///
    /// Two updates of one row conflict in every isolation level. Two inserts of one key do not, as
    /// Redshift enforces no key. So the row exists before the first copy.
    pub(super) fn register(&self) -> Statement {
        self.name(format!(
            "insert into shoplake.loads (model, partition_value, version)
select cast(:model as varchar(256)), cast(:partition_value as varchar(256)), 0
where not exists (select 1 from shoplake.loads where {THIS_PARTITION})"
        ))
    }

    /// Returns the copy as one transaction. The statement at [`REPORT`] returns the outcome.
    ///
    /// The claim comes after the slow COPY, because other copies wait from there on, and before the
    /// partition changes. The second of two concurrent claims waits for the first. Then it sees its
    /// version (READ COMMITTED), or is aborted and run again (SNAPSHOT, SERIALIZABLE).
    pub(super) fn statements(&self) -> Vec<Statement> {
        let table = &self.table;
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
set
    version = cast(:version as bigint),
    planned_at = cast(:planned_at as timestamp),
    row_count = null,
    gold_key = :gold_key
where {THIS_PARTITION}
    and {IS_OLDER}"
            ))
            .bind("planned_at", timestamp::text(self.planned_at))
            .bind("gold_key", &self.key),
            self.claim(format!(
                "delete from {table}
where {} = {}
    and exists (select 1 from shoplake.loads where {THIS_PARTITION} and {CLAIMED})",
                self.partition_column,
                self.partition.sql()
            )),
            self.claim(format!(
                "insert into {table} ({columns})
select {columns}
from {STAGE}
where exists (select 1 from shoplake.loads where {THIS_PARTITION} and {CLAIMED})"
            )),
            self.name(format!(
                "select {COLUMNS}, (select count(*) from {STAGE}) as staged_rows
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
        Statement::new(sql).bind("model", &self.model).bind("partition_value", self.partition)
    }

    fn claim(&self, sql: String) -> Statement {
        self.name(sql).bind("version", self.version)
    }
}

/// The index of the [`Report`] in [`PartitionCopy::statements`].
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
                .map(|(name, portable)| MartColumn {
                    name: name.parse().unwrap(),
                    column_type: portable.parse().unwrap(),
                })
                .to_vec(),
            sort: vec!["shop_id".parse().unwrap()],
            comments: Comments::default(),
            partition_column: "business_date".parse().unwrap(),
            partition: "2010-12-01".parse().unwrap(),
            planned_at: "2010-12-02T03:04:05Z".parse().unwrap(),
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
    fn a_copy_is_one_guarded_transaction() {
        insta::assert_snapshot!(script(&december_first(7).statements()));
    }

    /// `tests/warehouse` loads this bucket.
    #[test]
    fn a_bucket_is_replaced_by_its_number() {
        let columns = [("shop_id", "string"), ("bucket", "bigint"), ("net", "decimal(18,4)")];
        let copy = PartitionCopy {
            columns: columns
                .map(|(name, portable)| MartColumn {
                    name: name.parse().unwrap(),
                    column_type: portable.parse().unwrap(),
                })
                .to_vec(),
            partition_column: "bucket".parse().unwrap(),
            partition: "0007".parse().unwrap(),
            ..december_first(7)
        };
        insta::assert_snapshot!(script(&copy.statements()));
    }

    #[test]
    fn an_hour_is_replaced_by_its_beginning() {
        let copy = PartitionCopy {
            partition_column: "hour".parse().unwrap(),
            partition: "2010-12-01T09".parse().unwrap(),
            ..december_first(7)
        };
        let statements = copy.statements();
        let deletion = statements.iter().find(|statement| statement.sql().starts_with("delete"));
        let deletion = deletion.unwrap();
        assert!(
            deletion.sql().contains("where \"hour\" = cast('2010-12-01 09:00:00' as timestamp)\n"),
            "{}",
            deletion.sql()
        );
        assert_eq!(deletion.parameters()["partition_value"], "2010-12-01T09");
    }

    #[test]
    fn a_registration_starts_with_the_lock() {
        let mut statements = PartitionCopy::lock();
        statements.push(december_first(7).register());
        insta::assert_snapshot!(script(&statements));
    }

    #[test]
    fn the_report_is_the_statement_with_staged_rows() {
        assert!(december_first(7).statements()[REPORT].sql().contains("staged_rows"));
    }
}
