//! Secrets in AWS Systems Manager Parameter Store, as SecureString parameters.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ssm::{Client, config::timeout::TimeoutConfig, error::DisplayErrorContext};
use shoplake_contracts::ShopId;

use super::{SecretString, Secrets, SecretsError};

/// All attempts of one question together. A caller waits for the answer, and in an outage remembered secrets may do.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Reads `<path>/<shop>/webhook-secrets/*`: `current`, and `previous` while a secret is being rotated.
///
/// Each question is a call that Parameter Store throttles; put a [`CachedSecrets`](super::CachedSecrets) in front.
#[derive(Debug, Clone)]
pub struct SsmSecrets {
    client: Client,
    path: String,
}

impl SsmSecrets {
    /// The shops below `path`, for instance `/shoplake-local/shops`.
    pub fn new(config: &SdkConfig, path: &str) -> Self {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(TIMEOUT / 4).operation_timeout(TIMEOUT).build();
        let client_config = aws_sdk_ssm::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: Client::from_conf(client_config), path: path.trim_end_matches('/').to_owned() }
    }

    // A shop's name has no slash, so it cannot reach outside of its own path.
    fn shop_path(&self, shop: &ShopId) -> String {
        format!("{}/{shop}/webhook-secrets/", self.path)
    }
}

#[async_trait]
impl Secrets for SsmSecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        // A page may be empty and still have a next one, so only the last page makes a shop unknown.
        let pages = self
            .client
            .get_parameters_by_path()
            .path(self.shop_path(shop))
            .with_decryption(true)
            .into_paginator()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|error| SecretsError::Unavailable { reason: DisplayErrorContext(error).to_string() })?;
        let secrets: Vec<SecretString> = pages
            .iter()
            .flat_map(|page| page.parameters())
            .filter_map(|parameter| parameter.value())
            .map(SecretString::from)
            .collect();
        if secrets.is_empty() {
            return Err(SecretsError::UnknownShop { shop: shop.clone() });
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_path_with_or_without_a_slash_when_joined_then_the_parameter_path_is_the_same() {
        let config = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        for path in ["/shoplake-local/shops", "/shoplake-local/shops/"] {
            let secrets = SsmSecrets::new(&config, path);
            assert_eq!(
                secrets.shop_path(&"acme".parse().unwrap()),
                "/shoplake-local/shops/acme/webhook-secrets/"
            );
        }
    }
}
