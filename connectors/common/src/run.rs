//! One run: from the checkpoint to the end of the batch.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use shoplake_aws::stream::{PutError, Stream, pack};
use shoplake_contracts::RunId;
use shoplake_lake::{Store, StoreError};
use shoplake_platform::clock::Clock;

use crate::{
    Batch, Checkpoint, Dataset, Destination, Page, Source, SourceError,
    checkpoint::CheckpointStore,
    envelopes::{EnvelopeWriter, Lines, Totals},
    seen_rows::SeenRows,
};

/// How many pages in a row may bring no new row. A run would otherwise never end if the source's
/// cursors never end.
const MAX_PAGES_WITHOUT_NEW_ROWS: u64 = 100;

/// How many days or hours the rows of one run may belong to, unless it is a named backfill: each of
/// them is recomputed in all models. A correct batch has one. The webhook has the same limit per
/// hour.
const MAX_PARTITIONS: usize = 48;

/// Takes one batch from its source to the stream.
///
/// A run that failed is continued: the next one begins after the last acknowledged page, with the
/// totals up to there and the same [`RunId`]. If the page that was being sent has other rows by
/// now, the batch starts over with a later [`RunId`], so that each run has one content. A run of a
/// completed batch takes it again from the start, with the same ids and a later [`RunId`]: that is
/// how a day is delivered again.
pub struct Run<'a> {
    /// The batch to fetch.
    pub batch: &'a Batch,
    /// The dataset of its rows.
    pub dataset: &'a Dataset,
    /// Hands out the rows.
    pub source: &'a dyn Source,
    /// Says which shop's rows they are, and to which stream they go.
    pub destination: &'a Destination,
    /// Takes the rows.
    pub stream: &'a dyn Stream,
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
        "batch {batch}: page {page} leads to the cursor {cursor:?} for the second time, expected a \
         new one or null; the source is faulty, report it to its vendor"
    )]
    Circle {
        /// The batch.
        batch: String,
        /// The page, from 1.
        page: u64,
        /// The cursor.
        cursor: String,
    },
    /// The source has ever more pages, and nothing on them.
    #[error(
        "batch {batch}: {MAX_PAGES_WITHOUT_NEW_ROWS} pages up to page {page} did not bring a new \
         row and still lead to a further page, expected rows or \"next_cursor\": null; the source \
         is faulty, report it to its vendor"
    )]
    Endless {
        /// The batch.
        batch: String,
        /// The page, from 1.
        page: u64,
    },
    /// The rows are of more days or hours than a batch has.
    #[error(
        "batch {batch} of shop {shop}: page {page} brings rows of more than {MAX_PARTITIONS} days \
         or hours, expected those of the batch; correct the source, or fetch old data in a named \
         backfill (BACKFILL=<name>)"
    )]
    TooManyPartitions {
        /// The batch.
        batch: String,
        /// Whose it is.
        shop: String,
        /// The page, from 1.
        page: u64,
    },
    /// The stream did not take everything.
    #[error(transparent)]
    Stream(#[from] PutError),
    /// The checkpoint could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two runs of one batch at the same time.
    #[error("another run of this batch writes {key:?}; this one stops and leaves the batch to it")]
    AnotherRun {
        /// The checkpoint.
        key: String,
    },
    /// An envelope or a checkpoint could not be written as JSON.
    #[error("could not write JSON: {0}")]
    Json(#[source] serde_json::Error),
}

impl RunError {
    /// Returns whether a later run may succeed without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::Stream(error) => error.reason.is_transient(),
            Self::Store(_) | Self::AnotherRun { .. } => true,
            Self::Circle { .. }
            | Self::Endless { .. }
            | Self::TooManyPartitions { .. }
            | Self::Json(_) => false,
        }
    }

    /// Returns whether the source is faulty in this batch only, so that others may succeed.
    pub(crate) fn is_of_batch(&self) -> bool {
        match self {
            Self::Source(SourceError::Api(error) | SourceError::CursorRefused(error)) => {
                error.is_of_request()
            }
            Self::Circle { .. } | Self::Endless { .. } | Self::TooManyPartitions { .. } => true,
            Self::Source(SourceError::Unavailable { .. })
            | Self::Stream(_)
            | Self::Store(_)
            | Self::AnotherRun { .. }
            | Self::Json(_) => false,
        }
    }
}

/// How far a run is. A checkpoint is a written copy of it.
struct Progress {
    run: RunId,
    cursor: Option<String>,
    page: u64,
    totals: Totals,
    /// The digest of the next page's rows, if an earlier process began to send them in this run.
    sending: Option<String>,
}

impl Progress {
    fn checkpoint(&self, now: DateTime<Utc>) -> Checkpoint {
        let (segments, tail) = self.totals.seen.as_ref().map(SeenRows::saved).unwrap_or_default();
        Checkpoint {
            run: Some(self.run.clone()),
            cursor: self.cursor.clone(),
            page: self.page,
            rows: self.totals.rows,
            quantity_sum: self.totals.quantity_sum,
            received_at: self.totals.received_at,
            segments,
            tail,
            sending: None,
            updated_at: now,
            completed_at: None,
        }
    }
}

impl Run<'_> {
    /// Fetches and sends what is left of the batch, then its control total.
    ///
    /// # Errors
    /// When the source, the stream or the store fails for longer than they are retried.
    pub async fn run(&self) -> Result<Checkpoint, RunError> {
        let (mut checkpoints, checkpoint) =
            CheckpointStore::open(self.store, self.batch.checkpoint_key()).await?;
        let (mut progress, mut has_more) = match checkpoint {
            Some(checkpoint) if checkpoint.completed_at.is_none() => {
                self.resume(checkpoint).await?
            }
            Some(Checkpoint { run: earlier, .. }) => (self.start(earlier.as_ref()), true),
            None => (self.start(None), true),
        };
        let may_resume = self.source.may_resume();
        let mut visited = HashSet::new();
        let mut without_new_rows = 0;
        while has_more {
            let page = match self.source.page(progress.cursor.as_deref()).await {
                // Cursors expire between two runs. A batch that starts over loses nothing.
                Err(SourceError::CursorRefused(error)) if visited.is_empty() => {
                    tracing::warn!(
                        %error,
                        "the source no longer knows the checkpoint's cursor; the batch starts over"
                    );
                    progress = self.start(Some(&progress.run));
                    self.source.page(None).await?
                }
                page => page?,
            };
            self.check_cursor(&progress, &page, &mut visited)?;
            let rows_before = progress.totals.rows;
            let now = self.clock.now();
            let before = progress.checkpoint(now);
            let Lines { lines, digest, .. } = self.wrap(&mut progress, &page, now)?;
            // What was sent stays in its run. Other rows in the same run would make it a mixture of
            // two states of the source, which no control total describes.
            if progress.sending.take().is_some_and(|sending| sending != digest) {
                tracing::warn!(
                    run = %progress.run,
                    page = progress.page,
                    "the page that was being sent has other rows by now; the batch starts over"
                );
                progress = self.start(Some(&progress.run));
                visited.clear();
                continue;
            }
            let sends = !lines.is_empty();
            // A later process does not read the pages of a source that cannot resume, only the run.
            if sends && (may_resume || before.page == 0) {
                let sending = Some(digest);
                checkpoints.write(&Checkpoint { sending, ..before }).await?;
            }
            self.put(lines).await?;
            has_more = progress.cursor.is_some();
            without_new_rows =
                if progress.totals.rows > rows_before { 0 } else { without_new_rows + 1 };
            if has_more && without_new_rows >= MAX_PAGES_WITHOUT_NEW_ROWS {
                return Err(RunError::Endless {
                    batch: self.batch.name.clone(),
                    page: progress.page,
                });
            }
            // A page without a new row needs no checkpoint: the next run fetches it again. The last
            // page does: after the control total, the run must not send another row.
            if may_resume && (sends || !has_more) {
                if let Some(seen) = &mut progress.totals.seen {
                    seen.write_segments(self.store, self.batch).await?;
                }
                checkpoints.write(&progress.checkpoint(now)).await?;
            }
            tracing::info!(
                page = progress.page,
                rows = progress.totals.rows,
                quantity_sum = %progress.totals.quantity_sum,
                "page acknowledged"
            );
        }
        self.complete(&mut checkpoints, progress).await
    }

    /// Begins a run that replaces `earlier`. A batch that starts over is another run: the rows that
    /// the earlier one sent may no longer be what the source has.
    fn start(&self, earlier: Option<&RunId>) -> Progress {
        let seen = self.source.may_repeat_rows().then(SeenRows::default);
        let totals = Totals { seen, ..Totals::default() };
        let run = RunId::after(self.clock.now(), earlier);
        Progress { run, cursor: None, page: 0, totals, sending: None }
    }

    /// Continues after the last acknowledged page. Starts over if the source cannot resume, or if
    /// the keys that were sent cannot be read.
    async fn resume(&self, checkpoint: Checkpoint) -> Result<(Progress, bool), StoreError> {
        let Some(run) = checkpoint.run.clone() else {
            tracing::warn!("the checkpoint does not name its run; the batch starts over");
            return Ok((self.start(None), true));
        };
        if !self.source.may_resume() {
            tracing::info!(%run, rows = checkpoint.rows, "the batch starts over");
            return Ok((self.start(Some(&run)), true));
        }
        let mut seen = None;
        if self.source.may_repeat_rows() {
            let Checkpoint { segments, tail, .. } = &checkpoint;
            seen = SeenRows::load(self.store, self.batch, segments, tail).await?;
            if seen.is_none() {
                tracing::warn!(
                    "the keys that the batch has sent cannot be read; the batch starts over"
                );
                return Ok((self.start(Some(&run)), true));
            }
        }
        tracing::info!(
            %run,
            page = checkpoint.page,
            rows = checkpoint.rows,
            "continuing after the last acknowledged page"
        );
        let has_more = checkpoint.has_more();
        let totals = Totals {
            rows: checkpoint.rows,
            quantity_sum: checkpoint.quantity_sum,
            received_at: checkpoint.received_at,
            seen,
            ..Totals::default()
        };
        let Checkpoint { cursor, page, sending, .. } = checkpoint;
        Ok((Progress { run, cursor, page, totals, sending }, has_more))
    }

    fn check_cursor(
        &self,
        progress: &Progress,
        page: &Page,
        visited: &mut HashSet<[u8; 16]>,
    ) -> Result<(), RunError> {
        let Some(cursor) = &page.next_cursor else { return Ok(()) };
        // A run remembers 16 bytes of each cursor: cursors may be long, and there may be many.
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&Sha256::digest(cursor)[..16]);
        if visited.insert(fingerprint) && progress.cursor.as_ref() != Some(cursor) {
            return Ok(());
        }
        let (batch, page) = (self.batch.name.clone(), progress.page + 1);
        Err(RunError::Circle { batch, page, cursor: cursor.clone() })
    }

    /// Wraps the rows of a page, and counts them as sent.
    fn wrap(
        &self,
        progress: &mut Progress,
        page: &Page,
        now: DateTime<Utc>,
    ) -> Result<Lines, RunError> {
        let wrapped = self
            .envelopes(&progress.run)
            .wrap(&page.rows, now, &mut progress.totals)
            .map_err(RunError::Json)?;
        progress.page += 1;
        if self.destination.backfill.is_none() && progress.totals.partitions.len() > MAX_PARTITIONS
        {
            let (batch, shop) = (self.batch.name.clone(), self.batch.shop.to_string());
            return Err(RunError::TooManyPartitions { batch, shop, page: progress.page });
        }
        progress.cursor.clone_from(&page.next_cursor);
        let Lines { repeated, changed, .. } = wrapped;
        if repeated + changed > 0 {
            tracing::warn!(
                page = progress.page,
                repeated,
                changed,
                "the source handed out rows again; each counts once, and of changed ones the last"
            );
        }
        Ok(wrapped)
    }

    async fn complete(
        &self,
        checkpoints: &mut CheckpointStore<'_>,
        progress: Progress,
    ) -> Result<Checkpoint, RunError> {
        // The control total first: a run killed before the checkpoint sends it again, and the two
        // say the same.
        let completed_at = self.clock.now();
        let total = self.envelopes(&progress.run).control_total(&progress.totals, completed_at);
        self.put([total.map_err(RunError::Json)?]).await?;
        let completed = Checkpoint {
            segments: Vec::new(),
            tail: String::new(),
            completed_at: Some(completed_at),
            ..progress.checkpoint(completed_at)
        };
        checkpoints.write(&completed).await?;
        if let Some(seen) = &progress.totals.seen
            && let Err(error) = seen.discard(self.store, self.batch).await
        {
            tracing::warn!(
                %error,
                "could not empty the keys of the completed batch; they only take space"
            );
        }
        Ok(completed)
    }

    fn envelopes<'r>(&'r self, run: &'r RunId) -> EnvelopeWriter<'r> {
        EnvelopeWriter {
            batch: self.batch,
            dataset: self.dataset,
            destination: self.destination,
            run,
        }
    }

    async fn put(&self, lines: impl IntoIterator<Item = Vec<u8>>) -> Result<(), RunError> {
        let records: Vec<_> = pack(lines).into_iter().map(|packed| packed.record).collect();
        if !records.is_empty() {
            self.stream.put(&self.destination.stream_name, records).await?;
        }
        Ok(())
    }
}
