//! Datasets, each declared once in `schemas/<dataset>.json`, and everything that follows from that
//! file.
//!
//! A [`Contract`] is a compiled schema. It has the columns of the silver table, and it decodes
//! bytes into a typed [`Row`] without building a document. Only a row that fails is read a second
//! time, to [explain](Contract::explain) why. The crate has no Arrow arrays: the webhook links it
//! and must start quickly.

mod column;
mod compile;
mod contract;
mod contracts;
mod decode;
pub mod envelope;
mod error;
mod explain;
mod fields;
mod json;
mod keys;
mod metadata;
mod partitioning;
mod reading;
mod reason;
mod record;
mod run;
mod scalar;
mod shop;
pub mod text;
mod value;
mod window;

pub use column::Column;
pub use contract::{Completeness, Contract, ControlSum, Delivery, Parent};
pub use contracts::Contracts;
pub use decode::{Decode, Ignore, Rejected};
pub use error::ContractError;
pub use metadata::RowMetadata;
pub use partitioning::{Partitioning, PartitioningError};
pub use reading::{ReadEnvelope, ReceiptDays};
pub use reason::{Code, Reason};
pub use record::Record;
pub use run::{RunId, RunIdError};
pub use shop::{BackfillName, BackfillNameError, ShopId, ShopIdError};
pub use shoplake_jobs::{ColumnType, ColumnTypeError, Partition};
pub use value::{Row, Value};
pub use window::TimeWindow;
