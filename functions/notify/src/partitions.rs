//! The rows of a model's partitions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoplake_jobs::{NotifyRequest, Partition};
use shoplake_lake::{ETag, Object, Store, keys};
use shoplake_platform::failure::Failure;

use crate::handler::NotifyError;
use crate::rows::{self, Row};

/// A gold object.
pub(crate) struct Gold {
    pub(crate) etag: ETag,
    pub(crate) rows: Vec<Row>,
    /// The places of the rows, by their subjects.
    places: HashMap<String, usize>,
}

/// Reads the partitions of a model from gold, each once.
pub(crate) struct Partitions<'a> {
    store: &'a dyn Store,
    pub(crate) request: &'a NotifyRequest,
    /// The column that names the partition.
    column: String,
    read: Mutex<HashMap<Partition, Option<Arc<Gold>>>>,
}

impl<'a> Partitions<'a> {
    pub(crate) fn new(store: &'a dyn Store, request: &'a NotifyRequest) -> Result<Self, Failure> {
        let column = request
            .key
            .strip_prefix(&keys::gold_model(&request.model))
            .and_then(|rest| rest.split_once('='))
            .map(|(column, _)| column)
            .filter(|column| keys::gold(&request.model, column, request.partition) == request.key);
        let column = column.ok_or_else(|| {
            Failure::permanent(format!(
                "invalid key {:?}: expected gold/<model>/<column>={}/data.parquet",
                request.key, request.partition
            ))
        })?;
        Ok(Self { store, request, column: column.to_owned(), read: Mutex::default() })
    }

    /// Returns the gold object of a partition; `None` if it is not in gold.
    pub(crate) async fn gold(&self, partition: Partition) -> Result<Option<Arc<Gold>>, Failure> {
        if let Some(known) = self.known().get(&partition) {
            return Ok(known.clone());
        }
        let key = keys::gold(&self.request.model, &self.column, partition);
        let object = self.store.get(&key).await.map_err(Failure::retryable)?;
        let read = |object: Object| -> Result<Arc<Gold>, Failure> {
            let rows = rows::read(object.bytes, &self.request.alert, &self.request.identity)
                .map_err(|error| Failure::permanent(format!("the gold object {key:?}: {error}")))?;
            let mut places = HashMap::new();
            for (place, row) in rows.iter().enumerate() {
                places.entry(self.subject(row)).or_insert(place);
            }
            Ok(Arc::new(Gold { etag: object.head.etag, rows, places }))
        };
        let gold = object.map(read).transpose()?;
        self.known().insert(partition, gold.clone());
        Ok(gold)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Partition, Option<Arc<Gold>>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the partition again next time, because it may have changed.
    pub(crate) fn forget(&self, partition: Partition) {
        self.known().remove(&partition);
    }

    /// Returns the partition's row of the same subject as `row`.
    pub(crate) async fn of_subject(
        &self,
        partition: Partition,
        row: &Row,
    ) -> Result<Option<Row>, NotifyError> {
        self.with_subject(partition, &self.subject(row)).await
    }

    /// Returns the partition's row of the subject.
    pub(crate) async fn with_subject(
        &self,
        partition: Partition,
        subject: &str,
    ) -> Result<Option<Row>, NotifyError> {
        let gold = self.gold(partition).await.map_err(NotifyError::Rows)?;
        Ok(gold.and_then(|gold| Some(gold.rows[*gold.places.get(subject)?].clone())))
    }

    /// Returns the subject of a row: its key without the partition. It is JSON, so that different
    /// subjects have different texts.
    pub(crate) fn subject(&self, row: &Row) -> String {
        let columns = self.request.identity.iter().filter(|column| **column != self.column);
        let values: Vec<_> = columns.map(|column| row.columns.get(column)).collect();
        serde_json::json!(values).to_string()
    }
}
