//! The capability of a lake: objects by key, with conditional writes.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

/// User metadata of an object: lower-case names, ASCII values, 2 KB in all (the limit of S3).
pub type Metadata = BTreeMap<String, String>;

/// Names one version of an object's content, as S3 gives it (with its quotes).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(String);

impl ETag {
    /// Takes the header's value as it came.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The header's value.
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

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The content's version.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When this version was written.
    pub last_modified: DateTime<Utc>,
    /// What its writer noted beside it.
    pub metadata: Metadata,
}

/// An object, read whole.
#[derive(Clone, Debug)]
pub struct Object {
    /// What is known of it.
    pub head: Head,
    /// Its content.
    pub bytes: Bytes,
}

/// When a write may happen. S3 decides this atomically, which makes it the pipeline's only lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there is replaced: for names that are computed from the content's input, so that
    /// a retry overwrites itself.
    Always,
    /// Only if there is no object of that key (`If-None-Match: *`).
    Absent,
    /// Only if the object still is this version (`If-Match`).
    Matches(ETag),
}

/// The store could not do it. Always a fault of the system, never of the data: retry it.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not {action} {key:?} in the lake: {cause}; retry, and if it persists check the bucket's name, its policy and the role"
)]
pub struct StoreError {
    /// What was tried: `read`, `list`, `write`, ...
    pub action: &'static str,
    /// The key or the prefix.
    pub key: String,
    /// What the store said.
    pub cause: String,
}

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Another writer was there first: what this writer knew is out of date, and it has to start
    /// over.
    #[error(
        "{key:?} is no longer the version that this writer started from; read it again and start over"
    )]
    Conflict {
        /// The key that was to be written.
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

    /// All keys of the folders come after this one.
    pub(crate) fn start_after(&self) -> String {
        format!("{}{}", self.prefix, self.first)
    }

    /// All keys of the folders come before this one: `0` is the character after `/`.
    pub(crate) fn end(&self) -> String {
        format!("{}{}0", self.prefix, self.last)
    }

    /// Whether the key is in one of the folders.
    pub(crate) fn hold(&self, key: &str) -> bool {
        let folder = key.strip_prefix(self.prefix).and_then(|rest| rest.split_once('/'));
        folder.is_some_and(|(name, _)| {
            name.len() == self.first.len() && (self.first..=self.last).contains(&name)
        })
    }
}

/// A lake's objects.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads an object whole; `None` if there is none.
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// What is known of an object; `None` if there is none.
    async fn head(&self, key: &str) -> Result<Option<Head>, StoreError>;

    /// All objects whose key starts with `prefix`, in the order of their keys.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// All objects in the folders from `<prefix><first>/` to `<prefix><last>/`, both included, in
    /// the order of their keys: what listing each of these folders gives, without a request for
    /// each. Only folders whose names are as long as `first` and `last` count, because only among
    /// those the order of keys is the order of names; days are such names.
    async fn list_range(
        &self,
        prefix: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        let folders = Folders::new(prefix, first, last);
        let mut entries = self.list(prefix).await?;
        entries.retain(|entry| folders.hold(&entry.key));
        Ok(entries)
    }

    /// Writes an object whole, if the condition holds.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<ETag, PutError>;

    /// Removes an object; no error if there is none.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}
