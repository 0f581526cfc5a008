//! Derives tables from contracts and models.

use std::collections::{BTreeMap, BTreeSet};

use shoplake_contracts::{ColumnType, Contract, Contracts, Partitioning};
use shoplake_engine::{DataFusion, EngineError, gold};
use shoplake_jobs::{LoadColumn, Partition, PartitionError, PartitionKind};
use shoplake_lake::{ETag, MemoryStore, keys};
use shoplake_models::{Description, GoldHead, Listing, Model, Models, Plan};

use crate::envelopes;
use crate::table::{Catalog, Format, HiveColumn, PartitionKey, Projection, Table};

/// Why the definitions do not make a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A model fails over inputs without rows, so its columns are unknown.
    #[error("the model {model:?} fails over inputs without rows: {source}")]
    Columns {
        /// The model.
        model: String,
        /// The error of the engine.
        source: Box<EngineError>,
    },
    /// The planner makes no job for a model.
    #[error("the model {model:?} has no job for a partition that is in gold: this is a defect")]
    Unplanned {
        /// The model.
        model: String,
    },
    /// The partition column of a model is not a date.
    #[error(
        "the model {model:?} is partitioned by {column:?} of type {actual}: expected a date, which \
         names the folders"
    )]
    PartitionType {
        /// The model.
        model: String,
        /// Its partition column.
        column: String,
        /// The type of the column.
        actual: String,
    },
    /// The header of a model does not describe each column of its query.
    #[error(
        "the header of the model {model:?} does not describe the column {column:?}: add it to \
         [columns]"
    )]
    Undescribed {
        /// The model.
        model: String,
        /// The column.
        column: String,
    },
    /// A column of a dataset has the name of a partition key.
    #[error(
        "the dataset {dataset:?} has a column {column:?}, which is also the partition key of its \
         table: rename the field"
    )]
    NameTaken {
        /// The dataset.
        dataset: String,
        /// The column.
        column: String,
    },
    /// The partition that stands for all of a kind is invalid.
    #[error(transparent)]
    Partition(#[from] PartitionError),
}

/// Returns the tables of all datasets and models.
///
/// # Errors
/// When a dataset or a model does not make a table.
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
        gold.insert(model.name.clone(), table);
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
                description: format!("crc32({column}) modulo {}", buckets.count),
                projection: Projection::Integer { last: buckets.count - 1, digits: 4 },
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
        .map(|column| HiveColumn::new(&column.name, column.column_type, &column.description))
        .collect();
    Ok(Table {
        description: contract.description.clone(),
        format: Format::Parquet,
        location: keys::silver_dataset(&contract.dataset),
        template: keys::silver_folder(&contract.dataset, folder),
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
        intermediate: false,
    })
}

/// Returns the table of a model. The partition column is in the objects, too, for readers of single
/// files. The table has it once, as the partition key; engines do not read columns of a Parquet
/// file that the table does not have.
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
    let description = |column: &str| {
        model.descriptions.get(column).map(Description::as_str).ok_or_else(|| {
            CatalogError::Undescribed { model: model.name.clone(), column: column.to_owned() }
        })
    };
    Ok(Table {
        description: model.grain.sentence().into(),
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
            .map(|column| {
                let text = description(&column.name)?;
                Ok(HiveColumn::new(&column.name, column.column_type, text))
            })
            .collect::<Result<_, CatalogError>>()?,
        partition_keys: vec![envelopes::day(&model.partition, description(&model.partition)?)],
        key: model.key.clone(),
        repeats: false,
        personal: Vec::new(),
        intermediate: model.warehouse.is_none(),
    })
}

/// Returns the columns of a model's query. It runs over inputs without rows, whose types are
/// declared.
async fn columns(models: &Models, model: &Model) -> Result<Vec<LoadColumn>, CatalogError> {
    let partition: Partition = match model.kind() {
        PartitionKind::Hour => "2000-01-01T00",
        PartitionKind::Day => "2000-01-01",
        PartitionKind::Bucket(_) => "0000",
    }
    .parse()?;
    // With an earlier commit, as the planner makes no job for a new partition without inputs.
    let head =
        GoldHead { etag: ETag::new("\"\""), version: 0, inputs: String::new(), job: String::new() };
    let Plan::Job(job) = models.plan(model, partition, &Listing::new(), Some(&head)) else {
        return Err(CatalogError::Unplanned { model: model.name.clone() });
    };
    let output = shoplake_engine::run(&MemoryStore::default(), &job, None, &DataFusion::default())
        .await
        .map_err(|source| CatalogError::Columns {
            model: model.name.clone(),
            source: Box::new(source),
        })?;
    Ok(gold::columns(&output.rows.schema()))
}
