//! The tables of a job: fetched whole, looked at before anything runs, then read by DataFusion column by column.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::{ObjectStoreExt, path::Path};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use shoplake_lake::Store;
use shoplake_models::{JobDocument, JobInput};

use crate::error::EngineError;
use crate::{session, types};

/// Requests under way at once. S3 serves one in tens of milliseconds, so this is what keeps a day of small objects short.
const CONCURRENT_READS: usize = 32;

/// The root of the objects in memory.
const ROOT: &str = "job://inputs/";

/// Registers the tables of `job`.
pub(crate) async fn register(
    session: &SessionContext,
    store: &dyn Store,
    job: &JobDocument,
) -> Result<(), EngineError> {
    let objects = InMemory::new();
    let mut schemas = Vec::with_capacity(job.inputs.len());
    for input in &job.inputs {
        let fetched: Vec<(&String, Bytes)> = stream::iter(&input.objects)
            .map(|key| async move { fetch(store, input, key).await.map(|bytes| (key, bytes)) })
            .buffered(CONCURRENT_READS)
            .try_collect()
            .await?;
        schemas.push(schema(input, &fetched)?);
        for (number, (_, bytes)) in fetched.into_iter().enumerate() {
            // Under a name of its own: a key may hold what a URL would read as something else.
            let path = Path::from(format!("{}/{number:06}.parquet", input.table));
            objects.put(&path, bytes.into()).await.map_err(|error| failed(job, input, error))?;
        }
    }
    let root =
        ObjectStoreUrl::parse(ROOT).map_err(|error| EngineError::sql(&job.model, "its inputs", error))?;
    session::register_objects(session, &root, objects);
    for (input, schema) in job.inputs.iter().zip(schemas) {
        table(session, input, schema).map_err(|error| failed(job, input, error))?;
    }
    Ok(())
}

async fn fetch(store: &dyn Store, input: &JobInput, key: &str) -> Result<Bytes, EngineError> {
    match store.get(key).await? {
        Some(object) => Ok(object.bytes),
        None => Err(EngineError::MissingObject { table: input.name.clone(), key: key.to_owned() }),
    }
}

fn table(session: &SessionContext, input: &JobInput, schema: SchemaRef) -> Result<(), DataFusionError> {
    if input.objects.is_empty() {
        return session.register_table(&input.table, Arc::new(EmptyTable::new(schema))).map(drop);
    }
    let url = ListingTableUrl::parse(format!("{ROOT}{}/", input.table))?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    session.register_table(&input.table, Arc::new(ListingTable::try_new(config)?)).map(drop)
}

fn failed(job: &JobDocument, input: &JobInput, error: impl Into<DataFusionError>) -> EngineError {
    EngineError::sql(&job.model, format!("input {}", input.name), error)
}

/// The schema of the table: the declared one, with which every object has to agree; or else what the objects have.
fn schema(input: &JobInput, objects: &[(&String, Bytes)]) -> Result<SchemaRef, EngineError> {
    let mut found: Vec<FieldRef> = match &input.columns {
        Some(columns) => types::schema(columns).fields().to_vec(),
        None => Vec::new(),
    };
    for (key, bytes) in objects {
        let object = object_schema(input, key, bytes)?;
        for actual in object.fields() {
            let expected = found.iter().find(|field| field.name() == actual.name());
            let portable = types::portable(actual.data_type());
            match (expected, portable) {
                (Some(expected), portable) => {
                    if portable.map(|found| found.arrow()).as_ref() != Some(expected.data_type()) {
                        return Err(EngineError::ColumnType {
                            table: input.name.clone(),
                            key: (*key).clone(),
                            column: actual.name().clone(),
                            expected: name(expected.data_type()),
                            actual: name(actual.data_type()),
                        });
                    }
                }
                (None, Some(portable)) if input.columns.is_none() => {
                    found.push(types::field(actual.name(), portable))
                }
                // A column that the table does not have (any more) is not read.
                (None, _) => {}
            }
        }
        let required = input.columns.iter().flatten().filter(|column| !column.nullable);
        if let Some(missing) = required.into_iter().find(|column| object.index_of(&column.name).is_err()) {
            return Err(EngineError::MissingColumn {
                table: input.name.clone(),
                key: (*key).clone(),
                column: missing.name.clone(),
            });
        }
    }
    Ok(Schema::new(found).into())
}

fn object_schema(input: &JobInput, key: &str, bytes: &Bytes) -> Result<SchemaRef, EngineError> {
    let metadata = ArrowReaderMetadata::load(bytes, ArrowReaderOptions::default()).map_err(|error| {
        EngineError::Unreadable { table: input.name.clone(), key: key.to_owned(), cause: error.to_string() }
    })?;
    Ok(metadata.schema().clone())
}

/// A type's portable name, or else what Arrow calls it.
fn name(data_type: &DataType) -> String {
    types::portable(data_type).map_or_else(|| data_type.to_string(), |portable| portable.to_string())
}
