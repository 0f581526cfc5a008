//! What the connectors share: they fetch a batch page by page and put it to a stream, whole,
//! however often they are killed.
//!
//! A [`Run`] takes a [`Batch`] from a [`Source`] (such as a [`PagedApi`]), wraps each row,
//! unchanged, into an envelope with a deterministic id, and writes to the lake after each
//! acknowledged page how far it got. The contract of the [`Dataset`] decides what a row counts. At
//! the end the run sends a control total, so that a check can compare what was sent with what
//! landed. A connector's process is a [`Task`], and its `main` is [`task::main`].

mod batch;
mod checkpoint;
mod config;
mod dataset;
mod envelopes;
mod http;
mod poll;
mod retry_policy;
mod run;
mod secret;
mod seen_rows;
mod source;
pub mod task;

pub use batch::Batch;
pub use checkpoint::{Checkpoint, due};
pub use config::{ApiConfig, Destination, page_size, parsed};
pub use dataset::Dataset;
pub use http::{ApiError, PagedApi};
pub use poll::Poll;
pub use retry_policy::RetryPolicy;
pub use run::{Run, RunError};
pub use secret::{SecretError, SecretSource};
pub use source::{Page, Source, SourceError};
pub use task::{Delivered, Ports, Task, TaskError};
