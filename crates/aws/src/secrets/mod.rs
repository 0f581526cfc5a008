//! The secrets with which shops sign their webhooks.

mod bucket;
mod cache;
mod cached;
mod memory;
mod ssm;

use std::collections::BTreeSet;

use async_trait::async_trait;
use shoplake_contracts::ShopId;

pub use cached::CachedSecrets;
pub use memory::MemorySecrets;
pub use secrecy::{ExposeSecret, SecretString};
pub use ssm::{SsmSecretStore, SsmSecrets, read_parameter};

use crate::PortError;

/// One of a shop's two valid secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretVersion {
    /// The secret that the shop signs with.
    Current,
    /// The secret before it, valid until the next rotation.
    Previous,
}

impl SecretVersion {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::Current, Self::Previous];

    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

/// Reads the secrets of shops, to verify signatures.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Returns the shop's valid webhook secrets (`whsec_<base64>`): at least one, and two after a
    /// rotation.
    ///
    /// # Errors
    ///
    /// [`SecretsError::UnknownShop`] is a fact about the shop, [`SecretsError::Unavailable`] is an
    /// outage: a caller must never treat it as an unknown shop.
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError>;
}

#[async_trait]
impl<S: Secrets + ?Sized> Secrets for std::sync::Arc<S> {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        (**self).webhook_secrets(shop).await
    }
}

/// Reads and writes the secrets of shops, to add a shop and to rotate a secret.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// Returns the secret, if there is one.
    async fn get(
        &self,
        shop: &ShopId,
        version: SecretVersion,
    ) -> Result<Option<SecretString>, PortError>;

    /// Writes the secret if there is none; returns whether it did.
    async fn create(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<bool, PortError>;

    /// Writes the secret, replacing the one before.
    async fn replace(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<(), PortError>;

    /// Returns the shops that have a current secret.
    async fn shops(&self) -> Result<BTreeSet<ShopId>, PortError>;
}

/// Why the secrets of a shop cannot be returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// The shop does not exist, or has no secret.
    #[error("shop {shop} has no webhook secret; add the shop with the control function")]
    UnknownShop {
        /// The shop.
        shop: ShopId,
    },
    /// Parameter Store does not answer, or denies access.
    #[error("the secrets of shops cannot be read: {reason}")]
    Unavailable {
        /// What went wrong.
        reason: String,
    },
}
