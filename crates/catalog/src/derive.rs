//! Derives tables from contracts and models.

use std::collections::{BTreeMap, BTreeSet};

use shoplake_contracts::{ColumnType, Contract, Contracts, Partitioning};
use shoplake_engine::{DataFusion, EngineError, gold};
use shoplake_jobs::{
    JobDocument, LoadColumn, Partition, PartitionError, PartitionKind, TableColumn,
};
use shoplake_lake::{ETag, MemoryStore, keys};
use shoplake_models::{Description, GoldHead, Listing, MartView, Model, Models, Plan};

use crate::envelopes;
use crate::table::{Catalog, CatalogView, Format, HiveColumn, Table};

/// Why the definitions do not make a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A model or a view fails over inputs without rows, so its columns are unknown.
    #[error("{name:?} fails over inputs without rows: {source}")]
    Columns {
        /// The model or the view.
        name: String,
        /// The error of the engine.
        source: Box<EngineError>,
    },
    /// The planner makes no job for a model.
    #[error("the model {model:?} has no job for a partition that is in gold: this is a defect")]
    Unplanned {
        /// The model.
        model: String,
    },
    /// The partition column of a model has another type than its partitions.
    #[error(
        "the model {model:?} is partitioned by {column:?} of type {actual}: expected {expected}, \
         which names the folders"
    )]
    PartitionType {
        /// The model.
        model: String,
        /// Its partition column.
        column: String,
        /// The type of the column.
        actual: String,
        /// The type of its partitions.
        expected: ColumnType,
    },
    /// The header of a model or a view does not describe each column of its query.
    #[error("the header of {name:?} does not describe the column {column:?}: add it to [columns]")]
    Undescribed {
        /// The model or the view.
        name: String,
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

/// Returns the tables of all datasets and models, and the views.
///
/// # Errors
/// When a dataset or a model does not make a table, or a query does not make a view.
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
    let mut columns_of = BTreeMap::new();
    for model in models.iter() {
        let columns = columns(models, model).await?;
        gold.insert(model.name.clone(), model_table(model, &model.partitioning, &columns)?);
        columns_of.insert(model.reference.clone(), columns);
    }
    let mut views = BTreeMap::new();
    for view in models.views() {
        views.insert(view.name.clone(), described_view(view, &columns_of).await?);
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
        views,
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
            vec![envelopes::bucket(
                "bucket",
                "int",
                &format!("crc32({column}) modulo {}", buckets.count),
                buckets.count,
            )],
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

/// Returns the table of a model with these columns. The partition column is in the objects, too,
/// for readers of single files. The table has it once, as the partition key; engines do not read
/// columns of a Parquet file that the table does not have.
///
/// A folder of an hour has its text, which Athena reads as no timestamp. So the table has the
/// column of the objects and another partition key.
fn model_table(
    model: &Model,
    partitioning: &Partitioning,
    columns: &[LoadColumn],
) -> Result<Table, CatalogError> {
    let expected = match partitioning {
        Partitioning::Day(_) => ColumnType::Date,
        Partitioning::Hour(_) => ColumnType::Timestamp,
        Partitioning::Bucket { .. } => ColumnType::Bigint,
    };
    let partition = columns.iter().find(|column| column.name == model.partition);
    if partition.is_none_or(|column| column.column_type != expected) {
        return Err(CatalogError::PartitionType {
            model: model.name.clone(),
            column: model.partition.clone(),
            actual: partition
                .map_or_else(|| "missing".to_owned(), |column| column.column_type.to_string()),
            expected,
        });
    }
    let description = |column: &str| description(&model.name, &model.descriptions, column);
    let text = description(&model.partition)?;
    let partition_key = match partitioning {
        Partitioning::Day(_) => envelopes::day(&model.partition, text),
        Partitioning::Hour(_) => envelopes::text_of_hour(&model.partition),
        Partitioning::Bucket { buckets, .. } => {
            envelopes::bucket(&model.partition, "bigint", text, buckets.count)
        }
    };
    let others: Vec<_> =
        columns.iter().filter(|column| column.name != partition_key.name).cloned().collect();
    Ok(Table {
        description: model.grain.sentence().into(),
        format: Format::Parquet,
        location: keys::gold_model(&model.name),
        template: format!(
            "{}${{{}}}/",
            keys::gold_values(&model.name, &model.partition),
            partition_key.name
        ),
        columns: described(&model.name, &model.descriptions, &others)?,
        partition_keys: vec![partition_key],
        key: model.key.clone(),
        repeats: false,
        personal: Vec::new(),
        intermediate: model.warehouse.is_none(),
    })
}

/// Returns the view, whose columns follow from those of its inputs, by name.
async fn described_view(
    view: &MartView,
    columns_of: &BTreeMap<String, Vec<LoadColumn>>,
) -> Result<CatalogView, CatalogError> {
    let job = view.job(|input| {
        let columns = columns_of.get(input).into_iter().flatten().map(|column| TableColumn {
            name: column.name.clone(),
            column_type: column.column_type,
            nullable: true,
        });
        (Some(columns.collect()), Vec::new())
    });
    let columns = columns_of_job(&job).await?;
    Ok(CatalogView {
        description: view.grain.sentence().into(),
        columns: described(&view.name, &view.descriptions, &columns)?,
        key: view.key.clone(),
        sql: view.athena_sql(),
    })
}

/// Returns columns with their descriptions in the header of `name`.
fn described(
    name: &str,
    descriptions: &BTreeMap<String, Description>,
    columns: &[LoadColumn],
) -> Result<Vec<HiveColumn>, CatalogError> {
    let column = |column: &LoadColumn| {
        let text = description(name, descriptions, &column.name)?;
        Ok(HiveColumn::new(&column.name, column.column_type, text))
    };
    columns.iter().map(column).collect()
}

fn description<'a>(
    name: &str,
    descriptions: &'a BTreeMap<String, Description>,
    column: &str,
) -> Result<&'a str, CatalogError> {
    descriptions.get(column).map(Description::as_str).ok_or_else(|| CatalogError::Undescribed {
        name: name.to_owned(),
        column: column.to_owned(),
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
    columns_of_job(&job).await
}

/// Returns the columns of the rows of a job without objects.
async fn columns_of_job(job: &JobDocument) -> Result<Vec<LoadColumn>, CatalogError> {
    let output = shoplake_engine::run(&MemoryStore::default(), job, None, &DataFusion::default())
        .await
        .map_err(|source| CatalogError::Columns {
            name: job.model.clone(),
            source: Box::new(source),
        })?;
    Ok(gold::columns(&output.rows.schema()))
}

#[cfg(test)]
mod tests {
    use shoplake_jobs::Buckets;
    use shoplake_testing::definitions;

    use super::*;
    use crate::table::PartitionKey;

    /// The table of a model whose partition column has this type.
    fn table(column_type: ColumnType, partitioning: &Partitioning) -> Result<Table, CatalogError> {
        let (_, models) = definitions();
        let model = models.get("feedback_score").unwrap();
        let column = |name: &str, column_type| LoadColumn { name: name.to_owned(), column_type };
        let columns =
            [column("shop_id", ColumnType::String), column(&model.partition, column_type)];
        model_table(model, partitioning, &columns)
    }

    fn key_of<'a>(table: &'a Table, folder: &str) -> Option<&'a PartitionKey> {
        let catalog = Catalog {
            databases: BTreeMap::from([(
                "gold",
                BTreeMap::from([("feedback_score".to_owned(), table.clone())]),
            )]),
            views: BTreeMap::new(),
        };
        catalog.table_of(&format!("gold/feedback_score/{folder}/data.parquet"))?;
        table.partition_keys.first()
    }

    #[test]
    fn gold_by_day_hour_and_bucket_is_projected_as_its_folders() {
        let day = || "feedback_date".to_owned();
        let daily = table(ColumnType::Date, &Partitioning::Day(day())).unwrap();
        let hourly = table(ColumnType::Timestamp, &Partitioning::Hour(day())).unwrap();
        let buckets = Buckets::new(16);
        let buckets = Partitioning::Bucket { column: "order_id".to_owned(), buckets };
        let bucketed = table(ColumnType::Bigint, &buckets).unwrap();
        for (table, folder, others, key_type, columns) in [
            (&daily, "2026-11-21", ["2026-11-21T09", "0007", "today"], "date", 1),
            (&hourly, "2026-11-21T09", ["2026-11-21", "2026-11-21T24", "0007"], "string", 2),
            (&bucketed, "0015", ["0016", "15", "2026-11-21"], "bigint", 1),
        ] {
            let column = &definitions().1.get("feedback_score").unwrap().partition.clone();
            let key = key_of(table, &format!("{column}={folder}")).unwrap();
            assert_eq!(key.key_type, key_type);
            assert_eq!(table.columns.len(), columns);
            assert!(table.template.ends_with(&format!("/{column}=${{{}}}/", key.name)));
            for other in others {
                assert!(key_of(table, &format!("{column}={other}")).is_none(), "{other}");
            }
        }
    }

    #[test]
    fn a_partition_column_of_another_type_is_refused() {
        let hour = Partitioning::Hour("feedback_date".to_owned());
        let error = table(ColumnType::Date, &hour).unwrap_err().to_string();
        assert!(error.ends_with("of type date: expected timestamp, which names the folders"));
    }
}
