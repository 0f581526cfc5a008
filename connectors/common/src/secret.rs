//! Where an API's token is kept.

use aws_config::SdkConfig;
use aws_sdk_ssm::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::get_parameter::GetParameterError,
};
use secrecy::SecretString;
use shoplake_platform::config::{ConfigError, optional};

/// Where the API's token is.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// Here.
    Value(SecretString),
    /// In Parameter Store, under this name.
    Parameter(String),
}

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The parameter does not exist, or holds nothing.
    #[error("parameter {name} with the API's token does not exist; store it as a SecureString")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// The place where it is kept does not answer, or does not let us in.
    #[error("parameter {name} with the API's token cannot be read: {reason}")]
    Unavailable {
        /// The parameter.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

impl TokenError {
    /// Whether asking again may help. A parameter that is not there, somebody has to store first.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl TokenSource {
    /// Reads `<prefix>_TOKEN` or `<prefix>_TOKEN_PARAMETER`.
    ///
    /// # Errors
    /// When neither is set, or both are.
    pub(crate) fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        let token = optional(&format!("{prefix}_TOKEN"), "")?;
        Self::choose(prefix, token, optional(&format!("{prefix}_TOKEN_PARAMETER"), "")?)
    }

    fn choose(prefix: &str, token: String, parameter: String) -> Result<Self, ConfigError> {
        match (token.is_empty(), parameter.is_empty()) {
            (false, true) => Ok(Self::Value(token.into())),
            (true, false) => Ok(Self::Parameter(parameter)),
            _ => Err(ConfigError::Missing {
                name: format!("{prefix}_TOKEN_PARAMETER"),
                expected: format!("either it or {prefix}_TOKEN, not both"),
            }),
        }
    }

    /// The token.
    ///
    /// # Errors
    /// When it is kept in Parameter Store and cannot be read there.
    pub(crate) async fn token(&self, aws: &SdkConfig) -> Result<SecretString, TokenError> {
        let name = match self {
            Self::Value(token) => return Ok(token.clone()),
            Self::Parameter(name) => name,
        };
        let answer = Client::new(aws).get_parameter().name(name).with_decryption(true).send().await;
        match answer {
            Ok(answer) => {
                let value = answer.parameter.and_then(|parameter| parameter.value);
                value.map(SecretString::from).ok_or_else(|| TokenError::Missing { name: name.clone() })
            }
            Err(error) => Err(failure(name, &error)),
        }
    }
}

fn failure(name: &str, error: &SdkError<GetParameterError>) -> TokenError {
    let name = name.to_owned();
    match error.as_service_error() {
        Some(service) if service.is_parameter_not_found() => TokenError::Missing { name },
        _ => TokenError::Unavailable { name, reason: DisplayErrorContext(error).to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_token_and_a_parameter_or_neither_then_the_configuration_is_refused() {
        let source =
            |token: &str, parameter: &str| TokenSource::choose("POS", token.to_owned(), parameter.to_owned());

        assert!(matches!(source("t", ""), Ok(TokenSource::Value(_))));
        assert!(matches!(source("", "/p"), Ok(TokenSource::Parameter(_))));
        assert!(source("", "").is_err());
        let error = source("hunter2", "/p").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("either it or POS_TOKEN, not both"), "{error}");
    }
}
