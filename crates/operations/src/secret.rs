//! Webhook secrets, as Standard Webhooks writes them.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;

/// The prefix of a webhook secret.
const PREFIX: &str = "whsec_";

/// The length of a key in bytes: as many as HMAC-SHA256 can make use of.
const KEY_BYTES: usize = 32;

/// Generates a secret `whsec_<base64>` from the operating system's random numbers.
pub(crate) fn generate() -> Result<SecretString, getrandom::Error> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    Ok(format!("{PREFIX}{}", STANDARD.encode(key)).into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn two_secrets_differ_and_have_32_bytes() {
        let [one, other] = [generate().unwrap(), generate().unwrap()];
        let (one, other) = (one.expose_secret(), other.expose_secret());
        assert_ne!(one, other);
        assert_eq!(STANDARD.decode(one.strip_prefix(PREFIX).unwrap()).unwrap().len(), KEY_BYTES);
    }
}
