//! Where the lake's objects live and how they are read and written; knows S3 keys, knows no
//! business.

pub mod keys;
pub mod lease;
mod memory;
mod s3;
mod store;

pub use memory::MemoryStore;
pub use s3::S3Store;
pub use store::{Condition, ETag, Entry, Head, Metadata, Object, PutError, Store, StoreError};
