//! Signatures by the Standard Webhooks specification.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A shop's webhook secret. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Not a webhook secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a secret of the form whsec_<base64>")]
pub struct NotASecret;

impl Secret {
    /// Returns the value of the header `webhook-signature`.
    ///
    /// # Errors
    /// Never with keys that were parsed; the cryptography's interface has the error.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> anyhow::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text.strip_prefix("whsec_").ok_or(NotASecret)?;
        STANDARD.decode(key).map(Self).map_err(|_| NotASecret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use shoplake_testing::standard_webhooks::{BODY, MESSAGE, SECONDS, SECRET, SIGNED};

    use super::*;

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let secret: Secret = SECRET.parse().unwrap();
        assert_eq!(secret.sign(MESSAGE, SECONDS, BODY).unwrap(), SIGNED);
    }

    #[test]
    fn an_invalid_secret_is_rejected_and_never_shown() {
        assert_eq!("hunter2".parse::<Secret>().unwrap_err(), NotASecret);
        assert_eq!("whsec_***".parse::<Secret>().unwrap_err(), NotASecret);
        assert_eq!(format!("{:?}", "whsec_MfKQ".parse::<Secret>().unwrap()), "Secret(..)");
    }
}
