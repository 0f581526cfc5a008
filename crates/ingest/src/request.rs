//! What the crate is given.

use chrono::{DateTime, Utc};
use shoplake_contracts::ShopId;

/// A request whose sender was authenticated.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatedRequest<'a> {
    /// The shop that sent it.
    pub shop: &'a ShopId,
    /// The id that the sender gave the request. A repetition of the request has the same id, which
    /// makes its events count once.
    pub id: &'a str,
    /// One event, or an array of events, in JSON.
    pub body: &'a [u8],
    /// When the request arrived.
    pub received_at: DateTime<Utc>,
}
