//! Where rows come from.

use async_trait::async_trait;
use serde_json::value::RawValue;

use crate::ApiError;

/// Hands out the rows of one batch, page by page.
#[async_trait]
pub trait Source: Send + Sync {
    /// The page at `cursor`; without a cursor the first one.
    ///
    /// # Errors
    /// Only after the source has tried what can be tried.
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError>;

    /// Whether a row may be handed out more than once, on any page. If so, a run remembers the key
    /// of each row that it has sent.
    fn may_repeat_rows(&self) -> bool {
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
    /// Whether a later run may succeed without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::CursorRefused(error) | Self::Api(error) => error.is_transient(),
            Self::Unavailable { is_transient, .. } => *is_transient,
        }
    }
}
