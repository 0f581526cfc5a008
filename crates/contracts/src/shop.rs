//! Identifiers of shops and of their backfills.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A shop's identifier: `^[a-z0-9][a-z0-9_-]{0,62}$`. Keys, parameter names and SQL identifiers
/// contain it, hence the few characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShopId(String);

/// The text is not a shop's identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a shop id: expected 1 to 63 characters of a-z, 0-9, '_' and '-', the first one a \
     letter or a digit"
)]
pub struct ShopIdError(String);

impl ShopId {
    /// Returns the identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `text` is a shop's identifier, without an allocation.
    pub fn is_valid(text: &str) -> bool {
        is_name(text)
    }
}

/// `^[a-z0-9][a-z0-9_-]{0,62}$`
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

impl FromStr for ShopId {
    type Err = ShopIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ShopId {
    type Error = ShopIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if Self::is_valid(&text) { Ok(Self(text)) } else { Err(ShopIdError(text)) }
    }
}

impl From<ShopId> for String {
    fn from(shop: ShopId) -> Self {
        shop.0
    }
}

impl AsRef<str> for ShopId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShopId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The name of a backfill, `^[a-z0-9][a-z0-9_-]{0,62}$`. Rows in a backfill may be older than their
/// dataset's window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackfillName(String);

/// The text is not the name of a backfill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a backfill name: expected 1 to 63 characters of a-z, 0-9, '_' and '-', the first \
     one a letter or a digit, such as \"history-2024\""
)]
pub struct BackfillNameError(String);

impl BackfillName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `text` is the name of a backfill, without an allocation.
    pub fn is_valid(text: &str) -> bool {
        is_name(text)
    }
}

impl FromStr for BackfillName {
    type Err = BackfillNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for BackfillName {
    type Error = BackfillNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if Self::is_valid(&text) { Ok(Self(text)) } else { Err(BackfillNameError(text)) }
    }
}

impl From<BackfillName> for String {
    fn from(name: BackfillName) -> Self {
        name.0
    }
}

impl fmt::Display for BackfillName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_few_characters() {
        for good in ["acme", "0", "a-b_c", &"a".repeat(63)] {
            assert!(good.parse::<ShopId>().is_ok(), "{good}");
            assert!(good.parse::<BackfillName>().is_ok(), "{good}");
        }
        for bad in ["", "a\0", "-a", "_unknown", "Acme", "a b", "a/b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<ShopId>().is_err(), "{bad}");
            assert!(bad.parse::<BackfillName>().is_err(), "{bad}");
        }
    }
}
