//! Secrets in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use shoplake_contracts::ShopId;

use super::{SecretStore, SecretString, SecretVersion, Secrets, SecretsError};
use crate::{Faults, PortError, fault};

/// Secrets in memory. They can be made unavailable.
#[derive(Debug, Default)]
pub struct MemorySecrets {
    secrets: Mutex<BTreeMap<(ShopId, SecretVersion), SecretString>>,
    unavailable: AtomicBool,
    requests: AtomicUsize,
    faults: Faults,
}

impl MemorySecrets {
    /// Secrets whose requests have these faults.
    pub fn with_faults(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Returns the faults of the store.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sets the secrets of a shop: the current one, and then the previous one if there is one.
    pub fn set<'a>(&self, shop: ShopId, secrets: impl IntoIterator<Item = &'a str>) {
        self.remove(&shop);
        let versions = SecretVersion::ALL.into_iter().zip(secrets);
        let versions = versions.map(|(version, secret)| ((shop.clone(), version), secret.into()));
        self.secrets().extend(versions);
    }

    /// Removes a shop.
    pub fn remove(&self, shop: &ShopId) {
        self.secrets().retain(|(other, _), _| other != shop);
    }

    /// Sets whether requests are answered from now on.
    pub fn set_available(&self, available: bool) {
        self.unavailable.store(!available, Ordering::Relaxed);
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<(ShopId, SecretVersion), SecretString>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and fails it while the store is unavailable.
    fn request(&self, action: &str) -> Result<(), PortError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.unavailable.load(Ordering::Relaxed) {
            return Err(PortError::new(action, "requested outage"));
        }
        Ok(())
    }

    fn read<T>(&self, action: &'static str, answer: impl FnOnce() -> T) -> Result<T, PortError> {
        self.request(action)?;
        fault::read(&self.faults, action, answer)
    }

    fn write(&self, action: &'static str, effect: impl FnOnce()) -> Result<(), PortError> {
        self.request(action)?;
        fault::write(&self.faults, action, effect)
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        let secrets: Vec<_> = self
            .read("read secrets", || {
                let secrets = self.secrets();
                SecretVersion::ALL
                    .iter()
                    .filter_map(|version| secrets.get(&(shop.clone(), *version)).cloned())
                    .collect()
            })
            .map_err(|error| SecretsError::Unavailable { reason: error.cause })?;
        if secrets.is_empty() {
            return Err(SecretsError::UnknownShop { shop: shop.clone() });
        }
        Ok(secrets)
    }
}

#[async_trait]
impl SecretStore for MemorySecrets {
    async fn get(
        &self,
        shop: &ShopId,
        version: SecretVersion,
    ) -> Result<Option<SecretString>, PortError> {
        self.read("read a secret", || self.secrets().get(&(shop.clone(), version)).cloned())
    }

    async fn create(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<bool, PortError> {
        let mut is_new = false;
        self.write("create a secret", || {
            let mut secrets = self.secrets();
            is_new = !secrets.contains_key(&(shop.clone(), version));
            secrets.entry((shop.clone(), version)).or_insert_with(|| secret.clone());
        })?;
        Ok(is_new)
    }

    async fn replace(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<(), PortError> {
        self.write("write a secret", || {
            self.secrets().insert((shop.clone(), version), secret.clone());
        })
    }

    async fn shops(&self) -> Result<BTreeSet<ShopId>, PortError> {
        self.read("list secrets", || {
            let secrets = self.secrets();
            let current = secrets.keys().filter(|(_, version)| *version == SecretVersion::Current);
            current.map(|(shop, _)| shop.clone()).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use crate::secrets::ExposeSecret;

    #[tokio::test]
    async fn a_secret_is_created_once_after_a_lost_answer() {
        let secrets = MemorySecrets::default();
        let shop: ShopId = "acme".parse().unwrap();
        secrets.faults().set([Some(Fault::AnswerLost)]);
        let create = |secret: &'static str| {
            let (secrets, shop, secret) = (&secrets, &shop, SecretString::from(secret));
            async move { secrets.create(shop, SecretVersion::Current, &secret).await }
        };
        assert!(create("first").await.is_err());
        assert!(!create("second").await.unwrap(), "the first one is there");
        let found = secrets.webhook_secrets(&shop).await.unwrap();
        assert_eq!(
            found.iter().map(|secret| secret.expose_secret()).collect::<Vec<_>>(),
            ["first"]
        );
    }

    #[tokio::test]
    async fn an_interrupted_store_is_not_an_unknown_shop() {
        let secrets = MemorySecrets::default();
        let shop: ShopId = "acme".parse().unwrap();
        secrets.faults().set([Some(Fault::Refused)]);
        let error = secrets.webhook_secrets(&shop).await.unwrap_err();
        assert!(matches!(error, SecretsError::Unavailable { .. }), "{error}");
        let error = secrets.webhook_secrets(&shop).await.unwrap_err();
        assert!(matches!(error, SecretsError::UnknownShop { .. }), "{error}");
    }
}
