//! The tables of a job. All objects are fetched and their schemas checked before a query runs. Each
//! is decoded once, however many views and checks read it, in as many sessions as the job needs.
//! Tables that do not fit into memory decoded are decoded by each query that reads them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
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
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use shoplake_contracts::Contract;
use shoplake_jobs::{JobDocument, JobInput, metadata};
use shoplake_lake::Store;

use crate::cache::Cache;
use crate::error::EngineError;
use crate::fetch::{self, Fetched};
use crate::session::Limits;
use crate::shops::{self, SHOP};
use crate::{session, types};

/// The number of concurrent requests. S3 serves one in tens of milliseconds, and a day may have
/// thousands of small objects.
const CONCURRENT_READS: usize = 32;

/// The rows that are decoded at once, and the decoded batches of small objects that are put
/// together.
const BATCH_ROWS: usize = 65_536;
const BATCHES: usize = 64;

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

impl Fetched<'_> {
    /// Returns when the object's events arrived: from the metadata of a commit, or from the rows of
    /// a dataset. None if it has neither.
    fn arrival(&self) -> Option<Arrival> {
        let time = self.head.metadata.get(metadata::RECEIVED_AT);
        let of_commit = time.and_then(|time| time.parse().ok());
        let received_at = of_commit.or_else(|| oldest_row(self.footer.metadata()))?;
        Some(Arrival { written_at: self.head.last_modified, received_at })
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

/// The tables of a job.
pub(crate) struct Inputs<'j> {
    job: &'j JobDocument,
    /// The table of each of the job's inputs.
    tables: Vec<Table>,
    /// The objects of the tables that are not decoded.
    objects: Arc<InMemory>,
    /// When the events of the objects arrived.
    pub(crate) arrivals: Vec<Arrival>,
}

/// The rows of an input.
struct Table {
    schema: SchemaRef,
    /// The decoded rows; none if they do not fit into memory.
    rows: Option<Arc<MemTable>>,
}

impl<'j> Inputs<'j> {
    /// Fetches the objects of `job`, checks that they fit their tables, and decodes them.
    pub(crate) async fn fetch(
        store: &dyn Store,
        cache: &Cache,
        job: &'j JobDocument,
        limits: Limits,
    ) -> Result<Self, EngineError> {
        let objects = Arc::new(InMemory::new());
        let mut tables = Vec::with_capacity(job.inputs.len());
        let mut arrivals = Vec::new();
        // Half of the memory that is not for operators.
        let mut room = limits.memory_bytes / 2;
        for input in &job.inputs {
            // Not with map: the compiler cannot prove that a future with its closure is Send.
            let mut reads = Vec::with_capacity(input.objects.len());
            for number in 0..input.objects.len() {
                reads.push(fetch::object(store, cache, input, number));
            }
            let reads = stream::iter(reads).buffered(CONCURRENT_READS);
            let fetched: Vec<Fetched<'_>> = reads.try_collect().await?;
            let schema = schema(input, &fetched)?;
            arrivals.extend(fetched.iter().filter_map(Fetched::arrival));
            let decoded = decode(&schema, &fetched, &mut room, limits.parallelism)
                .map_err(|error| failed(job, input, error))?;
            if decoded.is_none() {
                for (number, fetched) in fetched.into_iter().enumerate() {
                    // Not under its key, which may hold characters with a meaning in URLs.
                    let path = Path::from(format!("{}/{number:06}.parquet", input.table));
                    let bytes = fetched.pieces.into_file();
                    let put = objects.put(&path, bytes.into()).await;
                    put.map_err(|error| failed(job, input, error))?;
                }
            }
            tables.push(Table { schema, rows: decoded.map(Arc::new) });
        }
        Ok(Self { job, tables, objects, arrivals })
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
        for (input, table) in self.job.inputs.iter().zip(&self.tables) {
            let register = || {
                let has_shop = table.has_shop();
                let mut table = table.provider(input)?;
                if let Some(shops) = shops.filter(|_| has_shop) {
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
        for (input, table) in self.job.inputs.iter().zip(&self.tables) {
            if table.has_shop() {
                let shops = shops_of_table(session, &input.table).await;
                found.append(&mut shops.map_err(|error| failed(self.job, input, error))?);
            }
        }
        Ok(found)
    }
}

impl Table {
    fn has_shop(&self) -> bool {
        self.schema.index_of(SHOP).is_ok()
    }

    fn provider(&self, input: &JobInput) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        if let Some(rows) = &self.rows {
            return Ok(rows.clone());
        }
        let url = ListingTableUrl::parse(format!("{ROOT}{}/", input.table))?;
        let options =
            ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let config = ListingTableConfig::new(url)
            .with_listing_options(options)
            .with_schema(self.schema.clone());
        Ok(Arc::new(ListingTable::try_new(config)?))
    }
}

/// Decodes the rows of the fetched row groups; `None` if they do not fit into `room`, which this
/// reduces by their size. Few row groups of an object always fit.
fn decode(
    schema: &SchemaRef,
    objects: &[Fetched<'_>],
    room: &mut usize,
    parallelism: usize,
) -> Result<Option<MemTable>, DataFusionError> {
    let is_whole = objects.iter().all(Fetched::is_whole);
    let (mut batches, mut size) = (Vec::new(), 0);
    for Fetched { pieces, footer, row_groups, .. } in objects {
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(pieces.clone(), footer.clone())
                .with_row_groups(row_groups.clone())
                .with_batch_size(BATCH_ROWS)
                .build()?;
        for batch in reader {
            let batch = with_schema(schema, &batch?)?;
            size += batch.get_array_memory_size();
            batches.push(batch);
        }
        if is_whole && size > *room {
            return Ok(None);
        }
    }
    *room = room.saturating_sub(size);
    let mut partitions = vec![Vec::new(); parallelism.max(1)];
    let mut batches = batches.into_iter();
    for number in 0.. {
        // Each few are dropped once they are put together, so that no row is in memory twice.
        let few: Vec<_> = batches.by_ref().take(BATCHES).collect();
        if few.is_empty() {
            break;
        }
        let partition = number % partitions.len();
        partitions[partition].push(concat_batches(schema, &few)?);
    }
    MemTable::try_new(schema.clone(), partitions).map(Some)
}

/// Returns the rows with the columns of the table. A column that they lack is null.
fn with_schema(schema: &SchemaRef, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
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
