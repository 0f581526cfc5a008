//! A lake to write rows into, given as texts, and to run jobs over.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use shoplake_contracts::{Column, Contracts};
use shoplake_engine::{EngineError, Gold, Limits, Output, gold};
use shoplake_jobs::{JobDocument, Partition, metadata};
use shoplake_lake::{Condition, MemoryStore, Metadata, Store};
use shoplake_models::{GoldHead, Listing, Models, Plan};

/// A row as column names and texts; what it does not name is null.
pub(crate) type Row = BTreeMap<&'static str, String>;

pub(crate) struct Lake {
    pub(crate) store: MemoryStore,
    pub(crate) contracts: Contracts,
    pub(crate) models: Models,
}

impl Lake {
    /// An empty lake with the definitions of the repository.
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let contracts = Contracts::load(&root.join("crates/contracts/schemas")).unwrap();
        let models = Models::load(&root.join("glue-sql"), &contracts).unwrap();
        Self { store: MemoryStore::default(), contracts, models }
    }

    /// An empty lake with models of its own.
    pub(crate) fn with_models(sources: &[(&str, &str)]) -> Self {
        let lake = Self::new();
        let models = Models::from_sources(&lake.contracts, sources.iter().copied()).unwrap();
        Self { models, ..lake }
    }

    /// Writes one object of silver.
    pub(crate) async fn write(
        &self,
        dataset: &str,
        folder: &str,
        name: &str,
        rows: &[Row],
    ) -> String {
        let columns = self.contracts.get(dataset).unwrap().columns.clone();
        self.write_columns(dataset, folder, name, &columns, rows).await
    }

    /// Writes one object of silver that has only the given columns.
    pub(crate) async fn write_columns(
        &self,
        dataset: &str,
        folder: &str,
        name: &str,
        columns: &[Column],
        rows: &[Row],
    ) -> String {
        let key = shoplake_lake::keys::silver(dataset, folder, name);
        self.store
            .put(&key, parquet(columns, rows), Metadata::new(), Condition::Always)
            .await
            .unwrap();
        key
    }

    /// Plans as dispatch does: the head of gold first, then the listings.
    pub(crate) async fn plan(&self, model: &str, day: &str) -> Plan {
        let model = self.models.get(model).unwrap();
        let partition: Partition = day.parse().unwrap();
        let head = self.store.head(&model.output_key(partition)).await.unwrap();
        let head = head.as_ref().map(|head| GoldHead::try_from(head).unwrap());
        let mut listing = Listing::new();
        for input in self.models.input_prefixes(model, partition) {
            for prefix in input.prefixes {
                listing
                    .entry(input.input.clone())
                    .or_default()
                    .extend(self.store.list(&prefix).await.unwrap());
            }
        }
        self.models.plan(model, partition, &listing, head.as_ref())
    }

    pub(crate) async fn job(&self, model: &str, day: &str) -> JobDocument {
        match self.plan(model, day).await {
            Plan::Job(job) => *job,
            Plan::UpToDate => panic!("expected a job for {model} {day}"),
        }
    }

    /// Plans and runs.
    pub(crate) async fn run(&self, model: &str, day: &str) -> Result<Output, EngineError> {
        let job = self.job(model, day).await;
        let before = self.store.get(&job.output.key).await.unwrap();
        let before = before.map(|object| Gold::decode(object.bytes).unwrap());
        shoplake_engine::run(&self.store, &job, before.as_ref(), Limits::default()).await
    }

    /// Plans, runs and commits.
    pub(crate) async fn commit(&self, model: &str, day: &str) -> Output {
        let job = self.job(model, day).await;
        let output = self.run(model, day).await.unwrap();
        assert_eq!(output.failed_checks, []);
        let file = gold::encode(&output.clone().into_gold(), &job).unwrap();
        let notes = Metadata::from([
            (metadata::VERSION.to_owned(), job.output.version.to_string()),
            (metadata::INPUTS.to_owned(), job.output.inputs_digest.clone()),
            (metadata::JOB.to_owned(), job.id.clone()),
        ]);
        self.store.put(&job.output.key, file, notes, Condition::Always).await.unwrap();
        output
    }
}

/// The rows as a Parquet file with the given columns.
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

/// Every row as one text, its values divided by `|`.
pub(crate) fn texts(rows: &RecordBatch) -> Vec<String> {
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

/// A row of `pairs`, over the given defaults.
pub(crate) fn row(defaults: &[(&'static str, &str)], pairs: &[(&'static str, &str)]) -> Row {
    defaults.iter().chain(pairs).map(|(column, value)| (*column, (*value).to_owned())).collect()
}
