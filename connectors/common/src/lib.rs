//! What the connectors share: they fetch a batch page by page and put it to a stream, whole, however often they are killed.
//!
//! A [`Run`] takes a [`Batch`] from a [`Source`] (such as a [`PagedApi`]), wraps each row, unread and unchanged, into an
//! envelope with a deterministic id, and notes in the lake after each acknowledged page how far it got. At the end it
//! sends a control total, so that a check can compare what was sent with what landed. A connector's process is a [`Task`],
//! and its `main` is [`task::main`].

mod batch;
mod checkpoint;
mod config;
mod envelopes;
mod http;
mod patience;
mod poll;
pub mod read;
mod run;
mod secret;
mod source;
pub mod task;

pub use batch::{Batch, Facts};
pub use checkpoint::{Checkpoint, due};
pub use config::{ApiConfig, Destination, page_size};
pub use http::{ApiError, PagedApi};
pub use patience::Patience;
pub use poll::Poll;
pub use run::{Run, RunError};
pub use secret::{SecretError, SecretSource};
pub use source::{Page, Source, SourceError};
pub use task::{Delivered, Ports, Task, TaskError};
