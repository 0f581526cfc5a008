//! [Standard Webhooks](https://www.standardwebhooks.com): who sent a request, and when.
//!
//! The signature is an HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, with the body's
//! bytes as they arrived. There may be several signatures and several live secrets, so that a
//! secret can be rotated without losing a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::HeaderMap;
use sha2::Sha256;
use shoplake_aws::secrets::{ExposeSecret, SecretString};
use shoplake_contracts::ShopId;
use shoplake_ingest::ID_LIFETIME;
use shoplake_ingest::quote::quoted;

/// A request older or newer than this is refused, so that a recorded one can't be replayed later.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

// A request that arrives at the first tolerated moment is valid until the last one.
const _: () = assert!(ID_LIFETIME.num_seconds() >= 2 * TOLERANCE.num_seconds());

/// The longest `webhook-id`. The id becomes part of every event's id.
const MAX_ID_LENGTH: usize = 128;

/// The header that names the shop. It proves nothing by itself.
const SHOP: &str = "x-shop-id";
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

type HmacSha256 = Hmac<Sha256>;

/// Why a request is not authenticated. No variant says whether a shop exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error(
        "the header {header} is missing, expected the headers {SHOP}, {ID}, {TIMESTAMP} and \
         {SIGNATURE} (Standard Webhooks); sign the request"
    )]
    Missing { header: &'static str },
    #[error(
        "expected {expected} in the header {header}, got {actual}; correct the header and sign \
         again"
    )]
    Malformed { header: &'static str, expected: &'static str, actual: String },
    #[error(
        "expected a {TIMESTAMP} within {} seconds of the server's time {now}, got {timestamp}; set \
         the clock of the sender and sign again",
        TOLERANCE.num_seconds()
    )]
    OutOfTolerance { timestamp: i64, now: i64 },
    #[error(
        "expected a {SIGNATURE} made with a live secret of the shop that {SHOP} names, got none; \
         check the shop, the secret, and that exactly the bytes sent were signed as \
         \"<{ID}>.<{TIMESTAMP}>.<body>\""
    )]
    InvalidSignature,
}

/// A request that names a shop and has signatures, which are not verified yet.
#[derive(Debug)]
pub(crate) struct SignedRequest<'a> {
    /// The shop that the request names.
    pub(crate) shop: ShopId,
    /// The id that the sender gave the request; a repetition has the same id.
    pub(crate) id: &'a str,
    /// When the request arrived.
    pub(crate) received_at: DateTime<Utc>,
    /// The signed text of the timestamp.
    timestamp: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> SignedRequest<'a> {
    /// Reads the headers of a request that arrived at `now`, and checks the time.
    pub(crate) fn read(headers: &'a HeaderMap, now: DateTime<Utc>) -> Result<Self, SignatureError> {
        let shop = header(headers, SHOP)?;
        let id = header(headers, ID)?;
        let timestamp = header(headers, TIMESTAMP)?;
        let signature = header(headers, SIGNATURE)?;

        let malformed = |header, value: &str, expected| {
            Err(SignatureError::Malformed { header, expected, actual: quoted(value) })
        };
        let Ok(shop) = shop.parse() else {
            let expected =
                "1 to 63 characters of a-z, 0-9, _ and -, beginning with a letter or digit";
            return malformed(SHOP, shop, expected);
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
        if id.is_empty() || id.len() > MAX_ID_LENGTH || !id.bytes().all(plain) {
            return malformed(ID, id, "1 to 128 characters of A-Z, a-z, 0-9, _, - and :");
        }
        let Ok(seconds) = timestamp.parse::<i64>() else {
            return malformed(TIMESTAMP, timestamp, "whole seconds since 1970-01-01T00:00:00Z");
        };
        if now.timestamp().abs_diff(seconds) > TOLERANCE.num_seconds().unsigned_abs() {
            return Err(SignatureError::OutOfTolerance {
                timestamp: seconds,
                now: now.timestamp(),
            });
        }
        // A sender may add signatures of other versions (v1a is asymmetric).
        let signatures: Vec<_> = signature
            .split_ascii_whitespace()
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|signature| STANDARD.decode(signature).ok()?.try_into().ok())
            .collect();
        if signatures.is_empty() {
            // The value is not repeated: a sender may have put the secret there.
            return Err(SignatureError::Malformed {
                header: SIGNATURE,
                expected: "v1,<base64 of an HMAC-SHA256>, or several of them separated by blanks",
                actual: "none".to_owned(),
            });
        }
        Ok(Self { shop, id, received_at: now, timestamp, signatures })
    }

    /// Returns whether one of the signatures was made over `body` with one of `keys`. Compares in
    /// constant time.
    pub(crate) fn is_signed_with(&self, keys: &[Key], body: &[u8]) -> bool {
        keys.iter().any(|key| {
            let mut mac = key.0.clone();
            for part in [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            self.signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, SignatureError> {
    let value = headers.get(name).ok_or(SignatureError::Missing { header: name })?;
    value.to_str().map_err(|_| SignatureError::Malformed {
        header: name,
        expected: "printable ASCII characters",
        actual: "others".to_owned(),
    })
}

/// A key to check signatures with.
pub(crate) struct Key(HmacSha256);

impl Key {
    /// Reads `whsec_<base64>`. `None` if the secret has another form.
    pub(crate) fn read(secret: &SecretString) -> Option<Self> {
        let encoded = secret.expose_secret();
        let encoded = encoded.strip_prefix("whsec_").unwrap_or(encoded);
        let key = STANDARD.decode(encoded).ok().filter(|key| !key.is_empty())?;
        HmacSha256::new_from_slice(&key).ok().map(Self)
    }

    /// Returns the key to check with when the shop is unknown, so that checking takes the same time
    /// as for a known shop. The key is public: a signature made with it does not authenticate a
    /// request.
    pub(crate) fn dummy_key() -> Option<Self> {
        HmacSha256::new_from_slice(b"dummy").ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderValue;
    use shoplake_testing::standard_webhooks::{BODY, MESSAGE, SECONDS, SECRET, SIGNED};

    use super::*;

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(SHOP, HeaderValue::from_static("acme"));
        headers.insert(ID, HeaderValue::from_static(MESSAGE));
        headers.insert(TIMESTAMP, SECONDS.into());
        headers.insert(SIGNATURE, signature.parse().unwrap());
        headers
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn is_signed(signature: &str, secrets: &[&str], body: &[u8]) -> bool {
        let keys: Vec<Key> =
            secrets.iter().filter_map(|&secret| Key::read(&SecretString::from(secret))).collect();
        let headers = headers(signature);
        SignedRequest::read(&headers, at(SECONDS))
            .is_ok_and(|request| request.is_signed_with(&keys, body))
    }

    #[test]
    fn the_published_test_vector_is_valid() {
        assert!(is_signed(SIGNED, &[SECRET], BODY));
        assert!(is_signed(SIGNED, &[SECRET.trim_start_matches("whsec_")], BODY));
    }

    #[test]
    fn another_body_key_or_version_is_not_valid() {
        assert!(!is_signed(SIGNED, &[SECRET], br#"{"test":2432232314}"#));
        assert!(!is_signed(SIGNED, &["whsec_YQ=="], BODY));
        assert!(!is_signed(SIGNED, &[], BODY));
        assert!(!is_signed(&SIGNED.replace("v1,", "v2,"), &[SECRET], BODY));
        for garbage in ["", "v1", "v1,", "v1,%%%", "v1,AAAA"] {
            assert!(!is_signed(garbage, &[SECRET], BODY), "{garbage}");
        }
    }

    #[test]
    fn one_pair_of_signature_and_secret_suffices() {
        let signatures = format!("v1a,xyz v1,AAAA  {SIGNED}");
        assert!(is_signed(&signatures, &["whsec_YQ==", SECRET], BODY));
    }

    #[test]
    fn five_minutes_in_both_directions_are_tolerated() {
        let headers = headers(SIGNED);
        for seconds in [SECONDS - 300, SECONDS, SECONDS + 300] {
            assert!(SignedRequest::read(&headers, at(seconds)).is_ok(), "{seconds}");
        }
        for now in [SECONDS - 301, SECONDS + 301] {
            assert_eq!(
                SignedRequest::read(&headers, at(now)).unwrap_err(),
                SignatureError::OutOfTolerance { timestamp: SECONDS, now }
            );
        }
    }

    #[test]
    fn extreme_timestamps_are_refused() {
        for timestamp in
            [i64::MIN.to_string(), i64::MAX.to_string(), "1.5".to_owned(), String::new()]
        {
            let mut headers = headers(SIGNED);
            headers.insert(TIMESTAMP, timestamp.parse().unwrap());
            assert!(SignedRequest::read(&headers, at(SECONDS)).is_err(), "{timestamp}");
        }
    }

    #[test]
    fn an_error_names_the_missing_header() {
        for name in [SHOP, ID, TIMESTAMP, SIGNATURE] {
            let mut headers = headers(SIGNED);
            headers.remove(name);
            assert_eq!(
                SignedRequest::read(&headers, at(SECONDS)).unwrap_err(),
                SignatureError::Missing { header: name }
            );
            headers.insert(name, HeaderValue::from_bytes(b"\xe9").unwrap());
            let error = SignedRequest::read(&headers, at(SECONDS)).unwrap_err().to_string();
            assert!(
                error.contains(&format!("printable ASCII characters in the header {name}")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_error_shows_the_malformed_header() {
        let error = |name: &'static str, value: &str| {
            let mut headers = headers(SIGNED);
            headers.insert(name, value.parse().unwrap());
            SignedRequest::read(&headers, at(SECONDS)).unwrap_err().to_string()
        };
        assert!(error(SHOP, "Acme").contains(r#"in the header x-shop-id, got "Acme""#));
        assert!(error(ID, "msg 1").contains(r#"in the header webhook-id, got "msg 1""#));
        assert!(
            error(TIMESTAMP, "1614265330.5").contains(r#"webhook-timestamp, got "1614265330.5""#)
        );
        let secret = error(SIGNATURE, SECRET);
        assert!(secret.contains("in the header webhook-signature, got none"), "{secret}");
        assert!(!secret.contains(SECRET), "{secret}");
    }

    #[test]
    fn an_id_with_other_characters_is_refused() {
        for id in ["", "a.b", "a b", "a/b", &"a".repeat(MAX_ID_LENGTH + 1)] {
            let mut headers = headers(SIGNED);
            headers.insert(ID, id.parse().unwrap());
            let error = SignedRequest::read(&headers, at(SECONDS)).unwrap_err();
            assert!(matches!(error, SignatureError::Malformed { header: ID, .. }), "{id}");
        }
    }
}
