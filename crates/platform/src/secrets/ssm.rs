//! Secrets in AWS Systems Manager Parameter Store, as SecureString parameters.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ssm::{Client, config::timeout::TimeoutConfig, error::DisplayErrorContext};
use shoplake_contracts::ShopId;

use super::{SecretString, Secrets, SecretsError};

/// All attempts of one question together. A caller waits for the answer, and in an outage
/// remembered secrets may do.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The parameters that may hold a secret of a shop, below `<path>/<shop>/webhook-secrets/`.
const VERSIONS: [&str; 2] = ["current", "previous"];

/// Reads a shop's parameters `current`, and `previous` while a secret is being rotated, by their
/// exact names: one call, and none of the slow and tightly throttled listings of a path.
///
/// Parameter Store throttles each call; put a [`CachedSecrets`](super::CachedSecrets) in front.
#[derive(Debug, Clone)]
pub struct SsmSecrets {
    client: Client,
    path: String,
}

impl SsmSecrets {
    /// The shops below `path`, for instance `/shoplake-local/shops`.
    pub fn new(config: &SdkConfig, path: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(TIMEOUT / 4)
            .operation_timeout(TIMEOUT)
            .build();
        let client_config =
            aws_sdk_ssm::config::Builder::from(config).timeout_config(timeouts).build();
        Self {
            client: Client::from_conf(client_config),
            path: path.trim_end_matches('/').to_owned(),
        }
    }

    // A shop's name has no slash, so it cannot reach outside of its own path.
    fn parameter_names(&self, shop: &ShopId) -> Vec<String> {
        VERSIONS.map(|version| format!("{}/{shop}/webhook-secrets/{version}", self.path)).into()
    }
}

#[async_trait]
impl Secrets for SsmSecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        let output = self
            .client
            .get_parameters()
            .set_names(Some(self.parameter_names(shop)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_has_two_exact_parameter_names() {
        let config =
            SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        for path in ["/shoplake-local/shops", "/shoplake-local/shops/"] {
            let secrets = SsmSecrets::new(&config, path);
            assert_eq!(
                secrets.parameter_names(&"acme".parse().unwrap()),
                [
                    "/shoplake-local/shops/acme/webhook-secrets/current",
                    "/shoplake-local/shops/acme/webhook-secrets/previous"
                ]
            );
        }
    }
}
