//! Webhook secrets, as Standard Webhooks writes them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

/// The prefix of a webhook secret.
const PREFIX: &str = "whsec_";

/// Bytes of randomness: as many as HMAC-SHA256 can make use of.
const KEY_BYTES: usize = 32;

/// A webhook secret, `whsec_<base64>`. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Generates a secret from the operating system's random numbers.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(Self(format!("{PREFIX}{}", STANDARD.encode(key))))
    }

    /// Takes a secret that the store kept.
    pub(crate) fn from_kept(text: String) -> Self {
        Self(text)
    }

    /// Returns the text; only an operator's answer and the secret store may have it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_two_new_secrets_when_compared_then_they_differ_and_have_32_bytes() {
        let [one, other] = [Secret::generate().unwrap(), Secret::generate().unwrap()];
        assert_ne!(one, other);
        assert_eq!(
            STANDARD.decode(one.expose().strip_prefix(PREFIX).unwrap()).unwrap().len(),
            KEY_BYTES
        );
    }

    #[test]
    fn given_a_secret_when_debugged_then_it_stays_one() {
        let secret = Secret::generate().unwrap();
        assert!(!format!("{secret:?}").contains(&secret.expose()[PREFIX.len()..]));
    }
}
