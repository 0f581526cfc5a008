//! The lake's objects: their keys, the store that reads and writes them, and the states of
//! partitions. This crate knows S3 and nothing about datasets or models.

pub mod keys;
mod memory;
mod s3;
pub mod shops;
pub mod state;
mod store;

pub use memory::MemoryStore;
pub use s3::S3Store;
pub use store::{Condition, ETag, Entry, Head, Metadata, Object, PutError, Store, StoreError};
