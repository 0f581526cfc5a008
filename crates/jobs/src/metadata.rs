//! Names of a commit's metadata: in the S3 object, and with the prefix `shoplake.` in the Parquet
//! file's key-value metadata.

/// [`JobOutput::version`](crate::JobOutput::version)
pub const VERSION: &str = "version";
/// [`JobOutput::inputs_digest`](crate::JobOutput::inputs_digest)
pub const INPUTS: &str = "inputs";
/// [`JobDocument::id`](crate::JobDocument::id)
pub const JOB: &str = "job";
/// The number of rows.
pub const ROWS: &str = "rows";
/// When the job was planned: the commit holds what was written before (only in the S3 object).
pub const PLANNED_AT: &str = "planned-at";
/// When the oldest event that the commit adds was received (only in the S3 object, and only if its
/// inputs have that time).
pub const RECEIVED_AT: &str = "received-at";
/// The partitions of other models that the commit dirtied, as JSON (only in the Parquet file).
pub const DIRTIED: &str = "dirtied";
/// The checks that failed, of both severities, as JSON (only in the Parquet file).
pub const FAILED_CHECKS: &str = "failed_checks";
/// The shops whose new rows are withheld, as JSON (only in the Parquet file):
/// [`Withheld`](crate::Withheld).
pub const WITHHELD: &str = "withheld";
/// The failures that are new with the commit, as JSON (only in the Parquet file):
/// [`CheckAlert`](crate::CheckAlert).
pub const ALERT: &str = "alert";
