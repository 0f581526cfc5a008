//! The secrets of shops through their life.

use shoplake_contracts::ShopId;
use shoplake_platform::failure::Failure;

use crate::{
    secret::Secret,
    vault::{Slot, Vault},
};

/// Gives a new shop its secret. A shop that has one keeps it: losing it would shut the shop out.
pub(crate) async fn add(vault: &dyn Vault, shop: &ShopId) -> Result<Secret, Failure> {
    let secret = generate()?;
    if !vault.create(shop, Slot::Current, &secret).await.map_err(unavailable)? {
        return Err(Failure::permanent(format!(
            "shop {shop} exists already; use rotate_secret to give it another secret"
        )));
    }
    tracing::info!(%shop, "added a shop");
    Ok(secret)
}

/// Gives a shop another secret. The one before it stays valid, the one before that does not.
///
/// The order matters: should the second write fail, the shop's secret is still valid. To be run by one operator at a time.
pub(crate) async fn rotate(vault: &dyn Vault, shop: &ShopId) -> Result<Secret, Failure> {
    let Some(current) = vault.get(shop, Slot::Current).await.map_err(unavailable)? else {
        return Err(Failure::permanent(format!("shop {shop} does not exist; use add_shop")));
    };
    let secret = generate()?;
    vault.replace(shop, Slot::Previous, &current).await.map_err(unavailable)?;
    vault.replace(shop, Slot::Current, &secret).await.map_err(unavailable)?;
    tracing::info!(%shop, "rotated a shop's secret");
    Ok(secret)
}

fn generate() -> Result<Secret, Failure> {
    Secret::generate()
        .map_err(|error| Failure::retryable(format!("the system has no random numbers: {error}")))
}

fn unavailable(error: anyhow::Error) -> Failure {
    Failure::retryable(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::memory::MemoryVault;

    fn acme() -> ShopId {
        "acme".parse().unwrap()
    }

    #[tokio::test]
    async fn given_a_shop_when_added_again_then_it_is_refused_and_keeps_its_secret() {
        let vault = MemoryVault::default();
        let secret = add(&vault, &acme()).await.unwrap();

        let failure = add(&vault, &acme()).await.unwrap_err();

        assert!(failure.is_permanent());
        assert_eq!(vault.get(&acme(), Slot::Current).await.unwrap(), Some(secret));
    }

    #[tokio::test]
    async fn given_a_shop_when_rotated_twice_then_the_last_two_secrets_live() {
        let vault = MemoryVault::default();
        add(&vault, &acme()).await.unwrap();
        let second = rotate(&vault, &acme()).await.unwrap();
        let third = rotate(&vault, &acme()).await.unwrap();
        assert_eq!(vault.get(&acme(), Slot::Previous).await.unwrap(), Some(second));
        assert_eq!(vault.get(&acme(), Slot::Current).await.unwrap(), Some(third));
    }

    #[tokio::test]
    async fn given_an_unknown_shop_when_rotated_then_none_is_made_up() {
        let vault = MemoryVault::default();
        assert!(rotate(&vault, &acme()).await.unwrap_err().is_permanent());
        assert_eq!(vault.get(&acme(), Slot::Current).await.unwrap(), None);
    }
}
