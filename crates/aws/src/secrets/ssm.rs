//! Secrets in AWS Systems Manager Parameter Store: SecureString parameters
//! `<path>/<shop>/webhook-secrets/<version>`.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::{
    Client, config::timeout::TimeoutConfig, error::DisplayErrorContext, types::ParameterType,
};
use secrecy::ExposeSecret;
use shoplake_contracts::ShopId;

use super::{SecretStore, SecretString, SecretVersion, Secrets, SecretsError};
use crate::PortError;

/// The time limit of a read with all its attempts. A caller of the webhook waits for it, and in an
/// outage cached secrets are used.
const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// Reads a shop's valid secrets by the exact names of their parameters: one call, and not one of
/// the slow and tightly throttled listings of a path.
///
/// Parameter Store throttles each call; put a [`CachedSecrets`](super::CachedSecrets) in front.
#[derive(Debug, Clone)]
pub struct SsmSecrets {
    client: Client,
    path: String,
}

impl SsmSecrets {
    /// The shops below `path`, for instance `/shoplake-local/shops`.
    pub fn new(config: &SdkConfig, path: String) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(READ_TIMEOUT / 4)
            .operation_timeout(READ_TIMEOUT)
            .build();
        let client_config =
            aws_sdk_ssm::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: Client::from_conf(client_config), path }
    }
}

#[async_trait]
impl Secrets for SsmSecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        let names = SecretVersion::ALL.map(|version| parameter_name(&self.path, shop, version));
        let output = self
            .client
            .get_parameters()
            .set_names(Some(names.into()))
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| SecretsError::Unavailable {
                reason: DisplayErrorContext(error).to_string(),
            })?;
        let secrets: Vec<SecretString> = output
            .parameters()
            .iter()
            .filter_map(|parameter| parameter.value())
            .map(SecretString::from)
            .collect();
        if secrets.is_empty() {
            return Err(SecretsError::UnknownShop { shop: shop.clone() });
        }
        Ok(secrets)
    }
}

/// Reads and writes secrets, encrypted with a KMS key.
#[derive(Debug, Clone)]
pub struct SsmSecretStore {
    client: Client,
    path: String,
    kms_key: String,
}

impl SsmSecretStore {
    /// The shops below `path`, encrypted with `kms_key`.
    pub fn new(config: &SdkConfig, path: String, kms_key: String) -> Self {
        Self { client: Client::new(config), path, kms_key }
    }

    fn put(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> PutParameterFluentBuilder {
        self.client
            .put_parameter()
            .name(parameter_name(&self.path, shop, version))
            .value(secret.expose_secret())
            .r#type(ParameterType::SecureString)
            .key_id(&self.kms_key)
    }
}

#[async_trait]
impl SecretStore for SsmSecretStore {
    async fn get(
        &self,
        shop: &ShopId,
        version: SecretVersion,
    ) -> Result<Option<SecretString>, PortError> {
        get_parameter(&self.client, &parameter_name(&self.path, shop, version)).await
    }

    async fn create(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<bool, PortError> {
        match self.put(shop, version, secret).overwrite(false).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_parameter_already_exists()) =>
            {
                Ok(false)
            }
            Err(error) => {
                let name = parameter_name(&self.path, shop, version);
                Err(PortError::sdk(format!("create the parameter {name}"), error))
            }
        }
    }

    async fn replace(
        &self,
        shop: &ShopId,
        version: SecretVersion,
        secret: &SecretString,
    ) -> Result<(), PortError> {
        let put = self.put(shop, version, secret).overwrite(true).send().await;
        put.map(drop).map_err(|error| {
            let name = parameter_name(&self.path, shop, version);
            PortError::sdk(format!("write the parameter {name}"), error)
        })
    }

    async fn shops(&self) -> Result<BTreeSet<ShopId>, PortError> {
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
            let page = page.map_err(|error| {
                PortError::sdk(format!("list the parameters below {}", self.path), error)
            })?;
            let names = page.parameters().iter().filter_map(|parameter| parameter.name());
            shops.extend(names.filter_map(|name| shop_of(&self.path, name)));
        }
        Ok(shops)
    }
}

/// Returns the value of any SecureString parameter; `None` if it does not exist.
///
/// # Errors
/// If Parameter Store does not answer, or denies access.
pub async fn read_parameter(
    config: &SdkConfig,
    name: &str,
) -> Result<Option<SecretString>, PortError> {
    get_parameter(&Client::new(config), name).await
}

async fn get_parameter(client: &Client, name: &str) -> Result<Option<SecretString>, PortError> {
    match client.get_parameter().name(name).with_decryption(true).send().await {
        Ok(output) => {
            Ok(output.parameter.and_then(|parameter| parameter.value).map(SecretString::from))
        }
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_parameter_not_found()) =>
        {
            Ok(None)
        }
        Err(error) => Err(PortError::sdk(format!("read the parameter {name}"), error)),
    }
}

/// Returns the name of a secret's parameter. A shop's id has no slash, so the name is below the
/// path.
fn parameter_name(path: &str, shop: &ShopId, version: SecretVersion) -> String {
    format!("{}/{shop}/webhook-secrets/{}", path.trim_end_matches('/'), version.as_str())
}

/// Returns the shop whose current secret the parameter holds.
fn shop_of(path: &str, name: &str) -> Option<ShopId> {
    let name = name.strip_prefix(path.trim_end_matches('/'))?.strip_prefix('/')?;
    name.strip_suffix("/webhook-secrets/current")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_below_the_path() {
        let shop = "acme".parse().unwrap();
        for path in ["/shoplake-local/shops", "/shoplake-local/shops/"] {
            assert_eq!(
                SecretVersion::ALL.map(|version| parameter_name(path, &shop, version)),
                [
                    "/shoplake-local/shops/acme/webhook-secrets/current",
                    "/shoplake-local/shops/acme/webhook-secrets/previous"
                ]
            );
        }
    }

    #[test]
    fn a_parameter_of_a_current_secret_names_its_shop() {
        for path in ["/shoplake-local/shops", "/shoplake-local/shops/"] {
            let acme = shop_of(path, "/shoplake-local/shops/acme/webhook-secrets/current");
            assert_eq!(acme.unwrap().as_str(), "acme");
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
}
