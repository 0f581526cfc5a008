//! Caches the list, so that a request costs no call to S3.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use shoplake_platform::clock::Clock;

use super::{KEY, ShopList, ShopListError, Shops};

/// The age at which the list is read again. A new shop or an opened backfill takes effect that
/// late.
const MAX_AGE: TimeDelta = TimeDelta::seconds(60);

/// The pause after a failed read: while S3 is down, not every request may wait for its timeout.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(10);

/// A copy of the list. While the list cannot be read, the last copy stays in use.
pub struct CachedShopList {
    source: Arc<dyn ShopList>,
    clock: Arc<dyn Clock>,
    copy: Mutex<Copy>,
}

#[derive(Default)]
struct Copy {
    shops: Option<Arc<Shops>>,
    fresh_until: Option<DateTime<Utc>>,
}

impl CachedShopList {
    /// Keeps a copy of `source`.
    pub fn new(source: Arc<dyn ShopList>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, copy: Mutex::default() }
    }

    /// Returns the shops as of the last minute; `None` if the list was never read or never written.
    pub async fn shops(&self) -> Option<Arc<Shops>> {
        let copy = {
            let copy = self.copy();
            let is_fresh = copy.fresh_until.is_some_and(|until| self.clock.now() < until);
            is_fresh.then(|| copy.shops.clone())
        };
        match copy {
            Some(shops) => shops,
            None => self.refresh().await.unwrap_or_else(|_| self.copy().shops.clone()),
        }
    }

    /// Reads the list now; `None` if it was never written.
    ///
    /// # Errors
    ///
    /// If the list cannot be read; the last copy stays in use, and may lack a new shop.
    pub async fn refresh(&self) -> Result<Option<Arc<Shops>>, ShopListError> {
        let now = self.clock.now();
        // Requests that arrive meanwhile use the last copy instead of reading as well.
        self.copy().fresh_until = Some(now + RETRY_AFTER);
        let shops = self.source.read().await.inspect_err(
            |error| tracing::warn!(%error, "the list of shops cannot be read; using the last copy"),
        )?;
        if shops.is_none() {
            tracing::warn!(
                key = KEY,
                "the list of shops was never written; run the control action sync_shops"
            );
        }
        let shops = shops.map(Arc::new);
        *self.copy() = Copy { shops: shops.clone(), fresh_until: Some(now + MAX_AGE) };
        Ok(shops)
    }

    /// A poisoned lock is safe to use: another request panicked, and the copy is consistent.
    fn copy(&self) -> MutexGuard<'_, Copy> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shoplake_contracts::ShopId;
    use shoplake_platform::clock::ManualClock;

    use super::*;
    use crate::shops::{MemoryShopList, ShopListError};

    fn setup() -> (Arc<MemoryShopList>, Arc<ManualClock>, CachedShopList) {
        let source = Arc::new(MemoryShopList::default());
        source.set_shops(["acme"]);
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let cached = CachedShopList::new(source.clone(), clock.clone());
        (source, clock, cached)
    }

    fn acme() -> ShopId {
        "acme".parse().unwrap()
    }

    #[tokio::test]
    async fn the_list_is_read_once_a_minute() {
        let (source, clock, cached) = setup();
        for _ in 0..10 {
            assert!(cached.shops().await.unwrap().contains(&acme()));
        }
        clock.advance(MAX_AGE - TimeDelta::microseconds(1));
        cached.shops().await;
        assert_eq!(source.requests(), 1);

        source.set_shops(["other"]);
        clock.advance(TimeDelta::microseconds(1));
        assert!(!cached.shops().await.unwrap().contains(&acme()));
    }

    #[tokio::test]
    async fn an_outage_of_s3_keeps_the_last_copy_and_costs_few_readings() {
        let (source, clock, cached) = setup();
        cached.shops().await;
        source.set(Err(ShopListError { reason: "timeout".to_owned() }));
        for _ in 0..600 {
            clock.advance(TimeDelta::seconds(1));
            assert!(cached.shops().await.unwrap().contains(&acme()));
        }
        assert!(source.requests() <= 1 + 60, "{} readings", source.requests());
    }

    #[tokio::test]
    async fn a_list_that_was_never_read_or_written_is_none() {
        let (source, clock, cached) = setup();
        source.set(Err(ShopListError { reason: "timeout".to_owned() }));
        assert!(cached.shops().await.is_none());
        source.set(Ok(None));
        clock.advance(RETRY_AFTER);
        assert!(cached.shops().await.is_none());
        source.set_shops(["acme"]);
        clock.advance(MAX_AGE);
        assert!(cached.shops().await.is_some());
    }
}
