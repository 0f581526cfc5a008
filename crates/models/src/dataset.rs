//! The parts of a contract that models use.

use std::collections::BTreeMap;

use shoplake_contracts::{Contract, Contracts, Partitioning};
use shoplake_jobs::TableColumn;

use crate::render::{Deduplication, objects_name};

/// Columns with the time and the envelope in which a row arrived. They decide between rows that are
/// otherwise equal.
const RECEIVED_AT: &str = "_received_at";
const ENVELOPE_ID: &str = "_envelope_id";

/// A dataset, as models read it.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// The columns of its objects.
    pub(crate) columns: Vec<TableColumn>,
    /// The query over the table of its objects that returns each row once.
    pub(crate) deduplicated: String,
    /// Whether its objects are partitioned by day or hour.
    pub(crate) by_day: bool,
}

/// Returns all datasets, by their name in queries: `silver.<dataset>`.
pub(crate) fn all(contracts: &Contracts) -> BTreeMap<String, Dataset> {
    contracts
        .iter()
        .map(|contract| (format!("silver.{}", contract.dataset), dataset(contract)))
        .collect()
}

fn dataset(contract: &Contract) -> Dataset {
    let columns: Vec<_> = contract
        .columns
        .iter()
        .map(|column| TableColumn {
            name: column.name.clone(),
            column_type: column.column_type,
            nullable: column.nullable,
        })
        .collect();
    let deduplication = Deduplication {
        table: &objects_name(&format!("silver.{}", contract.dataset)),
        columns: columns.iter().map(|column| column.name.as_str()).collect(),
        precedence: contract
            .version
            .as_deref()
            .into_iter()
            .chain([RECEIVED_AT, ENVELOPE_ID])
            .filter(|column| contract.position(column).is_some())
            .collect(),
        key: contract.key.iter().map(String::as_str).collect(),
    };
    Dataset {
        deduplicated: deduplication.sql(),
        by_day: matches!(contract.partition, Partitioning::Day(_) | Partitioning::Hour(_)),
        columns,
    }
}
