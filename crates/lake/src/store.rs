//! The store of a lake: objects by key, with conditional writes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

/// User metadata of an object: lower-case names, ASCII values, 2 KB in all (the limit of S3).
pub type Metadata = BTreeMap<String, String>;

/// The ETag of one version of an object, with its quotes, as S3 returns it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(String);

impl ETag {
    /// Returns the ETag with this header value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole key.
    pub key: String,
    /// The content's version.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When this version was written.
    pub last_modified: DateTime<Utc>,
}

/// The attributes of an object, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The content's version.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When this version was written.
    pub last_modified: DateTime<Utc>,
    /// The metadata that its writer set.
    pub metadata: Metadata,
}

/// An object, read whole.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its attributes.
    pub head: Head,
    /// Its content.
    pub bytes: Bytes,
}

/// The condition of a write. S3 checks it atomically, which makes it the pipeline's only lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Replaces any object: for keys that are computed from the content's input, so that a retry
    /// overwrites its own object.
    Always,
    /// Writes only if the key has no object (`If-None-Match: *`).
    Absent,
    /// Writes only if the object still has this ETag (`If-Match`).
    Matches(ETag),
}

/// The store failed. This is always a fault of the system, never of the data: retry it.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not {action} {key:?} in the lake: {cause}; retry, and if it persists check the bucket's \
     name, its policy and the role"
)]
pub struct StoreError {
    /// The operation: `read`, `list`, `write`, ...
    pub action: &'static str,
    /// The key or the prefix.
    pub key: String,
    /// The store's error.
    pub cause: String,
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Another writer has changed the object since this writer read it, so this one starts over.
    #[error("{key:?} has changed since this writer read it: read it again and start over")]
    Conflict {
        /// The key of the write.
        key: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The folders of [`Store::list_range`], as a range of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folders<'a> {
    prefix: &'a str,
    first: &'a str,
    last: &'a str,
}

impl<'a> Folders<'a> {
    pub(crate) fn new(prefix: &'a str, first: &'a str, last: &'a str) -> Self {
        Self { prefix, first, last }
    }

    pub(crate) fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// Returns a key that precedes all keys of the folders.
    pub(crate) fn start_after(&self) -> String {
        format!("{}{}", self.prefix, self.first)
    }

    /// Returns a key that follows all keys of the folders: `0` is the character after `/`.
    pub(crate) fn end(&self) -> String {
        format!("{}{}0", self.prefix, self.last)
    }

    /// Returns whether the key is in one of the folders.
    pub(crate) fn contain(&self, key: &str) -> bool {
        let folder = key.strip_prefix(self.prefix).and_then(|rest| rest.split_once('/'));
        folder.is_some_and(|(name, _)| {
            name.len() == self.first.len() && (self.first..=self.last).contains(&name)
        })
    }
}

/// A lake's objects.
#[async_trait]
pub trait Store: Send + Sync {
    /// Returns an object with its content; `None` if the key has none.
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// Returns bytes of an object; `None` if the key has no object with this ETag.
    async fn get_range(
        &self,
        key: &str,
        etag: &ETag,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, StoreError> {
        let object = self.get(key).await?.filter(|object| object.head.etag == *etag);
        Ok(object.map(|object| object.bytes.slice(range.start as usize..range.end as usize)))
    }

    /// Returns the attributes of an object; `None` if the key has none.
    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError>;

    /// Returns all objects whose key starts with `prefix`, in the order of their keys.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// Returns all objects in the folders from `<prefix><first>/` to `<prefix><last>/`, both
    /// included, in the order of their keys. It makes one request where a listing of each folder
    /// would make many. Only folders whose names are as long as `first` and `last` count, because
    /// only their keys are in the order of their names. Days are such names.
    async fn list_range(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        let folders = Folders::new(prefix, first, last);
        let mut entries = self.list(prefix).await?;
        entries.retain(|entry| folders.contain(&entry.key));
        Ok(entries)
    }

    /// Returns when the newest object of the folders of [`list_range`](Self::list_range) was
    /// written; `None` if they are empty. It keeps no entry, as a day may have very many.
    async fn newest(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let entries = self.list_range(prefix, first, last).await?;
        Ok(entries.iter().map(|entry| entry.last_modified).max())
    }

    /// Returns the first object whose key starts with `prefix` and follows `after`; `None` if there
    /// is none.
    async fn next(&self, prefix: &str, after: &str) -> Result<Option<Entry>, StoreError> {
        let entries = self.list(prefix).await?;
        Ok(entries.into_iter().find(|entry| entry.key.as_str() > after))
    }

    /// Writes an object if the condition holds, and returns its ETag.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError>;

    /// Deletes an object. A key without an object is not an error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}
