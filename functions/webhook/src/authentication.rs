//! Decides whether the shop that a request names sent it.

use shoplake_aws::secrets::{Secrets, SecretsError};

use crate::standard_webhooks::{Key, SignatureError, SignedRequest};

/// Why a request is not authenticated.
#[derive(Debug)]
pub(crate) enum AuthenticationError {
    /// The request is not signed by the shop that it names.
    Signature(SignatureError),
    /// The shop's secrets can't be read. That says nothing about the request.
    SecretsUnavailable,
}

/// Fails unless the shop that the request names has signed `body`.
pub(crate) async fn authenticate(
    secrets: &dyn Secrets,
    request: &SignedRequest<'_>,
    body: &[u8],
) -> Result<(), AuthenticationError> {
    let (is_known, keys) = match secrets.webhook_secrets(&request.shop).await {
        Ok(secrets) => (true, secrets.iter().filter_map(Key::read).collect()),
        Err(SecretsError::UnknownShop { .. }) => (false, Vec::from_iter(Key::dummy_key())),
        Err(error @ SecretsError::Unavailable { .. }) => {
            tracing::error!(%error, "secrets unavailable");
            return Err(AuthenticationError::SecretsUnavailable);
        }
    };
    if keys.is_empty() {
        // A fault of the deployment, so the answer is not the shop's 401.
        tracing::error!(
            "none of the shop's secrets has the form whsec_<base64>; rotate the secret"
        );
        return Err(AuthenticationError::SecretsUnavailable);
    }
    // An unknown shop costs the same work, so that the time does not tell whether a shop exists.
    let is_signed = request.is_signed_with(&keys, body);
    if is_known && is_signed {
        Ok(())
    } else {
        Err(AuthenticationError::Signature(SignatureError::InvalidSignature))
    }
}
