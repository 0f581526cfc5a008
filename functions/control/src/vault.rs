//! Where the secrets of shops are kept.

use anyhow::Context;
use async_trait::async_trait;
use aws_sdk_ssm::types::ParameterType;
use shoplake_contracts::ShopId;

use crate::secret::Secret;

/// Which of a shop's two live secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// The one it is to sign with.
    Current,
    /// The one before, valid until the next rotation.
    Previous,
}

impl Slot {
    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

/// Keeps the secrets of shops.
#[async_trait]
pub(crate) trait Vault: Send + Sync {
    /// The secret, if there is one.
    async fn get(&self, shop: &ShopId, slot: Slot) -> anyhow::Result<Option<Secret>>;
    /// Keeps the secret if there is none; answers whether it did.
    async fn create(&self, shop: &ShopId, slot: Slot, secret: &Secret) -> anyhow::Result<bool>;
    /// Keeps the secret instead of what was there.
    async fn replace(&self, shop: &ShopId, slot: Slot, secret: &Secret) -> anyhow::Result<()>;
}

/// Parameter Store: SecureString parameters `<path>/<shop>/webhook-secrets/<slot>` under a KMS key.
pub(crate) struct SsmVault {
    client: aws_sdk_ssm::Client,
    path: String,
    kms_key: String,
}

impl SsmVault {
    /// The shops below `path`, encrypted with `kms_key`.
    pub(crate) fn new(client: aws_sdk_ssm::Client, path: String, kms_key: String) -> Self {
        Self { client, path, kms_key }
    }

    fn name(&self, shop: &ShopId, slot: Slot) -> String {
        parameter_name(&self.path, shop, slot)
    }

    fn put(
        &self,
        shop: &ShopId,
        slot: Slot,
        secret: &Secret,
    ) -> aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder {
        self.client
            .put_parameter()
            .name(self.name(shop, slot))
            .value(secret.expose())
            .r#type(ParameterType::SecureString)
            .key_id(&self.kms_key)
    }
}

/// Where the webhook looks for the secret. A shop's name has no slash, so it stays below the path.
fn parameter_name(path: &str, shop: &ShopId, slot: Slot) -> String {
    format!("{}/{shop}/webhook-secrets/{}", path.trim_end_matches('/'), slot.as_str())
}

#[async_trait]
impl Vault for SsmVault {
    async fn get(&self, shop: &ShopId, slot: Slot) -> anyhow::Result<Option<Secret>> {
        let name = self.name(shop, slot);
        match self.client.get_parameter().name(&name).with_decryption(true).send().await {
            Ok(output) => Ok(output.parameter.and_then(|parameter| parameter.value).map(Secret::from_kept)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_parameter_not_found()) => {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("could not read the parameter {name}")),
        }
    }

    async fn create(&self, shop: &ShopId, slot: Slot, secret: &Secret) -> anyhow::Result<bool> {
        match self.put(shop, slot, secret).overwrite(false).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_parameter_already_exists()) =>
            {
                Ok(false)
            }
            Err(error) => Err(error)
                .with_context(|| format!("could not create the parameter {}", self.name(shop, slot))),
        }
    }

    async fn replace(&self, shop: &ShopId, slot: Slot, secret: &Secret) -> anyhow::Result<()> {
        let put = self.put(shop, slot, secret).overwrite(true).send().await;
        put.with_context(|| format!("could not write the parameter {}", self.name(shop, slot)))?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory.

    use std::{collections::BTreeMap, sync::Mutex};

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct MemoryVault(Mutex<BTreeMap<(ShopId, Slot), Secret>>);

    #[async_trait]
    impl Vault for MemoryVault {
        async fn get(&self, shop: &ShopId, slot: Slot) -> anyhow::Result<Option<Secret>> {
            Ok(self.0.lock().unwrap().get(&(shop.clone(), slot)).cloned())
        }

        async fn create(&self, shop: &ShopId, slot: Slot, secret: &Secret) -> anyhow::Result<bool> {
            let mut secrets = self.0.lock().unwrap();
            let is_new = !secrets.contains_key(&(shop.clone(), slot));
            secrets.entry((shop.clone(), slot)).or_insert_with(|| secret.clone());
            Ok(is_new)
        }

        async fn replace(&self, shop: &ShopId, slot: Slot, secret: &Secret) -> anyhow::Result<()> {
            self.0.lock().unwrap().insert((shop.clone(), slot), secret.clone());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_shop_when_its_parameter_is_named_then_it_is_below_the_path() {
        let shop = "acme".parse().unwrap();
        for path in ["/shoplake-local/shops", "/shoplake-local/shops/"] {
            assert_eq!(
                parameter_name(path, &shop, Slot::Previous),
                "/shoplake-local/shops/acme/webhook-secrets/previous"
            );
        }
    }
}
