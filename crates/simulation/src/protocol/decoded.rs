//! The objects of silver and gold as tables. Each object is decoded once: the engine, the
//! warehouse, the invariants and the oracle read the same objects many times, and decoding Parquet
//! takes longer than anything else that they do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shoplake_engine::Gold;
use shoplake_jobs::FailedCheck;
use shoplake_lake::ETag;

use crate::rows::{self, Row};

/// The batches of an object, with times in UTC without a time zone.
pub(crate) type Batches = Arc<[RecordBatch]>;

/// An object of gold.
pub(crate) struct GoldTable {
    /// The rows, in the stored order.
    pub(crate) rows: Vec<Row>,
    /// The same rows for the engine.
    pub(crate) batches: Batches,
    /// The checks that failed.
    pub(crate) failed_checks: Vec<FailedCheck>,
    /// The messages about the partitions that the commit dirtied.
    pub(crate) messages: Vec<String>,
}

/// The objects that a run has decoded, by ETag: each write has an ETag of its own.
#[derive(Default)]
pub(crate) struct Decoded {
    silver: Cache<Batches>,
    gold: Cache<Arc<GoldTable>>,
}

impl Decoded {
    /// Returns the rows of an object of silver.
    pub(crate) fn silver(&self, etag: &ETag, bytes: &Bytes) -> anyhow::Result<Batches> {
        self.silver.get_or_decode(etag, || {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?.build()?;
            reader.map(|batch| -> anyhow::Result<_> { Ok(without_time_zones(&batch?)?) }).collect()
        })
    }

    /// Returns an object of gold.
    pub(crate) fn gold(&self, etag: &ETag, bytes: &Bytes) -> anyhow::Result<Arc<GoldTable>> {
        self.gold.get_or_decode(etag, || {
            let gold = Gold::decode(bytes.clone())?;
            Ok(Arc::new(GoldTable {
                rows: rows::of_batch(&gold.rows)?,
                batches: [without_time_zones(&gold.rows)?].into(),
                failed_checks: gold.failed_checks,
                messages: gold.dirtied.iter().map(|dirty| dirty.event().to_string()).collect(),
            }))
        })
    }
}

/// What was decoded, by ETag.
struct Cache<T>(Mutex<HashMap<ETag, T>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Cache<T> {
    /// Returns what has this ETag. What cannot be decoded is not kept.
    fn get_or_decode(
        &self,
        etag: &ETag,
        decode: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut decoded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = decoded.get(etag) {
            return Ok(known.clone());
        }
        let value = decode()?;
        decoded.insert(etag.clone(), value.clone());
        Ok(value)
    }
}

/// Returns the batch with all times in microseconds of UTC without a time zone, the type that the
/// small engine reads.
fn without_time_zones(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let column = match column.data_type() {
            DataType::Timestamp(..) => {
                cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?
            }
            _ => column.clone(),
        };
        columns.push((field.name().clone(), column));
    }
    RecordBatch::try_from_iter(columns)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_object_is_decoded_once() {
        let (cache, decoded) = (Cache::default(), Cell::new(0));
        let read = |etag: &str| {
            let decode = || {
                decoded.set(decoded.get() + 1);
                Ok(etag.len())
            };
            cache.get_or_decode(&ETag::new(etag), decode).unwrap()
        };
        assert_eq!([read("a"), read("bb"), read("a"), read("bb")], [1, 2, 1, 2]);
        assert_eq!(decoded.get(), 2);
    }

    #[test]
    fn an_unreadable_object_is_an_error_each_time() {
        let (decoded, bytes) = (Decoded::default(), Bytes::from_static(b"not Parquet"));
        for _ in 0..2 {
            assert!(decoded.silver(&ETag::new("a"), &bytes).is_err());
            assert!(decoded.gold(&ETag::new("a"), &bytes).is_err());
        }
    }
}
