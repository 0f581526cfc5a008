//! The lake as commands read it: objects by prefix, each version fetched once.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shoplake_lake::{ETag, Entry, Metadata, Store};

/// Requests under way at a time.
const CONCURRENCY: usize = 16;

/// A lake whose objects are read again and again while a command waits for them.
pub(crate) struct Lake {
    store: Arc<dyn Store>,
    /// Objects that were read before: hardly any object changes between two looks.
    read: Mutex<HashMap<Version, Bytes>>,
    /// Metadata that was read before.
    heads: Mutex<HashMap<Version, Metadata>>,
}

/// One version of an object.
type Version = (String, ETag);

impl Lake {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, read: Mutex::default(), heads: Mutex::default() }
    }

    /// The objects under a prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        Ok(self.store.list(prefix).await?)
    }

    /// The contents of all objects under a prefix, in the order of their keys.
    pub(crate) async fn bodies(&self, prefix: &str) -> Result<Vec<Bytes>> {
        let entries = self.list(prefix).await?;
        let bodies = stream::iter(entries).map(|entry| self.body(entry)).buffered(CONCURRENCY);
        Ok(bodies.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }

    /// An object's content; `None` if it was deleted since it was listed.
    async fn body(&self, entry: Entry) -> Result<Option<Bytes>> {
        let version = (entry.key, entry.etag);
        let known = lock(&self.read).get(&version).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(object) = self.store.get(&version.0).await? else { return Ok(None) };
        let version = (version.0, object.head.etag);
        lock(&self.read).insert(version, object.bytes.clone());
        Ok(Some(object.bytes))
    }

    /// The lines of the compressed objects under a prefix of bronze or quarantine.
    pub(crate) async fn lines(&self, prefix: &str) -> Result<Vec<Bytes>> {
        let mut lines = Vec::new();
        for body in self.bodies(prefix).await? {
            let mut text = Vec::new();
            MultiGzDecoder::new(body.as_ref())
                .read_to_end(&mut text)
                .with_context(|| format!("an object under {prefix} is not gzip"))?;
            let text = Bytes::from(text);
            let slices = text.split(|byte| *byte == b'\n');
            let filled = slices.filter(|line| !line.trim_ascii().is_empty());
            lines.extend(filled.map(|line| text.slice_ref(line)));
        }
        Ok(lines)
    }

    /// Returns the key and the metadata of each object under a prefix.
    pub(crate) async fn metadata(&self, prefix: &str) -> Result<Vec<(String, Metadata)>> {
        let heads = stream::iter(self.list(prefix).await?)
            .map(|entry| async move {
                let key = entry.key.clone();
                anyhow::Ok((key, self.head(entry).await?))
            })
            .buffered(CONCURRENCY);
        heads.try_collect().await
    }

    /// An object's metadata; empty if it was deleted since it was listed.
    async fn head(&self, entry: Entry) -> Result<Metadata> {
        let version = (entry.key, entry.etag);
        if let Some(known) = lock(&self.heads).get(&version) {
            return Ok(known.clone());
        }
        let Some(head) = self.store.head(&version.0).await? else { return Ok(Metadata::new()) };
        lock(&self.heads).insert((version.0, head.etag), head.metadata.clone());
        Ok(head.metadata)
    }

    /// The rows of all Parquet objects under a prefix, of some columns.
    pub(crate) async fn rows(&self, prefix: &str, columns: &[&str]) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for body in self.bodies(prefix).await? {
            let unreadable = || format!("cannot read a Parquet object under {prefix}");
            let builder =
                ParquetRecordBatchReaderBuilder::try_new(body).with_context(unreadable)?;
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            let reader = builder.with_projection(mask).build().with_context(unreadable)?;
            for batch in reader {
                batches.push(batch.with_context(unreadable)?);
            }
        }
        Ok(batches)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write;

    use arrow::array::ArrayRef;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use parquet::arrow::ArrowWriter;
    use shoplake_lake::{Condition, MemoryStore};

    use super::*;

    /// Writes an object.
    pub(crate) async fn put(store: &MemoryStore, key: &str, body: impl Into<Bytes>) {
        store.put(key, body.into(), Metadata::new(), Condition::Always).await.unwrap();
    }

    /// Writes an object of compressed lines.
    pub(crate) async fn put_lines<L: AsRef<[u8]>>(store: &MemoryStore, key: &str, lines: &[L]) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for line in lines {
            encoder.write_all(line.as_ref()).unwrap();
            encoder.write_all(b"\n").unwrap();
        }
        put(store, key, encoder.finish().unwrap()).await;
    }

    /// Writes an object of rows.
    pub(crate) async fn put_rows(store: &MemoryStore, key: &str, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut body = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut body, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        put(store, key, body).await;
    }
}
