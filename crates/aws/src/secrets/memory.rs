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
use crate::PortError;

/// Secrets in memory. They can be made unavailable.
#[derive(Debug, Default)]
pub struct MemorySecrets {
    secrets: Mutex<BTreeMap<(ShopId, SecretVersion), SecretString>>,
    unavailable: AtomicBool,
    requests: AtomicUsize,
}

impl MemorySecrets {
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
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        self.request("read secrets")
            .map_err(|error| SecretsError::Unavailable { reason: error.cause })?;
        let secrets = self.secrets();
        let secrets: Vec<_> = SecretVersion::ALL
            .iter()
            .filter_map(|version| secrets.get(&(shop.clone(), *version)).cloned())
            .collect();
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
        self.request("read a secret")?;
        Ok(self.secrets().get(&(shop.clone(), version)).cloned())
    }

    async fn create(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<bool, PortError> {
        self.request("create a secret")?;
        let mut secrets = self.secrets();
        let is_new = !secrets.contains_key(&(shop.clone(), version));
        secrets.entry((shop.clone(), version)).or_insert_with(|| secret.clone());
        Ok(is_new)
    }

    async fn replace(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<(), PortError> {
        self.request("write a secret")?;
        self.secrets().insert((shop.clone(), version), secret.clone());
        Ok(())
    }

    async fn shops(&self) -> Result<BTreeSet<ShopId>, PortError> {
        self.request("list secrets")?;
        let secrets = self.secrets();
        let current = secrets.keys().filter(|(_, version)| *version == SecretVersion::Current);
        Ok(current.map(|(shop, _)| shop.clone()).collect())
    }
}
