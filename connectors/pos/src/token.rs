//! Where the API's token is kept.

use aws_config::SdkConfig;
use aws_sdk_ssm::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::get_parameter::GetParameterError,
};
use secrecy::SecretString;

use crate::TokenSource;

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The parameter does not exist, or holds nothing.
    #[error("parameter {name} with the POS API's token does not exist; store it as a SecureString")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// The place where it is kept does not answer, or does not let us in.
    #[error("parameter {name} with the POS API's token cannot be read: {reason}")]
    Unavailable {
        /// The parameter.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

impl TokenSource {
    /// The token.
    ///
    /// # Errors
    /// When it is kept in Parameter Store and cannot be read there.
    pub async fn token(&self, aws: &SdkConfig) -> Result<SecretString, TokenError> {
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
