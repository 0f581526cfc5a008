//! From contracts and models to tables.

use std::collections::{BTreeMap, BTreeSet};

use shoplake_contracts::{ColumnType, Contract, Contracts, Partitioning};
use shoplake_engine::{EngineError, Limits, gold};
use shoplake_jobs::{LoadColumn, Partition, PartitionError};
use shoplake_lake::{ETag, MemoryStore, keys};
use shoplake_models::{GoldHead, Listing, Model, Models, Plan};

use crate::envelopes;
use crate::table::{Catalog, Column, Format, PartitionKey, Projection, Table};

/// Definitions that no catalog can be made of.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A model whose columns cannot be found out.
    #[error(
        "the model {model:?} does not run over inputs without rows, so its columns are not known: {source}"
    )]
    Columns {
        /// The model.
        model: String,
        /// What the engine said.
        source: Box<EngineError>,
    },
    /// A model without a job to ask for its columns.
    #[error(
        "the model {model:?} has no job for a partition that is in gold; expected one that computes it anew"
    )]
    Unplanned {
        /// The model.
        model: String,
    },
    /// A model whose partitions are not days.
    #[error(
        "the model {model:?} is partitioned by {column:?}, which is {actual}; expected a date, as it is in the names of folders"
    )]
    PartitionType {
        /// The model.
        model: String,
        /// Its partition column.
        column: String,
        /// What the column is.
        actual: String,
    },
    /// A dataset with a column that is called as a partition key.
    #[error(
        "the dataset {dataset:?} has a column {column:?}, which is also the partition key of its table; a table cannot have both, so rename the field"
    )]
    NameTaken {
        /// The dataset.
        dataset: String,
        /// The column.
        column: String,
    },
    /// The day that stands for all days.
    #[error(transparent)]
    Day(#[from] PartitionError),
}

/// The tables of all datasets and models.
///
/// # Errors
/// When something could not be queried in place.
pub async fn catalog(contracts: &Contracts, models: &Models) -> Result<Catalog, CatalogError> {
    let sources: BTreeSet<_> =
        contracts.iter().flat_map(|contract| &contract.sources).map(String::as_str).collect();
    let bronze =
        sources.into_iter().map(|source| (source.to_owned(), envelopes::bronze(source))).collect();

    let mut silver = BTreeMap::new();
    for contract in contracts.iter() {
        silver.insert(contract.dataset.clone(), dataset(contract)?);
    }

    let mut gold = BTreeMap::new();
    for model in models.iter() {
        let table = model_table(model, &columns(models, model).await?)?;
        let database = if model.reference.starts_with("silver.") { &mut silver } else { &mut gold };
        database.insert(model.name.clone(), table);
    }

    let sent = contracts
        .iter()
        .filter(|contract| contract.parent.is_none() && !contract.sources.is_empty());
    let lines = envelopes::quarantine(sent.map(|contract| contract.dataset.as_str()));
    let quarantine = BTreeMap::from([("lines".to_owned(), lines)]);
    Ok(Catalog {
        databases: BTreeMap::from([
            ("bronze", bronze),
            ("silver", silver),
            ("gold", gold),
            ("quarantine", quarantine),
        ]),
    })
}

fn dataset(contract: &Contract) -> Result<Table, CatalogError> {
    let (folder, partition_keys) = match &contract.partition {
        Partitioning::Day(column) => {
            ("dt=${dt}", vec![envelopes::day("dt", &format!("The day (UTC) of {column}."))])
        }
        Partitioning::Hour(column) => (
            "dt=${dt}/hour=${hour}",
            vec![
                envelopes::day("dt", &format!("The day (UTC) of {column}.")),
                envelopes::hour(&format!("The hour (UTC) of {column}.")),
            ],
        ),
        Partitioning::Bucket { column, buckets } => (
            "bucket=${bucket}",
            vec![PartitionKey {
                name: "bucket".to_owned(),
                key_type: "int",
                description: format!("crc32({column}) modulo {buckets}"),
                projection: Projection::Integer { last: buckets - 1, digits: 4 },
            }],
        ),
    };
    if let Some(key) = partition_keys.iter().find(|key| contract.position(&key.name).is_some()) {
        return Err(CatalogError::NameTaken {
            dataset: contract.dataset.clone(),
            column: key.name.clone(),
        });
    }
    let columns = contract
        .columns
        .iter()
        .map(|column| Column::new(&column.name, column.column_type, &column.description))
        .collect();
    Ok(Table {
        description: contract.description.clone(),
        format: Format::Parquet,
        location: keys::silver_dataset(&contract.dataset),
        template: keys::silver_prefix(&contract.dataset, folder),
        columns,
        partition_keys,
        key: contract.key.clone(),
        repeats: true,
        personal: contract
            .personal
            .iter()
            .filter(|column| contract.position(column).is_some())
            .cloned()
            .collect(),
    })
}

/// The partition column of a model is also in its objects, where whoever reads an object by itself
/// finds it. A table has it only once: as the partition key. Columns of a Parquet file that a table
/// does not have are not read.
fn model_table(model: &Model, columns: &[LoadColumn]) -> Result<Table, CatalogError> {
    let partition = columns.iter().find(|column| column.name == model.partition);
    match partition {
        Some(LoadColumn { column_type: ColumnType::Date, .. }) => {}
        other => {
            return Err(CatalogError::PartitionType {
                model: model.name.clone(),
                column: model.partition.clone(),
                actual: other
                    .map_or_else(|| "missing".to_owned(), |column| column.column_type.to_string()),
            });
        }
    }
    Ok(Table {
        description: capitalised(&model.grain),
        format: Format::Parquet,
        location: keys::gold_model(&model.name),
        template: format!(
            "{}${{{}}}/",
            keys::gold_values(&model.name, &model.partition),
            model.partition
        ),
        columns: columns
            .iter()
            .filter(|column| column.name != model.partition)
            .map(|column| Column::new(&column.name, column.column_type, ""))
            .collect(),
        partition_keys: vec![envelopes::day(
            &model.partition,
            "The day (UTC) that the row is about.",
        )],
        key: model.key.clone(),
        repeats: false,
        personal: Vec::new(),
    })
}

/// What a model's query returns if there is no row at all: the types are the same as ever, since
/// every input is declared.
async fn columns(models: &Models, model: &Model) -> Result<Vec<LoadColumn>, CatalogError> {
    let day: Partition = "2000-01-01".parse()?;
    // As if something had been committed once: a partition that has nothing of its own day would
    // not be planned.
    let head =
        GoldHead { etag: ETag::new("\"\""), version: 0, inputs: String::new(), job: String::new() };
    let Plan::Job(job) = models.plan(model, day, &Listing::new(), Some(&head)) else {
        return Err(CatalogError::Unplanned { model: model.name.clone() });
    };
    let output = shoplake_engine::run(&MemoryStore::default(), &job, None, Limits::default())
        .await
        .map_err(|source| CatalogError::Columns {
            model: model.name.clone(),
            source: Box::new(source),
        })?;
    Ok(gold::columns(&output.rows.schema()))
}

/// `one row per shop` as a sentence.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
