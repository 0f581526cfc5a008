//! Where the secrets of shops are kept.

use std::collections::BTreeSet;

use anyhow::Context;
use async_trait::async_trait;
use aws_sdk_ssm::types::ParameterType;
use shoplake_contracts::ShopId;

use crate::secret::Secret;

/// One of a shop's two live secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SecretVersion {
    /// The one that the shop signs with.
    Current,
    /// The one before it, valid until the next rotation.
    Previous,
}

impl SecretVersion {
    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

/// Keeps the secrets of shops.
#[async_trait]
pub(crate) trait SecretStore: Send + Sync {
    /// Returns the secret, if there is one.
    async fn get(&self, shop: &ShopId, version: SecretVersion) -> anyhow::Result<Option<Secret>>;
    /// Keeps the secret if there is none; returns whether it did.
    async fn create(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &Secret,
    ) -> anyhow::Result<bool>;
    /// Keeps the secret in place of the one before.
    async fn replace(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &Secret,
    ) -> anyhow::Result<()>;
    /// Returns the shops that have a current secret.
    async fn shops(&self) -> anyhow::Result<BTreeSet<ShopId>>;
}

/// Parameter Store: SecureString parameters `<path>/<shop>/webhook-secrets/<version>` under a KMS
/// key.
pub(crate) struct SsmSecretStore {
    client: aws_sdk_ssm::Client,
    path: String,
    kms_key: String,
}

impl SsmSecretStore {
    /// The shops below `path`, encrypted with `kms_key`.
    pub(crate) fn new(client: aws_sdk_ssm::Client, path: String, kms_key: String) -> Self {
        Self { client, path, kms_key }
    }

    fn name(&self, shop: &ShopId, version: SecretVersion) -> String {
        parameter_name(&self.path, shop, version)
    }

    fn put(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &Secret,
    ) -> aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder {
        self.client
            .put_parameter()
            .name(self.name(shop, version))
            .value(secret.expose())
            .r#type(ParameterType::SecureString)
            .key_id(&self.kms_key)
    }
}

/// Returns the name under which the webhook looks for the secret. A shop's name has no slash, so it
/// stays below the path.
fn parameter_name(path: &str, shop: &ShopId, version: SecretVersion) -> String {
    format!("{}/{shop}/webhook-secrets/{}", path.trim_end_matches('/'), version.as_str())
}

#[async_trait]
impl SecretStore for SsmSecretStore {
    async fn get(&self, shop: &ShopId, version: SecretVersion) -> anyhow::Result<Option<Secret>> {
        let name = self.name(shop, version);
        match self.client.get_parameter().name(&name).with_decryption(true).send().await {
            Ok(output) => {
                Ok(output.parameter.and_then(|parameter| parameter.value).map(Secret::from_kept))
            }
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_parameter_not_found()) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(error).with_context(|| format!("could not read the parameter {name}"))
            }
        }
    }

    async fn create(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &Secret,
    ) -> anyhow::Result<bool> {
        match self.put(shop, version, secret).overwrite(false).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_parameter_already_exists()) =>
            {
                Ok(false)
            }
            Err(error) => Err(error).with_context(|| {
                format!("could not create the parameter {}", self.name(shop, version))
            }),
        }
    }

    async fn replace(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &Secret,
    ) -> anyhow::Result<()> {
        let put = self.put(shop, version, secret).overwrite(true).send().await;
        put.with_context(|| format!("could not write the parameter {}", self.name(shop, version)))?;
        Ok(())
    }

    async fn shops(&self) -> anyhow::Result<BTreeSet<ShopId>> {
        let mut pages = self
            .client
            .get_parameters_by_path()
            .path(&self.path)
            .recursive(true)
            .with_decryption(false)
            .into_paginator()
            .send();
        let mut shops = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page =
                page.with_context(|| format!("could not list the parameters below {}", self.path))?;
            let names = page.parameters().iter().filter_map(|parameter| parameter.name());
            shops.extend(names.filter_map(|name| shop_of(&self.path, name)));
        }
        Ok(shops)
    }
}

/// Returns the shop whose current secret the parameter holds.
fn shop_of(path: &str, name: &str) -> Option<ShopId> {
    let name = name.strip_prefix(path.trim_end_matches('/'))?.strip_prefix('/')?;
    name.strip_suffix("/webhook-secrets/current")?.parse().ok()
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory.

    use std::{collections::BTreeMap, sync::Mutex};

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct MemorySecretStore(Mutex<BTreeMap<(ShopId, SecretVersion), Secret>>);

    #[async_trait]
    impl SecretStore for MemorySecretStore {
        async fn get(
            &self,
            shop: &ShopId,
            version: SecretVersion,
        ) -> anyhow::Result<Option<Secret>> {
            Ok(self.0.lock().unwrap().get(&(shop.clone(), version)).cloned())
        }

        async fn create(
            &self,
            shop: &ShopId,
            version: SecretVersion,
            secret: &Secret,
        ) -> anyhow::Result<bool> {
            let mut secrets = self.0.lock().unwrap();
            let is_new = !secrets.contains_key(&(shop.clone(), version));
            secrets.entry((shop.clone(), version)).or_insert_with(|| secret.clone());
            Ok(is_new)
        }

        async fn replace(
            &self,
            shop: &ShopId,
            version: SecretVersion,
            secret: &Secret,
        ) -> anyhow::Result<()> {
            self.0.lock().unwrap().insert((shop.clone(), version), secret.clone());
            Ok(())
        }

        async fn shops(&self) -> anyhow::Result<BTreeSet<ShopId>> {
            let secrets = self.0.lock().unwrap();
            let current = secrets.keys().filter(|(_, version)| *version == SecretVersion::Current);
            Ok(current.map(|(shop, _)| shop.clone()).collect())
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
                parameter_name(path, &shop, SecretVersion::Previous),
                "/shoplake-local/shops/acme/webhook-secrets/previous"
            );
        }
    }

    #[test]
    fn a_parameter_of_a_current_secret_names_its_shop() {
        let path = "/shoplake-local/shops";
        for path in [path, "/shoplake-local/shops/"] {
            let acme = shop_of(path, "/shoplake-local/shops/acme/webhook-secrets/current");
            assert_eq!(acme.unwrap().as_str(), "acme");
        }
        for name in [
            "/shoplake-local/shops/acme/webhook-secrets/previous",
            "/shoplake-local/shopsacme/webhook-secrets/current",
            "/shoplake-local/shops/a/b/webhook-secrets/current",
            "/shoplake-local/shops//webhook-secrets/current",
            "/other/shops/acme/webhook-secrets/current",
        ] {
            assert_eq!(shop_of(path, name), None, "{name}");
        }
    }
}
