//! Remembers secrets, so that a request costs no call to Parameter Store.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use shoplake_contracts::ShopId;

use super::{SecretString, Secrets, SecretsError, cache::Cache};
use crate::clock::{Clock, SystemClock};

/// How long secrets are remembered; so long after its removal a secret may still be accepted.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// How long remembered secrets may stand in while Parameter Store is down: its outage should not be ours.
const LIFETIME_WHILE_UNAVAILABLE: TimeDelta = TimeDelta::minutes(30);

/// How long it is remembered that a shop is unknown: short, as somebody may be adding it right now.
const UNKNOWN_LIFETIME: TimeDelta = TimeDelta::seconds(30);

/// Bounds of the memory. Known and unknown shops are apart, so that a caller who invents names cannot push out the
/// shops that exist.
const MAX_SHOPS: usize = 10_000;
const MAX_UNKNOWN_SHOPS: usize = 1_000;

/// Secrets, remembered for a while. Any number of tasks may ask at once; two that miss at once both ask the source.
#[derive(Debug)]
pub struct CachedSecrets<S, C = SystemClock> {
    source: S,
    clock: C,
    known: Mutex<Cache<ShopId, Vec<SecretString>>>,
    unknown: Mutex<Cache<ShopId, ()>>,
}

impl<S: Secrets> CachedSecrets<S> {
    /// Remembers what `source` says, by the machine's clock.
    pub fn new(source: S) -> Self {
        Self::with_clock(source, SystemClock)
    }
}

impl<S: Secrets, C: Clock> CachedSecrets<S, C> {
    /// Remembers what `source` says, by `clock`.
    pub fn with_clock(source: S, clock: C) -> Self {
        Self {
            source,
            clock,
            known: Mutex::new(Cache::new(LIFETIME, MAX_SHOPS)),
            unknown: Mutex::new(Cache::new(UNKNOWN_LIFETIME, MAX_UNKNOWN_SHOPS)),
        }
    }
}

#[async_trait]
impl<S: Secrets, C: Clock> Secrets for CachedSecrets<S, C> {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        let now = self.clock.now();
        if let Some(secrets) = lock(&self.known).get(shop, now) {
            return Ok(secrets);
        }
        if lock(&self.unknown).get(shop, now).is_some() {
            return Err(SecretsError::UnknownShop { shop: shop.clone() });
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
                    tracing::warn!(%shop, %error, "using remembered secrets");
                    Ok(secrets)
                })
            }
        }
    }
}

/// A poisoned lock only means that some other request panicked; the cache itself is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::{clock::ManualClock, secrets::MemorySecrets};

    type Cached = CachedSecrets<Arc<MemorySecrets>, Arc<ManualClock>>;

    fn setup() -> (Arc<MemorySecrets>, Arc<ManualClock>, Cached) {
        let source = Arc::new(MemorySecrets::default());
        source.set(acme(), ["whsec_YQ=="]);
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp(0, 0).unwrap()));
        let cached = CachedSecrets::with_clock(source.clone(), clock.clone());
        (source, clock, cached)
    }

    fn acme() -> ShopId {
        "acme".parse().unwrap()
    }

    #[tokio::test]
    async fn given_a_remembered_shop_when_asked_again_then_the_source_is_not_asked() {
        let (source, clock, cached) = setup();
        cached.webhook_secrets(&acme()).await.unwrap();
        clock.advance(LIFETIME - TimeDelta::seconds(1));
        cached.webhook_secrets(&acme()).await.unwrap();
        assert_eq!(source.requests(), 1);
    }

    #[tokio::test]
    async fn given_a_rotated_secret_when_the_old_one_expires_then_the_new_ones_are_read() {
        let (source, clock, cached) = setup();
        cached.webhook_secrets(&acme()).await.unwrap();
        source.set(acme(), ["whsec_Yg==", "whsec_YQ=="]);
        clock.advance(LIFETIME);
        assert_eq!(cached.webhook_secrets(&acme()).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn given_an_unknown_shop_when_it_is_added_then_it_is_known_soon() {
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
    async fn given_an_outage_when_asked_then_known_shops_work_for_a_while_and_nothing_is_learnt() {
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
    async fn given_a_removed_shop_when_its_secrets_expire_then_it_is_unknown_even_in_an_outage() {
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
    async fn given_secrets_when_printed_for_debugging_then_they_do_not_show() {
        let (_, _, cached) = setup();
        let secrets = cached.webhook_secrets(&acme()).await.unwrap();
        assert!(!format!("{secrets:?} {cached:?}").contains("YQ=="));
    }
}
