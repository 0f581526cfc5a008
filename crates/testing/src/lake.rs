//! A lake in memory whose rows are written as texts, with the planner and the engine over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use shoplake_contracts::{Column, Contracts};
use shoplake_engine::{DataFusion, EngineError, Gold, Output, gold};
use shoplake_jobs::{JobDocument, Partition, metadata};
use shoplake_lake::keys::{self, FolderRange};
use shoplake_lake::{Condition, MemoryStore, Metadata, Store};
use shoplake_models::{GoldHead, InputRange, Listing, Models, Plan};

/// A row as column names and texts. A column without a text is null.
pub type Row = BTreeMap<&'static str, String>;

/// A lake with its definitions.
pub struct Lake {
    /// The objects.
    pub store: MemoryStore,
    /// The contracts.
    pub contracts: Contracts,
    /// The models.
    pub models: Models,
}

impl Lake {
    /// Returns an empty lake with the definitions of the repository.
    #[expect(clippy::new_without_default, reason = "it reads files")]
    pub fn new() -> Self {
        let (contracts, models) = crate::definitions();
        Self { store: MemoryStore::default(), contracts, models }
    }

    /// Returns an empty lake with other models.
    pub fn with_models(sources: &[(&str, &str)]) -> Self {
        let lake = Self::new();
        let models = Models::from_sources(&lake.contracts, sources.iter().copied()).unwrap();
        Self { models, ..lake }
    }

    /// Writes an object of silver and returns its key.
    pub async fn write(&self, dataset: &str, folder: &str, name: &str, rows: &[Row]) -> String {
        let columns = self.contracts.get(dataset).unwrap().columns.clone();
        self.write_columns(dataset, folder, name, &columns, rows).await
    }

    /// Writes an object of silver that has only the given columns, and returns its key.
    pub async fn write_columns(
        &self,
        dataset: &str,
        folder: &str,
        name: &str,
        columns: &[Column],
        rows: &[Row],
    ) -> String {
        let key = keys::silver(dataset, Partition::from_silver_folder(folder).unwrap(), name);
        self.store
            .put(&key, parquet(columns, rows), Metadata::new(), Condition::Always)
            .await
            .unwrap();
        key
    }

    /// Plans as dispatch does: the head of gold first, then the listings.
    pub async fn plan(&self, model: &str, day: &str) -> Plan {
        let model = self.models.get(model).unwrap();
        let partition: Partition = day.parse().unwrap();
        let head = self.store.head(&model.output_key(partition)).await.unwrap();
        let head = head.as_ref().map(|head| GoldHead::try_from(head).unwrap());
        let mut listing = Listing::new();
        for InputRange { input, folders } in self.models.input_ranges(model, partition) {
            let FolderRange { prefix, first, last } = &folders;
            let entries = self.store.list_range(prefix, first, last).await.unwrap();
            listing.entry(input).or_default().extend(entries);
        }
        self.models.plan(model, partition, &listing, head.as_ref())
    }

    /// Plans a partition that is not up to date, and returns its job.
    pub async fn job(&self, model: &str, day: &str) -> JobDocument {
        match self.plan(model, day).await {
            Plan::Job(job) => *job,
            Plan::UpToDate => panic!("expected a job for {model} {day}"),
        }
    }

    /// Plans and runs the job of a partition.
    pub async fn run(&self, model: &str, day: &str) -> Result<Output, EngineError> {
        let job = self.job(model, day).await;
        let before = self.store.get(&job.output.key).await.unwrap();
        let before = before.map(|object| Gold::decode(object.bytes).unwrap());
        shoplake_engine::run(&self.store, &job, before.as_ref(), &DataFusion::default()).await
    }

    /// Plans, runs and commits the job of a partition.
    pub async fn commit(&self, model: &str, day: &str) -> Output {
        let job = self.job(model, day).await;
        let output = self.run(model, day).await.unwrap();
        assert_eq!(output.failed_checks, []);
        let file = gold::encode(&output.clone().into_gold(), &job).unwrap();
        let metadata = Metadata::from([
            (metadata::VERSION.to_owned(), job.output.version.to_string()),
            (metadata::INPUTS.to_owned(), job.output.inputs_digest.clone()),
            (metadata::JOB.to_owned(), job.id.clone()),
        ]);
        self.store.put(&job.output.key, file, metadata, Condition::Always).await.unwrap();
        output
    }
}

/// Returns the rows as a Parquet file with the given columns.
fn parquet(columns: &[Column], rows: &[Row]) -> bytes::Bytes {
    let arrays: Vec<ArrayRef> = columns
        .iter()
        .map(|column| {
            let texts: StringArray = rows.iter().map(|row| row.get(column.name.as_str())).collect();
            let array = cast(&texts, &column.column_type.arrow()).unwrap();
            assert_eq!(array.null_count(), texts.null_count(), "{} of {rows:?}", column.name);
            array
        })
        .collect();
    let fields: Vec<Field> = columns.iter().map(Column::field).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, schema.clone(), None).unwrap();
    writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
    writer.close().unwrap();
    file.into()
}

/// Returns every row as one text, its values divided by `|`.
pub fn texts(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> = rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..rows.num_rows())
        .map(|row| {
            columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")
        })
        .collect()
}

/// Returns a row of `defaults`, replaced by `pairs` where both have a column.
pub fn row(defaults: &[(&'static str, &str)], pairs: &[(&'static str, &str)]) -> Row {
    defaults.iter().chain(pairs).map(|(column, value)| (*column, (*value).to_owned())).collect()
}

/// Returns a row of `pos_sales`, one unit at 1 pound on 2010-12-01, with `pairs` replaced. Its
/// envelope has the id that the connector gives it, unless `pairs` has another.
pub fn sale(pairs: &[(&'static str, &str)]) -> Row {
    let mut row = row(
        &[
            ("shop_id", "acme"),
            ("transaction_id", "t1"),
            ("line_no", "1"),
            ("store_id", "s1"),
            ("region", "north"),
            ("product_id", "p1"),
            ("quantity", "1"),
            ("unit_price", "1"),
            ("discount", "0"),
            ("currency", "GBP"),
            ("sold_at", "2010-12-01T10:00:00Z"),
            ("business_date", "2010-12-01"),
            ("_received_at", "2010-12-02T00:00:00Z"),
        ],
        pairs,
    );
    let envelope =
        format!("pos/{}/{}/{}", row["business_date"], row["transaction_id"], row["line_no"]);
    row.entry("_envelope_id").or_insert(envelope);
    row
}
