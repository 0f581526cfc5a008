//! Secrets in memory.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use shoplake_contracts::ShopId;

use super::{SecretString, Secrets, SecretsError};

/// Secrets that live in memory, and can be made unavailable.
#[derive(Debug, Default)]
pub struct MemorySecrets {
    shops: Mutex<HashMap<ShopId, Vec<SecretString>>>,
    unavailable: AtomicBool,
    requests: AtomicUsize,
}

impl MemorySecrets {
    /// Sets the secrets of a shop.
    pub fn set<'a>(&self, shop: ShopId, secrets: impl IntoIterator<Item = &'a str>) {
        let secrets = secrets.into_iter().map(SecretString::from).collect();
        self.shops.lock().unwrap_or_else(PoisonError::into_inner).insert(shop, secrets);
    }

    /// Removes a shop.
    pub fn remove(&self, shop: &ShopId) {
        self.shops.lock().unwrap_or_else(PoisonError::into_inner).remove(shop);
    }

    /// Whether requests are answered from now on.
    pub fn set_available(&self, available: bool) {
        self.unavailable.store(!available, Ordering::Relaxed);
    }

    /// The requests made so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.unavailable.load(Ordering::Relaxed) {
            return Err(SecretsError::Unavailable { reason: "told to be unavailable".to_owned() });
        }
        self.shops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(shop)
            .cloned()
            .ok_or_else(|| SecretsError::UnknownShop { shop: shop.clone() })
    }
}
