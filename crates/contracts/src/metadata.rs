//! What an envelope says about the row in it.

use chrono::{DateTime, Utc};

use crate::shop::{BackfillName, ShopId};

/// The columns of a row that come from its envelope, and the backfill that it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowMetadata<'a> {
    /// The tenant, `shop_id`.
    pub shop: &'a str,
    /// `_envelope_id`
    pub envelope_id: &'a str,
    /// `_received_at`, microseconds since 1970-01-01T00:00:00Z; the window of accepted times is
    /// relative to it.
    pub received_at: i64,
    /// The named backfill that the row belongs to. Its times may be older than the window.
    pub backfill: Option<&'a str>,
    /// `_batch`: the batch that the row was delivered in.
    pub batch: Option<&'a str>,
    /// `_run`: the run that delivered the batch, a [`RunId`](crate::RunId). Such a row belongs to
    /// its batch only: see [`Contract::batch`](crate::Contract::batch).
    pub run: Option<&'a str>,
}

impl<'a> RowMetadata<'a> {
    /// Returns the metadata of an event that `shop` sends at `received_at`, for rows that are
    /// validated before they have an envelope.
    pub fn new(shop: &'a ShopId, received_at: DateTime<Utc>) -> Self {
        let received_at = received_at.timestamp_micros();
        Self { shop: shop.as_str(), received_at, ..Self::default() }
    }

    /// Returns the same metadata in this backfill, if there is one.
    #[must_use]
    pub fn in_backfill(self, backfill: Option<&'a BackfillName>) -> Self {
        Self { backfill: backfill.map(BackfillName::as_str), ..self }
    }
}
