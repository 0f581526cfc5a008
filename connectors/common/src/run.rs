//! One run: from where the last one got to, to the end of the batch.

use std::collections::HashSet;

use serde_json::value::RawValue;
use shoplake_lake::{Store, StoreError};
use shoplake_platform::{
    clock::Clock,
    stream::{PutError, Stream, pack},
};

use crate::{
    Batch, Checkpoint, Facts, Page, Source, SourceError,
    checkpoint::Notebook,
    envelopes::{control_total, wrap},
};

/// Takes one batch from its source to the stream.
///
/// A run that failed is gone on with: the next one begins after the last acknowledged page, with the totals up to there.
/// A run of a completed batch takes it again from the start, with the same ids: that is how a day is delivered again.
pub struct Run<'a> {
    /// What is fetched.
    pub batch: &'a Batch,
    /// Where from.
    pub source: &'a dyn Source,
    /// Reads the few fields of a row that the connector uses.
    pub describe: fn(&RawValue) -> Facts,
    /// Where to.
    pub stream: &'a dyn Stream,
    /// The stream's name.
    pub stream_name: &'a str,
    /// Keeps the checkpoint.
    pub store: &'a dyn Store,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// The batch is not complete. Nothing is lost: run it again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The source did not give a page.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source's pages lead in a circle.
    #[error(
        "page {page} leads to the cursor {cursor:?} for the second time, expected a new one or null; the source is faulty"
    )]
    Circle {
        /// The page, from 1.
        page: u64,
        /// The cursor.
        cursor: String,
    },
    /// The stream did not take everything.
    #[error(transparent)]
    Stream(#[from] PutError),
    /// The checkpoint could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two runs of one batch at the same time.
    #[error("another run of this batch is writing {key:?}; this one leaves it to that")]
    AnotherRun {
        /// The checkpoint.
        key: String,
    },
    /// Something of our own could not be written as JSON.
    #[error("could not write JSON: {0}")]
    Json(#[source] serde_json::Error),
}

impl RunError {
    /// Whether running again may succeed without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::Stream(error) => error.reason.is_transient(),
            Self::Store(_) | Self::AnotherRun { .. } => true,
            Self::Circle { .. } | Self::Json(_) => false,
        }
    }
}

impl Run<'_> {
    /// Fetches and sends what is left of the batch, then its control total.
    ///
    /// # Errors
    /// When the source, the stream or the store fails for longer than they are retried.
    pub async fn run(&self) -> Result<Checkpoint, RunError> {
        let (mut notebook, checkpoint) = Notebook::open(self.store, self.batch.checkpoint_key()).await?;
        if let Some(checkpoint) = &checkpoint {
            tracing::info!(
                page = checkpoint.page,
                rows = checkpoint.rows,
                "going on after the last acknowledged page"
            );
        }
        let mut progress = checkpoint.unwrap_or_default();
        let mut visited = HashSet::new();
        while progress.has_more() {
            let page = match self.source.page(progress.cursor.as_deref()).await {
                // Cursors expire while a run waits to be gone on with. A day that starts over loses nothing.
                Err(SourceError::CursorRefused(error)) if visited.is_empty() => {
                    tracing::warn!(%error, "the source no longer knows the checkpoint's cursor; the batch starts over");
                    progress = Checkpoint::default();
                    self.source.page(None).await?
                }
                page => page?,
            };
            if let Some(cursor) = &page.next_cursor
                && (!visited.insert(cursor.clone()) || progress.cursor.as_ref() == Some(cursor))
            {
                return Err(RunError::Circle { page: progress.page + 1, cursor: cursor.clone() });
            }
            progress = self.deliver(&progress, &page).await?;
            notebook.write(&progress).await?;
            tracing::info!(
                page = progress.page,
                rows = progress.rows,
                quantity_sum = progress.quantity_sum,
                "page acknowledged"
            );
        }
        // The control total first: a run killed in between sends it once more, and the last one counts.
        let completed_at = self.clock.now();
        let total = control_total(self.batch, &progress, completed_at).map_err(RunError::Json)?;
        self.put([total]).await?;
        let completed = Checkpoint {
            last_page: Vec::new(),
            updated_at: completed_at,
            completed_at: Some(completed_at),
            ..progress
        };
        notebook.write(&completed).await?;
        Ok(completed)
    }

    /// Sends one page; what comes back is true once it is written down.
    async fn deliver(&self, progress: &Checkpoint, page: &Page) -> Result<Checkpoint, RunError> {
        let now = self.clock.now();
        let wrapped = wrap(self.batch, self.describe, progress, page, now).map_err(RunError::Json)?;
        if wrapped.repeated > 0 {
            tracing::warn!(
                page = progress.page + 1,
                rows = wrapped.repeated,
                "the source handed out rows again; they are left out"
            );
        }
        let rows = wrapped.lines.len() as u64;
        self.put(wrapped.lines).await?;
        Ok(Checkpoint {
            cursor: page.next_cursor.clone(),
            page: progress.page + 1,
            rows: progress.rows + rows,
            quantity_sum: progress.quantity_sum.saturating_add(wrapped.quantity_sum),
            last_page: wrapped.fingerprints,
            updated_at: now,
            completed_at: None,
        })
    }

    async fn put(&self, lines: impl IntoIterator<Item = Vec<u8>>) -> Result<(), RunError> {
        let records: Vec<_> = pack(lines).into_iter().map(|packed| packed.record).collect();
        if !records.is_empty() {
            self.stream.put(self.stream_name, records).await?;
        }
        Ok(())
    }
}
