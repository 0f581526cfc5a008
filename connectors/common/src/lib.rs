//! Common parts of all connectors: fetching a batch page by page and putting it to a stream, whole,
//! however often the process is killed.
//!
//! A [`Run`] takes a [`Batch`] from a [`Source`] (such as a [`PagedApi`]) and wraps each row,
//! unchanged, into an envelope with a deterministic id. After each acknowledged page it writes a
//! [`Checkpoint`] to the lake. At the end it sends a control total, so that a check can compare
//! what was sent with what landed.
//!
//! A connector's process is a [`Task`]: [`task::main`] runs it. A task that polls an API fetches
//! its batches with [`Poll::deliver_all`].

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
mod state;
pub mod task;

pub use batch::Batch;
pub use checkpoint::{Checkpoint, due};
pub use config::{ApiConfig, Destination, page_size, parsed};
pub use dataset::Dataset;
pub use http::{ApiError, PagedApi};
pub use poll::{BatchRequest, Poll};
pub use retry_policy::RetryPolicy;
pub use run::{Run, RunError};
pub use secret::{SecretError, SecretSource};
pub use source::{Page, Source, SourceError};
pub use state::StateObject;
pub use task::{Delivered, Ports, Task, TaskError};
