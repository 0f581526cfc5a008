//! Sources of rows.

use async_trait::async_trait;
use serde_json::value::RawValue;

use crate::ApiError;

/// Hands out the rows of one batch, page by page.
///
/// A source is an API ([`PagedApi`](crate::PagedApi)), a table of a database, or anything else that
/// has a position to continue from. A [`Run`](crate::Run) calls [`page`](Self::page) with the
/// cursor of the page before, and after a crash with the cursor of the last checkpoint, unless the
/// source [cannot resume](Self::may_resume). The rows of a page must not depend on the time
/// of the call beyond what the source itself changes.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns the page at `cursor`; without a cursor, the first page.
    ///
    /// # Errors
    /// When the source does not give the page. The source retries by itself; a run does not.
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError>;

    /// Returns whether the source may hand out a row more than once. If so, a run remembers the key
    /// of each row that it has sent.
    fn may_repeat_rows(&self) -> bool {
        true
    }

    /// Returns whether a later process may continue at a cursor. If not, a batch that was not
    /// completed starts over, with a later run: a source that reads a snapshot gives each run one
    /// snapshot.
    fn may_resume(&self) -> bool {
        true
    }
}

/// Some rows, and where the next ones are.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows as they came: numbers keep their digits, objects the order of their fields.
    pub rows: Vec<Box<RawValue>>,
    /// The cursor of the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// There is no page.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source no longer knows this cursor. Cursors expire; the batch can be read again from its
    /// start.
    #[error("the source refused the cursor that it handed out earlier: {0}")]
    CursorRefused(#[source] ApiError),
    /// An API did not give the page.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A source other than an API did not give the page.
    #[error("{reason}")]
    Unavailable {
        /// What went wrong, and what to do.
        reason: String,
        /// Whether a later run may succeed without any change.
        is_transient: bool,
    },
}

impl SourceError {
    /// Returns whether a later run may succeed without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::CursorRefused(error) | Self::Api(error) => error.is_transient(),
            Self::Unavailable { is_transient, .. } => *is_transient,
        }
    }
}
