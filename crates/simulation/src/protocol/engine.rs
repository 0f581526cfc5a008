//! The engines of a run: a small one in Rust, which computes the models of
//! [`definitions`](super::definitions) in microseconds, and DataFusion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use async_trait::async_trait;
use shoplake_engine::{Computed, DataFusion, Engine, EngineError, Limits};
use shoplake_jobs::{FailedCheck, JobDocument, Severity};
use shoplake_lake::{Condition, MemoryStore, Object, Store, keys};
use tokio::runtime::Runtime;

use super::decoded::{Batches, Decoded};
use super::definitions::{
    LAST_DAYS, LOOKBACK_DAYS, NO_HOSTILE, OUTAGES, SALES_BY_DAY, VISITS_BY_DAY,
};
use super::planted::Planted;
use super::random::Random;
use super::workload::SHOPS;
use super::world::World;

/// Computes jobs with one of the engines.
pub(crate) struct SimulatedEngine {
    world: Arc<World>,
    random: Random,
    /// Runs DataFusion; none for the small engine.
    datafusion: Option<Runtime>,
    /// The objects of gold that were read, for a planted fault.
    cache: Mutex<BTreeMap<String, Object>>,
}

impl SimulatedEngine {
    /// The small engine, or DataFusion.
    pub(crate) fn new(world: &Arc<World>, is_datafusion: bool) -> Arc<Self> {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Arc::new(Self {
            world: world.clone(),
            random: Random::new("engine", world.seed),
            datafusion: is_datafusion.then(runtime),
            cache: Mutex::default(),
        })
    }

    /// Reads an object; a planted fault keeps those of gold.
    async fn object(&self, store: &dyn Store, key: &str) -> Result<Option<Object>, EngineError> {
        if !key.starts_with(keys::GOLD) || !self.world.plants(Planted::GoldCached) {
            return Ok(store.get(key).await?);
        }
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache().get(key).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let object = store.get(key).await?;
        cache().extend(object.iter().map(|object| (key.to_owned(), object.clone())));
        Ok(object)
    }

    /// Runs the job with DataFusion over a copy of its objects: its threads are not those of the
    /// simulation.
    fn run_datafusion(
        &self,
        runtime: &Runtime,
        job: &JobDocument,
        objects: BTreeMap<String, Object>,
    ) -> Result<Computed, EngineError> {
        let limits = Limits { parallelism: 1, ..Limits::default() };
        runtime.block_on(async {
            let copy = MemoryStore::default();
            for (key, Object { head, bytes }) in objects {
                copy.set_now(head.last_modified);
                let put = copy.put(&key, bytes, head.metadata, Condition::Always).await;
                put.expect("a store in memory takes everything");
            }
            DataFusion::new(limits).compute(&copy, job).await
        })
    }
}

#[async_trait]
impl Engine for SimulatedEngine {
    async fn compute(&self, store: &dyn Store, job: &JobDocument) -> Result<Computed, EngineError> {
        let mut objects = BTreeMap::new();
        for input in &job.inputs {
            for key in &input.objects {
                let Some(object) = self.object(store, key).await? else {
                    let table = input.name.clone();
                    return Err(EngineError::MissingObject { table, key: key.clone() });
                };
                objects.insert(key.clone(), object);
            }
        }
        let mut computed = match &self.datafusion {
            Some(runtime) => self.run_datafusion(runtime, job, objects)?,
            None => {
                let inputs = Inputs::read(&self.world.decoded, &objects);
                let inputs = inputs.map_err(|error| unreadable(job, error.to_string()))?;
                let small = Small { world: &self.world, job, inputs };
                small.compute().map_err(|error| unreadable(job, error))?
            }
        };
        if self.world.plants(Planted::WithheldCommitted) {
            computed.failed_checks.clear();
        }
        if self.world.plants(Planted::AllShopsWithheld) {
            let shops: Vec<_> = SHOPS.iter().map(|shop| (*shop).to_owned()).collect();
            computed.failed_checks.iter_mut().for_each(|failed| failed.shops.clone_from(&shops));
        }
        if self.world.plants(Planted::FailingShopsForgotten) {
            computed.errors.clear();
        }
        if self.world.plants(Planted::RowsUnsorted) && computed.rows.num_rows() > 1 {
            let rows = computed.rows.num_rows() as u32;
            let first = self.random.between(0, u64::from(rows) - 1) as u32;
            let order: UInt32Array = (0..rows).map(|row| (row + first) % rows).collect();
            let taken = take_record_batch(&computed.rows, &order);
            computed.rows = taken.map_err(|error| unreadable(job, error.to_string()))?;
        }
        Ok(computed)
    }
}

fn unreadable(job: &JobDocument, cause: String) -> EngineError {
    EngineError::Unreadable { table: job.model.clone(), key: job.output.key.clone(), cause }
}

/// The rows of the objects of a job, by the folder of their dataset or model.
struct Inputs(BTreeMap<String, Vec<Batches>>);

impl Inputs {
    fn read(decoded: &Decoded, objects: &BTreeMap<String, Object>) -> anyhow::Result<Self> {
        let mut inputs = Self(BTreeMap::new());
        for (key, Object { head, bytes }) in objects {
            let folder = key.split('/').take(2).collect::<Vec<_>>().join(".");
            let batches = if key.starts_with(keys::GOLD) {
                decoded.gold(&head.etag, bytes)?.batches.clone()
            } else {
                decoded.silver(&head.etag, bytes)?
            };
            inputs.0.entry(folder).or_default().push(batches);
        }
        Ok(inputs)
    }

    /// Returns the batches of an input.
    fn of(&self, input: &str) -> impl Iterator<Item = &RecordBatch> {
        self.0.get(input).into_iter().flatten().flat_map(|batches| batches.iter())
    }
}

/// A visit of silver.
struct Visit<'a> {
    shop: &'a str,
    at: i64,
    kind: &'a str,
    amount: i64,
    code: &'a str,
}

/// The small engine, with one job.
struct Small<'a> {
    world: &'a World,
    job: &'a JobDocument,
    inputs: Inputs,
}

/// The sums of a shop.
#[derive(Clone, Copy, Default)]
struct Sums([i64; 4]);

impl Sums {
    fn add(&mut self, values: [i64; 4]) {
        for (sum, value) in self.0.iter_mut().zip(values) {
            *sum += value;
        }
    }
}

impl Small<'_> {
    fn compute(&self) -> Result<Computed, String> {
        let computed = match self.job.model.as_str() {
            VISITS_BY_DAY => self.visits_by_day(),
            SALES_BY_DAY => self.sales_by_day(),
            LAST_DAYS => self.last_days(),
            OUTAGES => self.outages(),
            other => Err(ArrowError::NotYetImplemented(format!("the model {other}"))),
        };
        computed.map_err(|error| error.to_string())
    }

    /// Returns the days of the job's partition since 1970.
    fn day(&self) -> i32 {
        let day = self.job.partition.value.day().unwrap_or_default();
        (day - chrono::NaiveDate::default()).num_days() as i32
    }

    /// Returns the visits of the day. A copy of one does not count.
    fn visits(&self) -> Result<Vec<Visit<'_>>, ArrowError> {
        let mut visits = BTreeMap::new();
        let (mut copies, counts_copies) = (0, self.world.plants(Planted::DuplicatesCounted));
        for batch in self.inputs.of("silver.visits") {
            let (shops, ids) = (texts(batch, "shop_id")?, texts(batch, "event_id")?);
            let (kinds, codes) = (texts(batch, "kind")?, texts(batch, "code")?);
            let (times, amounts) = (micros(batch, "occurred_at")?, integers(batch, "amount")?);
            for row in 0..batch.num_rows() {
                copies += i32::from(counts_copies);
                let visit = Visit {
                    shop: shops.value(row),
                    at: times.value(row),
                    kind: kinds.value(row),
                    amount: amounts.value(row),
                    code: codes.value(row),
                };
                visits.insert((visit.shop, ids.value(row), copies), visit);
            }
        }
        Ok(visits.into_values().collect())
    }

    fn visits_by_day(&self) -> Result<Computed, ArrowError> {
        let mut errors = BTreeMap::new();
        let mut shops: BTreeMap<&str, Sums> = BTreeMap::new();
        for visit in self.visits()? {
            let Ok(code) = visit.code.parse::<i64>() else {
                errors
                    .insert(visit.shop.to_owned(), "Cannot cast string '***' to Int64".to_owned());
                continue;
            };
            let hostile = i64::from(visit.kind == "hostile");
            shops.entry(visit.shop).or_default().add([1, visit.amount, code, hostile]);
        }
        shops.retain(|shop, _| !errors.contains_key(*shop));
        let hostile = shops.iter().filter(|(_, sums)| sums.0[3] > 0);
        let hostile: Vec<_> = hostile.map(|(shop, _)| (*shop).to_owned()).collect();
        let rows = self.rows(&shops, &["visits", "amounts", "codes", "hostile"])?;
        Ok(Computed { failed_checks: failed(hostile), errors, ..computed(rows) })
    }

    fn sales_by_day(&self) -> Result<Computed, ArrowError> {
        let mut sales: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
        let oldest_wins = self.world.plants(Planted::OldVersionWins);
        for batch in self.inputs.of("silver.sales") {
            let (shops, ids) = (texts(batch, "shop_id")?, texts(batch, "sale_id")?);
            let (versions, quantities) =
                (micros(batch, "updated_at")?, integers(batch, "quantity")?);
            for row in 0..batch.num_rows() {
                let key = (shops.value(row), ids.value(row));
                let version = (versions.value(row), quantities.value(row));
                let newest = sales.entry(key).or_insert(version);
                if (version > *newest) != oldest_wins {
                    *newest = version;
                }
            }
        }
        let mut shops: BTreeMap<&str, Sums> = BTreeMap::new();
        for ((shop, _), (_, quantity)) in sales {
            shops.entry(shop).or_default().add([1, quantity, 0, 0]);
        }
        Ok(computed(self.rows(&shops, &["sales", "quantity"])?))
    }

    fn last_days(&self) -> Result<Computed, ArrowError> {
        let mut own = BTreeSet::new();
        let mut shops: BTreeMap<&str, Sums> = BTreeMap::new();
        let first = self.day() - LOOKBACK_DAYS as i32;
        for (input, column, place) in
            [("gold.visits_by_day", "visits", 0), ("gold.sales_by_day", "quantity", 1)]
        {
            for batch in self.inputs.of(input) {
                let (names, days) = (texts(batch, "shop_id")?, dates(batch, "day")?);
                let counts = integers(batch, column)?;
                for row in 0..batch.num_rows() {
                    let shop = names.value(row);
                    if days.value(row) == self.day() {
                        own.insert(shop);
                    }
                    if (first..=self.day()).contains(&days.value(row)) {
                        let mut values = [0; 4];
                        values[place] = counts.value(row);
                        shops.entry(shop).or_default().add(values);
                    }
                }
            }
        }
        shops.retain(|shop, _| own.contains(shop));
        Ok(computed(self.rows(&shops, &["visits", "quantity"])?))
    }

    fn outages(&self) -> Result<Computed, ArrowError> {
        let mut shops: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for visit in self.visits()?.into_iter().filter(|visit| visit.kind == "outage") {
            let (first, last) = shops.entry(visit.shop).or_insert((visit.at, visit.at));
            (*first, *last) = (visit.at.min(*first), visit.at.max(*last));
        }
        let times = |time: fn(&(i64, i64)) -> i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(shops.values().map(time)))
        };
        let rows = RecordBatch::try_from_iter([
            ("shop_id", names(shops.keys())),
            ("day", self.days(shops.len())),
            ("started_at", times(|times| times.0)),
            ("ended_at", times(|times| times.1)),
        ])?;
        Ok(computed(rows))
    }

    /// Returns a row of each shop, with the first sums in `columns`.
    fn rows(
        &self,
        shops: &BTreeMap<&str, Sums>,
        columns: &[&str],
    ) -> Result<RecordBatch, ArrowError> {
        let key = [("shop_id", names(shops.keys())), ("day", self.days(shops.len()))];
        let sums = columns.iter().enumerate().map(|(place, name)| {
            let sums = shops.values().map(|sums| sums.0[place]);
            (*name, Arc::new(Int64Array::from_iter_values(sums)) as ArrayRef)
        });
        RecordBatch::try_from_iter(key.into_iter().chain(sums))
    }

    /// Returns the day of so many rows.
    fn days(&self, rows: usize) -> ArrayRef {
        Arc::new(Date32Array::from(vec![self.day(); rows]))
    }
}

fn computed(rows: RecordBatch) -> Computed {
    let (failed_checks, errors, arrivals) = (Vec::new(), BTreeMap::new(), Vec::new());
    Computed { rows, failed_checks, errors, arrivals }
}

/// Returns the failed check for hostile visits of these shops.
fn failed(shops: Vec<String>) -> Vec<FailedCheck> {
    if shops.is_empty() {
        return Vec::new();
    }
    vec![FailedCheck {
        name: NO_HOSTILE.to_owned(),
        severity: Severity::Error,
        rows: shops.len() as u64,
        shops,
        sample: Vec::new(),
    }]
}

fn names<'a>(names: impl Iterator<Item = &'a &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(names))
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, ArrowError> {
    let column = batch.column(batch.schema_ref().index_of(name)?);
    let expected = std::any::type_name::<T>();
    column.as_any().downcast_ref().ok_or_else(|| {
        ArrowError::SchemaError(format!(
            "the column {name} is {}: expected {expected}",
            column.data_type()
        ))
    })
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, ArrowError> {
    column(batch, name)
}

fn integers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array, ArrowError> {
    column(batch, name)
}

fn dates<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Date32Array, ArrowError> {
    column(batch, name)
}

/// Returns a column of times in microseconds.
fn micros<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a TimestampMicrosecondArray, ArrowError> {
    column(batch, name)
}
