//! Remembers the rows that a batch has sent. Paging does not exclude repeats: a source whose data
//! shifts between two requests hands out a row again on a later page.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use shoplake_lake::{Condition, Metadata, PutError, Store, StoreError};

use crate::{Batch, RunError};

/// Bytes of one entry: fingerprints of key and content, whether there is a quantity, the quantity.
const ENTRY_BYTES: usize = 25;

/// Entries of a segment. The checkpoint holds the last, incomplete segment and is written at every
/// page, so this bounds what is written again: 100 KB.
const SEGMENT_ENTRIES: usize = 4_096;

/// The rows of a batch by key. Takes some 80 bytes of memory per row.
///
/// A key is known by 64 bits of its SHA-256. Two of a million keys collide with a probability of 3
/// in 100 million. The second row of such a pair is then left out as a repeat.
#[derive(Debug, Default)]
pub(crate) struct SeenRows {
    by_key: HashMap<u64, SeenRow>,
    /// Objects that hold the first entries, [`SEGMENT_ENTRIES`] each, named by their SHA-256.
    segments: Vec<String>,
    /// The entries after those.
    tail: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SeenRow {
    content: u64,
    quantity: Option<i64>,
}

/// How a row relates to the rows that the batch has sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// The first row with its key.
    New,
    /// The same key with the same content.
    Repeated,
    /// The same key with other content: silver takes the later row.
    Changed {
        /// What the row with this key counted until now.
        quantity: i64,
    },
}

impl SeenRows {
    /// Records a row. A row that its contract refuses has no quantity; it never replaces a row with
    /// the same key that was accepted, as that one is in silver.
    pub(crate) fn record(&mut self, key: &str, content: &str, quantity: Option<i64>) -> Sighting {
        let key = fingerprint(key.as_bytes());
        let mut row = SeenRow { content: fingerprint(content.as_bytes()), quantity };
        let sighting = match self.by_key.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(row);
                Sighting::New
            }
            Entry::Occupied(entry) if entry.get().content == row.content => {
                return Sighting::Repeated;
            }
            Entry::Occupied(mut entry) => {
                let replaced = entry.get().quantity;
                row.quantity = quantity.or(replaced);
                entry.insert(row);
                Sighting::Changed { quantity: replaced.unwrap_or(0) }
            }
        };
        self.tail.extend_from_slice(&key.to_le_bytes());
        self.tail.extend_from_slice(&row.content.to_le_bytes());
        self.tail.push(u8::from(row.quantity.is_some()));
        self.tail.extend_from_slice(&row.quantity.unwrap_or(0).to_le_bytes());
        sighting
    }

    /// Writes the complete segments. [`saved`](Self::saved) then returns enough to load all rows.
    pub(crate) async fn write_segments(
        &mut self,
        store: &dyn Store,
        batch: &Batch,
    ) -> Result<(), RunError> {
        while self.tail.len() >= SEGMENT_ENTRIES * ENTRY_BYTES {
            let rest = self.tail.split_off(SEGMENT_ENTRIES * ENTRY_BYTES);
            let segment = std::mem::replace(&mut self.tail, rest);
            let digest = hex::encode(Sha256::digest(&segment));
            // The name is the digest of the content, so another run of the batch cannot replace it.
            put(store, batch, &digest, segment).await?;
            self.segments.push(digest);
        }
        Ok(())
    }

    /// Returns the names of the segments, and the remaining entries as hexadecimal digits.
    pub(crate) fn saved(&self) -> (Vec<String>, String) {
        (self.segments.clone(), hex::encode(&self.tail))
    }

    /// Loads what [`saved`](Self::saved) returned. Returns none if a segment is missing or changed.
    pub(crate) async fn load(
        store: &dyn Store,
        batch: &Batch,
        segments: &[String],
        tail: &str,
    ) -> Result<Option<Self>, StoreError> {
        let mut seen = Self { segments: segments.to_vec(), ..Self::default() };
        for digest in segments {
            let object = store.get(&batch.segment_key(digest)).await?;
            match object {
                Some(object) if hex::encode(Sha256::digest(&object.bytes)) == *digest => {
                    seen.read(&object.bytes);
                }
                _ => return Ok(None),
            }
        }
        let Ok(tail) = hex::decode(tail) else { return Ok(None) };
        seen.read(&tail);
        seen.tail = tail;
        Ok(Some(seen))
    }

    /// Empties the segments of a batch that is complete: nothing reads them any more.
    pub(crate) async fn discard(&self, store: &dyn Store, batch: &Batch) -> Result<(), RunError> {
        for digest in &self.segments {
            put(store, batch, digest, Vec::new()).await?;
        }
        Ok(())
    }

    fn read(&mut self, entries: &[u8]) {
        let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
        for entry in entries {
            let number = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&entry[at..at + 8]);
                u64::from_le_bytes(bytes)
            };
            let quantity = (entry[16] == 1).then(|| number(17).cast_signed());
            self.by_key.insert(number(0), SeenRow { content: number(8), quantity });
        }
    }
}

async fn put(
    store: &dyn Store,
    batch: &Batch,
    digest: &str,
    bytes: Vec<u8>,
) -> Result<(), RunError> {
    let key = batch.segment_key(digest);
    match store.put(&key, Bytes::from(bytes), Metadata::new(), Condition::Always).await {
        Ok(_) => Ok(()),
        Err(PutError::Store(error)) => Err(error.into()),
        Err(PutError::Conflict { key }) => Err(RunError::AnotherRun { key }),
    }
}

fn fingerprint(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest[..8].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use shoplake_lake::MemoryStore;

    use super::*;

    fn batch() -> Batch {
        Batch {
            shop: "acme".parse().unwrap(),
            connector: "pos",
            name: "2010-12-01".to_owned(),
            business_date: "2010-12-01".parse().unwrap(),
        }
    }

    #[test]
    fn a_row_is_new_repeated_or_changed() {
        let mut seen = SeenRows::default();
        let changed = |quantity| Sighting::Changed { quantity };

        assert_eq!(seen.record("a/1", "{1}", Some(1)), Sighting::New);
        assert_eq!(seen.record("a/2", "{1}", Some(1)), Sighting::New, "another key");
        assert_eq!(seen.record("a/1", "{1}", Some(1)), Sighting::Repeated);
        assert_eq!(seen.record("a/1", "{5}", Some(5)), changed(1));
        assert_eq!(seen.record("a/1", "{0}", None), changed(5), "refused: the row before it stays");
        assert_eq!(seen.record("a/1", "{7}", Some(7)), changed(5));
        assert_eq!(seen.record("a/3", "{x}", None), Sighting::New);
        assert_eq!(seen.record("a/3", "{2}", Some(2)), changed(0));
    }

    #[tokio::test]
    async fn rows_are_the_same_after_they_were_written_and_loaded() {
        let (store, mut seen) = (MemoryStore::default(), SeenRows::default());
        for number in 0..10_000_i64 {
            let quantity = (number % 3 > 0).then_some(number - 5_000);
            seen.record(&format!("t/{number}"), "{}", quantity);
            if number % 999 == 0 {
                seen.write_segments(&store, &batch()).await.unwrap();
            }
        }
        seen.record("t/1", "{corrected}", Some(i64::MIN));
        seen.write_segments(&store, &batch()).await.unwrap();
        let (segments, tail) = seen.saved();
        assert_eq!((segments.len(), tail.len()), (2, (10_001 - 2 * 4_096) * 2 * ENTRY_BYTES));

        let load = async || SeenRows::load(&store, &batch(), &segments, &tail).await.unwrap();
        let mut loaded = load().await.unwrap();
        assert_eq!(
            (&loaded.by_key, loaded.saved()),
            (&seen.by_key, (segments.clone(), tail.clone()))
        );
        assert_eq!(loaded.record("t/9999", "{}", None), Sighting::Repeated);
        assert_eq!(loaded.record("t/1", "{}", None), Sighting::Changed { quantity: i64::MIN });

        seen.discard(&store, &batch()).await.unwrap();
        assert!(load().await.is_none(), "a segment is no longer what was written");
    }

    #[test]
    fn a_million_rows_take_less_than_a_hundred_megabytes() {
        let mut seen = SeenRows::default();
        for number in 0..1_000_000 {
            seen.record(&format!("t/{number}"), "{}", Some(1));
        }
        // The table doubles when it is seven eighths full, and has a byte per slot besides.
        let slots = (seen.by_key.capacity() * 8 / 7).next_power_of_two();
        let bytes = slots * (size_of::<(u64, SeenRow)>() + 1);
        assert_eq!(seen.by_key.len(), 1_000_000);
        assert!(bytes < 100 << 20, "{bytes}");
    }
}
