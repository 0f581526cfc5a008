//! The secrets with which shops sign their webhooks.

mod bucket;
mod cache;
mod cached;
mod memory;
mod ssm;

use async_trait::async_trait;
use shoplake_contracts::ShopId;

pub use cached::CachedSecrets;
pub use memory::MemorySecrets;
pub use secrecy::{ExposeSecret, SecretString};
pub use ssm::SsmSecrets;

/// Knows the secrets of shops.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The shop's live webhook secrets (`whsec_<base64>`), at least one; two while one of them is
    /// being rotated.
    ///
    /// # Errors
    ///
    /// [`SecretsError::UnknownShop`] is an answer about the shop. [`SecretsError::Unavailable`] is
    /// not: it must never be taken for one.
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError>;
}

#[async_trait]
impl<S: Secrets + ?Sized> Secrets for std::sync::Arc<S> {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        (**self).webhook_secrets(shop).await
    }
}

/// Why there are no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is no such shop, or it has no secret.
    #[error("shop {shop} has no webhook secret; add the shop with the control function")]
    UnknownShop {
        /// The shop.
        shop: ShopId,
    },
    /// The place where secrets are kept does not answer, or does not let us in.
    #[error("the secrets of shops cannot be read: {reason}")]
    Unavailable {
        /// What went wrong.
        reason: String,
    },
}
