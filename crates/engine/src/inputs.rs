//! The tables of a job. All objects are fetched and their schemas checked before a query runs.
//! DataFusion then reads them column by column, in as many sessions as the job needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::{ObjectStoreExt, path::Path};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use shoplake_contracts::Contract;
use shoplake_jobs::{JobDocument, JobInput, metadata};
use shoplake_lake::{Object, Store};

use crate::error::EngineError;
use crate::shops::{self, SHOP};
use crate::{session, types};

/// The number of concurrent requests. S3 serves one in tens of milliseconds, and a day may have
/// thousands of small objects.
const CONCURRENT_READS: usize = 32;

/// The URL of the objects in memory.
const ROOT: &str = "job://inputs/";

/// When the events of an input object arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the object was written.
    pub written_at: DateTime<Utc>,
    /// When its oldest event was received.
    pub received_at: DateTime<Utc>,
}

/// A fetched object and its footer.
struct Fetched<'j> {
    key: &'j str,
    object: Object,
    footer: ArrowReaderMetadata,
}

impl Fetched<'_> {
    /// Returns when the object's events arrived: from the metadata of a commit, or from the rows of
    /// a dataset. None if it has neither.
    fn arrival(&self) -> Option<Arrival> {
        let head = &self.object.head;
        let of_commit = head.metadata.get(metadata::RECEIVED_AT).and_then(|time| time.parse().ok());
        let received_at = of_commit.or_else(|| oldest_row(self.footer.metadata()))?;
        Some(Arrival { written_at: head.last_modified, received_at })
    }
}

/// Returns the smallest time of receipt in the file, from its statistics.
fn oldest_row(file: &ParquetMetaData) -> Option<DateTime<Utc>> {
    let [_, received_at] = Contract::METADATA;
    let columns = file.row_groups().iter().flat_map(|group| group.columns());
    columns
        .filter(|column| column.column_path().string() == received_at)
        .filter_map(|column| match column.statistics() {
            Some(Statistics::Int64(microseconds)) => microseconds.min_opt().copied(),
            _ => None,
        })
        .min()
        .and_then(DateTime::from_timestamp_micros)
}

/// The fetched objects of a job.
pub(crate) struct Inputs<'j> {
    job: &'j JobDocument,
    /// The schema of each of the job's inputs.
    schemas: Vec<SchemaRef>,
    objects: Arc<InMemory>,
    /// When the events of the objects arrived.
    pub(crate) arrivals: Vec<Arrival>,
}

impl<'j> Inputs<'j> {
    /// Fetches the objects of `job` and checks that they fit their tables.
    pub(crate) async fn fetch(
        store: &dyn Store,
        job: &'j JobDocument,
    ) -> Result<Self, EngineError> {
        let objects = Arc::new(InMemory::new());
        let mut schemas = Vec::with_capacity(job.inputs.len());
        let mut arrivals = Vec::new();
        for input in &job.inputs {
            // Not with map: the compiler cannot prove that a future with its closure is Send.
            let mut reads = Vec::with_capacity(input.objects.len());
            for key in &input.objects {
                reads.push(fetch(store, input, key));
            }
            let reads = stream::iter(reads).buffered(CONCURRENT_READS);
            let fetched: Vec<Fetched<'_>> = reads.try_collect().await?;
            schemas.push(schema(input, &fetched)?);
            arrivals.extend(fetched.iter().filter_map(Fetched::arrival));
            for (number, fetched) in fetched.into_iter().enumerate() {
                // Not under its key, which may hold characters with a meaning in URLs.
                let path = Path::from(format!("{}/{number:06}.parquet", input.table));
                let bytes = fetched.object.bytes;
                objects
                    .put(&path, bytes.into())
                    .await
                    .map_err(|error| failed(job, input, error))?;
            }
        }
        Ok(Self { job, schemas, objects, arrivals })
    }

    /// Registers the tables with `session`: with all rows, or with those of `shops` only. A table
    /// without a shop has all rows.
    pub(crate) fn register(
        &self,
        session: &SessionContext,
        shops: Option<&[String]>,
    ) -> Result<(), EngineError> {
        let root = ObjectStoreUrl::parse(ROOT)
            .map_err(|error| EngineError::sql(&self.job.model, "its inputs", error))?;
        session::register_objects(session, &root, self.objects.clone());
        for (input, schema) in self.job.inputs.iter().zip(&self.schemas) {
            let register = || {
                let mut table = table(input, schema.clone())?;
                if let Some(shops) = shops.filter(|_| has_shop(schema)) {
                    let rows = session.read_table(table)?.filter(shops::is_one_of(shops))?;
                    table = rows.into_view();
                }
                session.register_table(&input.table, table).map(drop)
            };
            register().map_err(|error| failed(self.job, input, error))?;
        }
        Ok(())
    }

    /// Returns the shops of all tables, which are registered with `session`.
    pub(crate) async fn shops(
        &self,
        session: &SessionContext,
    ) -> Result<BTreeSet<String>, EngineError> {
        let mut found = BTreeSet::new();
        for (input, schema) in self.job.inputs.iter().zip(&self.schemas) {
            if has_shop(schema) {
                let shops = shops_of_table(session, &input.table).await;
                found.append(&mut shops.map_err(|error| failed(self.job, input, error))?);
            }
        }
        Ok(found)
    }
}

fn has_shop(schema: &Schema) -> bool {
    schema.index_of(SHOP).is_ok()
}

async fn shops_of_table(
    session: &SessionContext,
    table: &str,
) -> Result<BTreeSet<String>, DataFusionError> {
    let rows = session.table(table).await?.select_columns(&[SHOP])?.distinct()?;
    let mut found = BTreeSet::new();
    for batch in rows.collect().await? {
        shops::add(&batch, &mut found)?;
    }
    Ok(found)
}

async fn fetch<'j>(
    store: &dyn Store,
    input: &JobInput,
    key: &'j str,
) -> Result<Fetched<'j>, EngineError> {
    let Some(object) = store.get(key).await? else {
        return Err(EngineError::MissingObject { table: input.name.clone(), key: key.to_owned() });
    };
    let footer = ArrowReaderMetadata::load(&object.bytes, ArrowReaderOptions::default()).map_err(
        |error| EngineError::Unreadable {
            table: input.name.clone(),
            key: key.to_owned(),
            cause: error.to_string(),
        },
    )?;
    Ok(Fetched { key, object, footer })
}

/// Returns the table of an input's objects.
fn table(input: &JobInput, schema: SchemaRef) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    if input.objects.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let url = ListingTableUrl::parse(format!("{ROOT}{}/", input.table))?;
    let options =
        ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

fn failed(job: &JobDocument, input: &JobInput, error: impl Into<DataFusionError>) -> EngineError {
    EngineError::sql(&job.model, format!("input {}", input.name), error)
}

/// Returns the schema of the table. If it is declared, every object has to match it. Otherwise it
/// comes from the objects. Of decimals with different precisions it has the widest, because a model
/// whose sum was widened is read together with days that were computed before.
fn schema(input: &JobInput, objects: &[Fetched<'_>]) -> Result<SchemaRef, EngineError> {
    let mut found: Vec<FieldRef> = match &input.columns {
        Some(columns) => types::schema(columns).fields().to_vec(),
        None => Vec::new(),
    };
    for Fetched { key, footer, .. } in objects {
        let object = footer.schema();
        for actual in object.fields() {
            let expected = found.iter_mut().find(|field| field.name() == actual.name());
            let portable = shoplake_gold::portable(actual.data_type());
            match (expected, portable) {
                (Some(expected), portable) => {
                    let arrow = portable.map(|found| found.arrow());
                    if input.columns.is_none()
                        && let Some(wider) =
                            arrow.as_ref().and_then(|arrow| wider(expected.data_type(), arrow))
                    {
                        *expected = Field::new(actual.name(), wider, true).into();
                    } else if arrow.as_ref() != Some(expected.data_type()) {
                        return Err(EngineError::ColumnType {
                            table: input.name.clone(),
                            key: (*key).to_owned(),
                            column: actual.name().clone(),
                            expected: name(expected.data_type()),
                            actual: name(actual.data_type()),
                        });
                    }
                }
                (None, Some(portable)) if input.columns.is_none() => {
                    found.push(types::field(actual.name(), portable))
                }
                // A column that the table lacks is not read.
                (None, _) => {}
            }
        }
        let required = input.columns.iter().flatten().filter(|column| !column.nullable);
        if let Some(missing) =
            required.into_iter().find(|column| object.index_of(&column.name).is_err())
        {
            return Err(EngineError::MissingColumn {
                table: input.name.clone(),
                key: (*key).to_owned(),
                column: missing.name.clone(),
            });
        }
    }
    Ok(Schema::new(found).into())
}

/// Returns the decimal that holds the values of both; `None` unless both are decimals of one scale.
fn wider(one: &DataType, other: &DataType) -> Option<DataType> {
    match (one, other) {
        (DataType::Decimal128(one, scale), DataType::Decimal128(other, same)) if scale == same => {
            Some(DataType::Decimal128(*one.max(other), *scale))
        }
        _ => None,
    }
}

/// Returns the portable name of a type, or Arrow's name for a type that is not portable.
fn name(data_type: &DataType) -> String {
    shoplake_gold::portable(data_type)
        .map_or_else(|| data_type.to_string(), |portable| portable.to_string())
}
