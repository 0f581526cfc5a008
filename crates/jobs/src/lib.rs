//! The documents that travel between the functions: jobs, their results and the messages about
//! dirty partitions, with the [`Partition`] and [`ColumnType`] that all of them share.
//!
//! The planner writes a [`JobDocument`], an engine (DataFusion in Lambda, Spark on Glue) runs it
//! and writes a [`JobResult`], and the load and notify functions read that.

mod column_type;
mod correspondence;
mod document;
mod event;
pub mod metadata;
mod partition;
mod result;
mod time;

pub use column_type::{ColumnType, ColumnTypeError};
pub use correspondence::{Buckets, Correspondence, PartitionKind, Window};
pub use document::{
    Alert, Downstream, InputDays, JOB_VERSION, JobCheck, JobDocument, JobInput, JobOutput,
    JobPartition, Severity, TableColumn, View,
};
pub use event::PartitionDirty;
pub use partition::{Hour, Partition, PartitionError};
pub use result::{
    CheckAlert, CheckRun, FailedCheck, JobOutcome, JobResult, LoadColumn, LoadRequest,
    MAX_FAILED_SHOPS, NO_SHOP, NotifyRequest, Withheld,
};
pub use time::rfc3339;
