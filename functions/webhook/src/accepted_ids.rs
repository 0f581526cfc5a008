//! Finds a `webhook-id` that is used again for other events.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use sha2::{Digest, Sha256};
use shoplake_contracts::ShopId;

use crate::signature::TOLERANCE;

/// How long an id is remembered: its request could be sent at either end of the tolerated times.
const LIFETIME: TimeDelta = TimeDelta::seconds(TOLERANCE.num_seconds() + TOLERANCE.num_seconds());

/// Most ids that are remembered, of all shops: some 3 MB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The ids of requests whose events this process accepted.
pub(crate) struct AcceptedIds(Mutex<LruCache<(ShopId, String), Accepted>>);

struct Accepted {
    content: Content,
    at: DateTime<Utc>,
}

/// The id belongs to another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReusedId {
    /// When that request's events were accepted.
    pub(crate) accepted_at: DateTime<Utc>,
}

/// Tells the content of one request from that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content([u8; 32]);

impl Content {
    pub(crate) fn of(dataset: &str, body: &[u8]) -> Self {
        // A dataset's name has no line break, so the two parts cannot be mistaken for others.
        Self(Sha256::new().chain_update(dataset).chain_update("\n").chain_update(body).finalize().into())
    }
}

impl Default for AcceptedIds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl AcceptedIds {
    /// Fails if the shop used the id a short while ago for other events, which were accepted.
    pub(crate) fn check(
        &self,
        shop: &ShopId,
        id: &str,
        content: Content,
        now: DateTime<Utc>,
    ) -> Result<(), ReusedId> {
        match self.lock().peek(&(shop.clone(), id.to_owned())) {
            Some(accepted) if accepted.content != content && now - accepted.at < LIFETIME => {
                Err(ReusedId { accepted_at: accepted.at })
            }
            _ => Ok(()),
        }
    }

    /// Remembers that events of this content were accepted under the id.
    pub(crate) fn remember(&self, shop: &ShopId, id: &str, content: Content, now: DateTime<Utc>) {
        self.lock().put((shop.clone(), id.to_owned()), Accepted { content, at: now });
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(ShopId, String), Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn an_id_belongs_to_its_shop_dataset_and_body_for_ten_minutes() {
        let [acme, other]: [ShopId; 2] = ["acme", "other"].map(|shop| shop.parse().unwrap());
        let ids = AcceptedIds::default();
        let first = Content::of("visits", b"{}");
        assert_eq!(ids.check(&acme, "m1", first, at(0)), Ok(()));
        ids.remember(&acme, "m1", first, at(0));

        assert_eq!(ids.check(&acme, "m1", first, at(1)), Ok(()));
        for content in [Content::of("visits", b"{} "), Content::of("sales", b"{}")] {
            assert_eq!(ids.check(&acme, "m1", content, at(599)), Err(ReusedId { accepted_at: at(0) }));
            assert_eq!(ids.check(&acme, "m1", content, at(600)), Ok(()));
            assert_eq!(ids.check(&acme, "m2", content, at(1)), Ok(()));
            assert_eq!(ids.check(&other, "m1", content, at(1)), Ok(()));
        }
    }

    #[test]
    fn only_the_newest_ids_are_remembered() {
        let acme: ShopId = "acme".parse().unwrap();
        let ids = AcceptedIds::default();
        let [first, second] = [b"1", b"2"].map(|body| Content::of("visits", body));
        for number in 0..=CAPACITY.get() {
            ids.remember(&acme, &number.to_string(), first, at(0));
        }
        assert_eq!(ids.check(&acme, "0", second, at(1)), Ok(()));
        assert!(ids.check(&acme, "1", second, at(1)).is_err());
        assert_eq!(ids.lock().len(), CAPACITY.get());
    }
}
