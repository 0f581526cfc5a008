//! The secret of a source: an API's token, a database's password.

use aws_config::SdkConfig;
use secrecy::SecretString;
use shoplake_aws::secrets::read_parameter;
use shoplake_platform::config::{ConfigError, optional};

/// Where the secret is.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// The secret itself.
    Value(SecretString),
    /// In Parameter Store, under this name.
    Parameter(String),
}

/// There is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The parameter does not exist, or holds nothing.
    #[error("parameter {name} with the source's secret does not exist; store it as a SecureString")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// Parameter Store does not answer, or denies access.
    #[error("parameter {name} with the source's secret cannot be read: {reason}")]
    Unavailable {
        /// The parameter.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

impl SecretError {
    /// Returns whether reading again may help. A missing parameter has to be stored first.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl SecretSource {
    /// Reads the variable `name`, such as `POS_TOKEN`, or `<name>_PARAMETER`.
    ///
    /// # Errors
    /// When neither is set, or both are.
    pub fn from_env(name: &str) -> Result<Self, ConfigError> {
        let secret = optional(name, "")?;
        Self::choose(name, secret, optional(&format!("{name}_PARAMETER"), "")?)
    }

    fn choose(name: &str, secret: String, parameter: String) -> Result<Self, ConfigError> {
        match (secret.is_empty(), parameter.is_empty()) {
            (false, true) => Ok(Self::Value(secret.into())),
            (true, false) => Ok(Self::Parameter(parameter)),
            _ => Err(ConfigError::Missing {
                name: format!("{name}_PARAMETER"),
                expected: format!("either it or {name}, not both"),
            }),
        }
    }

    /// Returns the secret.
    ///
    /// # Errors
    /// When it is kept in Parameter Store and cannot be read there.
    pub(crate) async fn read(&self, aws: &SdkConfig) -> Result<SecretString, SecretError> {
        let name = match self {
            Self::Value(secret) => return Ok(secret.clone()),
            Self::Parameter(name) => name,
        };
        match read_parameter(aws, name).await {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => Err(SecretError::Missing { name: name.clone() }),
            Err(error) => Err(SecretError::Unavailable { name: name.clone(), reason: error.cause }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_secret_and_parameter_is_accepted() {
        let source = |secret: &str, parameter: &str| {
            SecretSource::choose("POS_TOKEN", secret.to_owned(), parameter.to_owned())
        };

        assert!(matches!(source("t", ""), Ok(SecretSource::Value(_))));
        assert!(matches!(source("", "/p"), Ok(SecretSource::Parameter(_))));
        assert!(source("", "").is_err());
        let error = source("hunter2", "/p").unwrap_err().to_string();
        assert!(
            !error.contains("hunter2") && error.contains("either it or POS_TOKEN, not both"),
            "{error}"
        );
    }
}
