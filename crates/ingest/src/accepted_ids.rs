//! Finds an id that is used again for other events.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use sha2::{Digest as _, Sha256};
use shoplake_contracts::ShopId;

/// How long an id is remembered. At least as long as a sender's authentication of one request stays
/// valid, so that the id of a recorded request can't be used for another body.
pub const ID_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// The most ids that are remembered, of all shops: about 4 MB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The ids of requests whose events this process accepted.
pub(crate) struct AcceptedIds(Mutex<LruCache<RequestId, Accepted>>);

/// The id of a request. Like the ids of envelopes it belongs to one shop and one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestId {
    pub(crate) shop: ShopId,
    pub(crate) dataset: String,
    pub(crate) id: String,
}

struct Accepted {
    body: BodyDigest,
    at: DateTime<Utc>,
}

/// The id belongs to a request with another body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReusedId {
    /// When that request's events were accepted.
    pub accepted_at: DateTime<Utc>,
}

/// The SHA-256 of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyDigest([u8; 32]);

impl BodyDigest {
    pub(crate) fn new(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl Default for AcceptedIds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl AcceptedIds {
    /// Fails if events of another body were accepted under the id within [`ID_LIFETIME`].
    pub(crate) fn check(
        &self,
        id: &RequestId,
        body: BodyDigest,
        now: DateTime<Utc>,
    ) -> Result<(), ReusedId> {
        match self.lock().peek(id) {
            Some(accepted) if accepted.body != body && now - accepted.at < ID_LIFETIME => {
                Err(ReusedId { accepted_at: accepted.at })
            }
            _ => Ok(()),
        }
    }

    /// Remembers that events of this body were accepted under the id.
    pub(crate) fn remember(&self, id: RequestId, body: BodyDigest, now: DateTime<Utc>) {
        self.lock().put(id, Accepted { body, at: now });
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<RequestId, Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn request(shop: &str, dataset: &str, id: &str) -> RequestId {
        RequestId { shop: shop.parse().unwrap(), dataset: dataset.to_owned(), id: id.to_owned() }
    }

    #[test]
    fn an_id_belongs_to_its_first_body_for_ten_minutes() {
        let ids = AcceptedIds::default();
        let id = request("acme", "visits", "m1");
        let [first, other] = [b"{}".as_slice(), b"{} "].map(BodyDigest::new);
        assert_eq!(ids.check(&id, first, at(0)), Ok(()));
        ids.remember(id.clone(), first, at(0));

        assert_eq!(ids.check(&id, first, at(1)), Ok(()));
        assert_eq!(ids.check(&id, other, at(599)), Err(ReusedId { accepted_at: at(0) }));
        assert_eq!(ids.check(&id, other, at(600)), Ok(()));
        for id in [("acme", "visits", "m2"), ("acme", "sales", "m1"), ("other", "visits", "m1")] {
            assert_eq!(ids.check(&request(id.0, id.1, id.2), other, at(1)), Ok(()), "{id:?}");
        }
    }

    #[test]
    fn only_the_newest_ids_are_remembered() {
        let ids = AcceptedIds::default();
        let [first, other] = [b"1", b"2"].map(|body| BodyDigest::new(body));
        let id = |number: usize| request("acme", "visits", &number.to_string());
        for number in 0..=CAPACITY.get() {
            ids.remember(id(number), first, at(0));
        }
        assert_eq!(ids.check(&id(0), other, at(1)), Ok(()));
        assert!(ids.check(&id(1), other, at(1)).is_err());
        assert_eq!(ids.lock().len(), CAPACITY.get());
    }
}
