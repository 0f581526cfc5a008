//! What a dataset is, declared once: `schemas/<dataset>.json`, and everything that is read out of
//! that file.
//!
//! A [`Contract`] is a compiled schema. It names the columns of the silver table and decodes bytes
//! into a typed [`Row`] without building a document; only a row that fails is read a second time,
//! to [explain](Contract::explain) why. No Arrow arrays here: the webhook links this crate and has
//! to start quickly.

mod column;
mod compile;
mod contract;
mod contracts;
mod decode;
pub mod envelope;
mod explain;
mod json;
mod keys;
mod partition;
mod reading;
mod reason;
mod record;
mod scalar;
mod shop;
pub mod text;
mod value;
mod window;

pub use column::Column;
pub use contract::{Contract, Delivery};
pub use contracts::{ContractError, Contracts};
pub use decode::{Decode, Ignore, Rejected, Row, Stamp, Value};
pub use partition::{Partitioning, PartitioningError};
pub use reading::{ReadEnvelope, ReceiptDays};
pub use reason::{Code, Reason};
pub use record::Record;
pub use shop::{BackfillName, BackfillNameError, ShopId, ShopIdError};
pub use shoplake_jobs::{ColumnType, ColumnTypeError, Partition};
pub use window::TimeWindow;
