//! Caches secrets, so that a request costs no call to Parameter Store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use shoplake_contracts::ShopId;
use shoplake_platform::clock::{Clock, SystemClock};

use super::{SecretString, Secrets, SecretsError, bucket::TokenBucket, cache::Cache};
use crate::shops::CachedShopList;

/// How long secrets are cached. A removed secret may be accepted for that long.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// How long cached secrets are used while Parameter Store is down.
const LIFETIME_WHILE_UNAVAILABLE: TimeDelta = TimeDelta::minutes(30);

/// How long it is cached that a listed shop has no secret. Short, because add_shop creates it right
/// after it lists the shop.
const UNKNOWN_LIFETIME: TimeDelta = TimeDelta::seconds(30);

/// How many names that are not in the list of shops one process looks up: so many at once, and one
/// more in each interval. A shop that was just added needs one such look-up.
const UNLISTED_BURST: u32 = 5;
const UNLISTED_INTERVAL: TimeDelta = TimeDelta::seconds(10);

/// Bounds of the cache. Known and unknown shops are apart, so that unknown ones cannot evict the
/// shops that exist.
const MAX_SHOPS: usize = 10_000;
const MAX_UNKNOWN_SHOPS: usize = 1_000;

/// A cache of secrets. Any number of tasks may use it at once; two that miss at once both call the
/// source.
///
/// It looks up only a shop that is in the list of shops, or whose secret was found before. It
/// answers any other name without a call, so that invented names use up no quota of the source.
pub struct CachedSecrets<S, C = SystemClock> {
    source: S,
    shops: Arc<CachedShopList>,
    clock: C,
    known: Mutex<Cache<ShopId, Vec<SecretString>>>,
    unknown: Mutex<Cache<ShopId, ()>>,
    unlisted: Mutex<TokenBucket>,
}

impl<S: Secrets> CachedSecrets<S> {
    /// Caches the secrets of the listed shops from `source`.
    pub fn new(source: S, shops: Arc<CachedShopList>) -> Self {
        Self::with_clock(source, shops, SystemClock)
    }
}

impl<S: Secrets, C: Clock> CachedSecrets<S, C> {
    /// Caches the secrets of the listed shops from `source`, by `clock`.
    pub fn with_clock(source: S, shops: Arc<CachedShopList>, clock: C) -> Self {
        let unlisted = TokenBucket::new(UNLISTED_BURST, UNLISTED_INTERVAL, clock.now());
        Self {
            source,
            shops,
            clock,
            known: Mutex::new(Cache::new(LIFETIME, MAX_SHOPS)),
            unknown: Mutex::new(Cache::new(UNKNOWN_LIFETIME, MAX_UNKNOWN_SHOPS)),
            unlisted: Mutex::new(unlisted),
        }
    }

    /// Fails unless the source may be called for a shop whose secret was never found here.
    async fn check_listed(&self, shop: &ShopId, now: DateTime<Utc>) -> Result<(), SecretsError> {
        let unknown = || SecretsError::UnknownShop { shop: shop.clone() };
        let list = self.shops.shops().await;
        if list.as_ref().is_some_and(|list| list.contains(shop)) {
            return Ok(());
        }
        if !lock(&self.unlisted).take(now) {
            // Without a list, a shop that exists must not be answered as unknown.
            return Err(if list.is_some() { unknown() } else { unlisted() });
        }
        // The copy of the list may be older than the shop; where the list cannot be read, only the
        // source knows.
        match self.shops.refresh().await {
            Ok(Some(list)) if !list.contains(shop) => Err(unknown()),
            _ => Ok(()),
        }
    }
}

fn unlisted() -> SecretsError {
    SecretsError::Unavailable {
        reason: format!(
            "there is no list of shops, and without it at most {UNLISTED_BURST} new names are \
             looked up at once; write the list with the control action sync_shops"
        ),
    }
}

#[async_trait]
impl<S: Secrets, C: Clock> Secrets for CachedSecrets<S, C> {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        let now = self.clock.now();
        let found_before = {
            let known = lock(&self.known);
            if let Some(secrets) = known.get(shop, now) {
                return Ok(secrets);
            }
            known.contains(shop)
        };
        if lock(&self.unknown).get(shop, now).is_some() {
            return Err(SecretsError::UnknownShop { shop: shop.clone() });
        }
        if !found_before {
            self.check_listed(shop, now).await?;
        }
        match self.source.webhook_secrets(shop).await {
            Ok(secrets) => {
                lock(&self.known).insert(shop.clone(), secrets.clone(), now);
                Ok(secrets)
            }
            Err(error @ SecretsError::UnknownShop { .. }) => {
                lock(&self.known).remove(shop);
                lock(&self.unknown).insert(shop.clone(), (), now);
                Err(error)
            }
            Err(error @ SecretsError::Unavailable { .. }) => {
                let stale = lock(&self.known).get_within(shop, now, LIFETIME_WHILE_UNAVAILABLE);
                stale.map_or(Err(error.clone()), |secrets| {
                    tracing::warn!(%shop, %error, "using cached secrets");
                    Ok(secrets)
                })
            }
        }
    }
}

/// A poisoned lock is safe to use: another request panicked, and the cache itself is consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use shoplake_platform::clock::ManualClock;

    use super::*;
    use crate::{
        secrets::MemorySecrets,
        shops::{MemoryShopList, ShopListError},
    };

    type Cached = CachedSecrets<Arc<MemorySecrets>, Arc<ManualClock>>;

    /// The shops acme and new are listed; acme has a secret.
    fn setup() -> (Arc<MemorySecrets>, Arc<ManualClock>, Cached) {
        let (source, _, clock, cached) = setup_with_list();
        (source, clock, cached)
    }

    fn setup_with_list() -> (Arc<MemorySecrets>, Arc<MemoryShopList>, Arc<ManualClock>, Cached) {
        let source = Arc::new(MemorySecrets::default());
        source.set(acme(), ["whsec_YQ=="]);
        let list = Arc::new(MemoryShopList::default());
        list.set_shops(["acme", "new"]);
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let shops = Arc::new(CachedShopList::new(list.clone(), clock.clone()));
        let cached = CachedSecrets::with_clock(source.clone(), shops, clock.clone());
        (source, list, clock, cached)
    }

    fn shop(name: impl AsRef<str>) -> ShopId {
        name.as_ref().parse().unwrap()
    }

    fn acme() -> ShopId {
        "acme".parse().unwrap()
    }

    #[tokio::test]
    async fn a_cached_shop_costs_no_call() {
        let (source, clock, cached) = setup();
        cached.webhook_secrets(&acme()).await.unwrap();
        clock.advance(LIFETIME - TimeDelta::seconds(1));
        cached.webhook_secrets(&acme()).await.unwrap();
        assert_eq!(source.requests(), 1);
    }

    #[tokio::test]
    async fn rotated_secrets_are_read_when_the_cached_ones_expire() {
        let (source, clock, cached) = setup();
        cached.webhook_secrets(&acme()).await.unwrap();
        source.set(acme(), ["whsec_Yg==", "whsec_YQ=="]);
        clock.advance(LIFETIME);
        assert_eq!(cached.webhook_secrets(&acme()).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_unknown_shop_that_is_added_is_known_soon() {
        let (source, clock, cached) = setup();
        let shop: ShopId = "new".parse().unwrap();
        for _ in 0..3 {
            let error = cached.webhook_secrets(&shop).await.unwrap_err();
            assert_eq!(error, SecretsError::UnknownShop { shop: shop.clone() });
        }
        assert_eq!(source.requests(), 1);
        source.set(shop.clone(), ["whsec_YQ=="]);
        clock.advance(UNKNOWN_LIFETIME);
        assert!(cached.webhook_secrets(&shop).await.is_ok());
    }

    #[tokio::test]
    async fn an_outage_leaves_known_shops_valid_for_a_while() {
        let (source, clock, cached) = setup();
        cached.webhook_secrets(&acme()).await.unwrap();
        source.set_available(false);

        clock.advance(LIFETIME);
        assert!(cached.webhook_secrets(&acme()).await.is_ok());
        let new: ShopId = "new".parse().unwrap();
        let error = cached.webhook_secrets(&new).await.unwrap_err();
        assert!(matches!(error, SecretsError::Unavailable { .. }));

        clock.advance(LIFETIME_WHILE_UNAVAILABLE);
        let error = cached.webhook_secrets(&acme()).await.unwrap_err();
        assert!(matches!(error, SecretsError::Unavailable { .. }));
    }

    #[tokio::test]
    async fn a_removed_shop_is_unknown_when_its_secrets_expire() {
        let (source, clock, cached) = setup();
        cached.webhook_secrets(&acme()).await.unwrap();
        source.remove(&acme());
        clock.advance(LIFETIME);
        assert!(cached.webhook_secrets(&acme()).await.is_err());
        source.set_available(false);
        clock.advance(UNKNOWN_LIFETIME);
        assert!(cached.webhook_secrets(&acme()).await.is_err());
    }

    #[tokio::test]
    async fn secrets_are_not_shown_by_debug() {
        let (_, _, cached) = setup();
        let secrets = cached.webhook_secrets(&acme()).await.unwrap();
        assert!(!format!("{secrets:?}").contains("YQ=="));
    }

    #[tokio::test]
    async fn invented_names_cost_no_look_up_and_known_shops_are_answered() {
        let (source, list, _, cached) = setup_with_list();
        for number in 0..10_000 {
            let error =
                cached.webhook_secrets(&shop(format!("invented-{number}"))).await.unwrap_err();
            assert!(matches!(error, SecretsError::UnknownShop { .. }), "{error}");
        }
        assert_eq!(source.requests(), 0);
        assert!(list.requests() <= 1 + UNLISTED_BURST as usize, "{} readings", list.requests());

        assert_eq!(cached.webhook_secrets(&acme()).await.unwrap().len(), 1);
        assert_eq!(source.requests(), 1);
    }

    #[tokio::test]
    async fn a_shop_added_a_moment_ago_is_known_at_once() {
        let (source, list, _, cached) = setup_with_list();
        cached.webhook_secrets(&acme()).await.unwrap();
        list.set_shops(["acme", "new", "newer"]);
        source.set(shop("newer"), ["whsec_YQ=="]);
        assert!(cached.webhook_secrets(&shop("newer")).await.is_ok());
    }

    #[tokio::test]
    async fn a_new_shop_is_known_while_the_list_cannot_be_read() {
        let (source, list, _, cached) = setup_with_list();
        cached.webhook_secrets(&acme()).await.unwrap();
        list.set(Err(ShopListError { reason: "timeout".to_owned() }));
        source.set(shop("newer"), ["whsec_YQ=="]);
        assert!(cached.webhook_secrets(&shop("newer")).await.is_ok());
        for number in 0..100 {
            cached.webhook_secrets(&shop(format!("invented-{number}"))).await.unwrap_err();
        }
        assert!(source.requests() <= 1 + UNLISTED_BURST as usize, "{} look-ups", source.requests());
    }

    #[tokio::test]
    async fn a_shop_added_during_a_flood_is_known_within_a_minute() {
        let (source, list, clock, cached) = setup_with_list();
        for number in 0..100 {
            cached.webhook_secrets(&shop(format!("invented-{number}"))).await.unwrap_err();
        }
        list.set_shops(["newer"]);
        source.set(shop("newer"), ["whsec_YQ=="]);
        cached.webhook_secrets(&shop("newer")).await.unwrap_err();
        clock.advance(TimeDelta::seconds(60));
        assert!(cached.webhook_secrets(&shop("newer")).await.is_ok());
    }

    /// A deployment whose list was never written, and one whose list S3 does not give, go on.
    #[tokio::test]
    async fn without_a_list_look_ups_are_few_and_no_shop_is_unknown() {
        for answer in [Ok(None), Err(ShopListError { reason: "timeout".to_owned() })] {
            let (source, list, clock, cached) = setup_with_list();
            list.set(answer);
            assert!(cached.webhook_secrets(&acme()).await.is_ok());
            for number in 0..10_000 {
                cached.webhook_secrets(&shop(format!("invented-{number}"))).await.unwrap_err();
            }
            assert_eq!(source.requests(), UNLISTED_BURST as usize);

            source.set(shop("new"), ["whsec_YQ=="]);
            let error = cached.webhook_secrets(&shop("new")).await.unwrap_err();
            assert!(matches!(error, SecretsError::Unavailable { .. }), "{error}");
            clock.advance(UNLISTED_INTERVAL);
            assert!(cached.webhook_secrets(&shop("new")).await.is_ok());

            // Both were found, so both are read again however many names are invented.
            for number in 0..100 {
                cached.webhook_secrets(&shop(format!("again-{number}"))).await.unwrap_err();
            }
            clock.advance(LIFETIME - UNLISTED_INTERVAL);
            for number in 0..100 {
                cached.webhook_secrets(&shop(format!("more-{number}"))).await.unwrap_err();
            }
            for known in [acme(), shop("new")] {
                assert!(cached.webhook_secrets(&known).await.is_ok());
            }
        }
    }
}
