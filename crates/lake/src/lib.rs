//! The lake's objects: their keys, the store that reads and writes them, and leases. This crate
//! knows S3 and nothing about datasets or models.

pub mod keys;
pub mod lease;
mod memory;
mod s3;
mod store;

pub use memory::MemoryStore;
pub use s3::S3Store;
pub use store::{Condition, ETag, Entry, Head, Metadata, Object, PutError, Store, StoreError};
