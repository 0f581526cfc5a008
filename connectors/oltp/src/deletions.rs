//! The rows that a table no longer has.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    pin::pin,
};

use async_trait::async_trait;
use futures::TryStreamExt;
use serde_json::{json, value::to_raw_value};
use shoplake_connector::{Page, Source, SourceError};
use tokio_postgres::Transaction;

use crate::{Table, database::source_error, table::EXTRACTED_AT};

/// The dataset of deletions.
pub(crate) const DATASET: &str = "oltp_deletions";
pub(crate) const SCHEMA: &str =
    include_str!("../../../crates/contracts/schemas/oltp_deletions.json");

/// The rows that the last extract has found in a table and that a transaction does not find.
#[derive(Debug)]
pub(crate) struct Deletions {
    table: Table,
    /// When the transaction began, by the database's clock.
    extracted_at: String,
    /// The ids of the rows, sorted.
    ids: Vec<String>,
    page_size: usize,
}

impl Deletions {
    /// Compares the ids of `table` with `known`, the ids that the last extract found. Returns the
    /// deletions, and the ids that `known` is for the next extract: a JSON string per line.
    ///
    /// It keeps both texts in memory, and a hash of each id.
    pub(crate) async fn find(
        transaction: &Transaction<'_>,
        table: Table,
        known: &[u8],
        page_size: usize,
    ) -> Result<(Self, Vec<u8>), SourceError> {
        let failed = |error| source_error(error, &format!("table {}: ", table.name()));
        let query = format!("select {EXTRACTED_AT}");
        let time = transaction.query_one(&query, &[]).await.map_err(failed)?;
        let extracted_at = time.try_get(0).map_err(failed)?;
        let (mut ids, mut found) = (Vec::new(), HashSet::new());
        let no_parameters: [&str; 0] = [];
        let rows = transaction.query_raw(&table.ids_query(), no_parameters).await;
        let mut rows = pin!(rows.map_err(failed)?);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            // The query of the rows names a row without an id.
            let Some(id) = row.try_get::<_, Option<&str>>(0).map_err(failed)? else { continue };
            found.insert(fingerprint(id));
            ids.extend(json!(id).to_string().into_bytes());
            ids.push(b'\n');
        }
        let mut deleted = Vec::new();
        for line in known.split_inclusive(|byte| *byte == b'\n') {
            let id: String = serde_json::from_slice(line).map_err(|error| {
                let reason = format!("expected a JSON string per line: {error}");
                SourceError::Unavailable { reason, is_transient: false }
            })?;
            if !found.contains(&fingerprint(&id)) {
                deleted.push(id);
            }
        }
        // A table may have a row twice.
        deleted.sort_unstable();
        deleted.dedup();
        Ok((Self { table, extracted_at, ids: deleted, page_size }, ids))
    }

    /// Returns how many rows were deleted.
    pub(crate) fn count(&self) -> usize {
        self.ids.len()
    }
}

#[async_trait]
impl Source for Deletions {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        let left = match cursor {
            Some(last) => &self.ids[self.ids.partition_point(|id| id.as_str() <= last)..],
            None => &self.ids[..],
        };
        let (page, rest) = left.split_at(left.len().min(self.page_size));
        let rows = page.iter().map(|id| {
            to_raw_value(&json!({
                "dataset": self.table.dataset(),
                "id": id,
                "extracted_at": self.extracted_at,
            }))
        });
        let rows = rows.collect::<Result<_, _>>().map_err(|error| SourceError::Unavailable {
            reason: format!("could not write a deletion as JSON: {error}"),
            is_transient: false,
        })?;
        Ok(Page { rows, next_cursor: page.last().filter(|_| !rest.is_empty()).cloned() })
    }

    /// Returns false: each id is there once.
    fn may_repeat_rows(&self) -> bool {
        false
    }

    /// Returns false: another transaction finds other deletions.
    fn may_resume(&self) -> bool {
        false
    }
}

/// Returns the hash of an id. Two of a million ids are equal with a probability of 3 in a hundred
/// million; a deletion would then be missed.
fn fingerprint(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
