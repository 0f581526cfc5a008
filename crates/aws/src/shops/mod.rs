//! The list of shops: which shops exist, and for which of them a backfill is open.
//!
//! The control function writes it, the webhook reads it. A name that is not in the list causes no
//! look-up of a secret, so a caller who invents names cannot use up Parameter Store's quota.

mod cached;
mod lake;
mod memory;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shoplake_contracts::{BackfillName, ShopId};

pub use cached::CachedShopList;
pub use lake::LakeShopList;
pub use memory::MemoryShopList;

/// The key of the list in the lake.
pub const KEY: &str = "shops/shops.json";

/// Reads the list of shops.
#[async_trait]
pub trait ShopList: Send + Sync {
    /// Returns the shops, or `None` if the list was never written.
    ///
    /// # Errors
    ///
    /// If the list cannot be read. No conclusion about any shop is possible.
    async fn read(&self) -> Result<Option<Shops>, ShopListError>;
}

/// Why the list of shops cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list of shops {KEY:?} cannot be read: {reason}")]
pub struct ShopListError {
    /// What went wrong.
    pub reason: String,
}

/// The shops of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shops {
    /// The shops by their ids.
    pub shops: BTreeMap<ShopId, Shop>,
}

/// The entry of a shop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shop {
    /// The backfill that an operator opened; it may have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
}

/// Permission to send data that is older than a dataset's window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The name that each row's envelope carries.
    pub name: BackfillName,
    /// When the permission ends.
    pub until: DateTime<Utc>,
}

impl Shops {
    /// Reads the JSON document of the list.
    ///
    /// # Errors
    ///
    /// If the document is not a list of shops.
    pub fn from_json(document: &[u8]) -> Result<Self, ShopListError> {
        serde_json::from_slice(document).map_err(|error| ShopListError {
            reason: format!("expected {{\"shops\": {{\"<shop>\": {{}}}}}}: {error}"),
        })
    }

    /// Returns the JSON document of the list.
    ///
    /// # Errors
    ///
    /// None in practice: every field is text.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(self)
    }

    /// Returns whether the shop is in the list.
    pub fn contains(&self, shop: &ShopId) -> bool {
        self.shops.contains_key(shop)
    }

    /// Returns the name of the backfill that is open for the shop at `now`.
    pub fn open_backfill(&self, shop: &ShopId, now: DateTime<Utc>) -> Option<&BackfillName> {
        let backfill = self.shops.get(shop)?.backfill.as_ref()?;
        (now < backfill.until).then_some(&backfill.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"shops": {
        "acme": {"backfill": {"name": "history-2024", "until": "2026-12-31T00:00:00Z"}}, "other": {}
    }}"#;

    #[test]
    fn the_list_reads_back_as_it_was_written() {
        let shops = Shops::from_json(LIST.as_bytes()).unwrap();
        assert_eq!(Shops::from_json(&shops.to_json().unwrap()).unwrap(), shops);
        assert!(
            shops.contains(&"other".parse().unwrap()) && !shops.contains(&"third".parse().unwrap())
        );
    }

    #[test]
    fn a_backfill_is_open_until_its_end() {
        let shops = Shops::from_json(LIST.as_bytes()).unwrap();
        let open = |shop: &str, now: &str| {
            shops
                .open_backfill(&shop.parse().unwrap(), now.parse().unwrap())
                .map(BackfillName::to_string)
        };
        assert_eq!(open("acme", "2026-12-30T23:59:59Z").as_deref(), Some("history-2024"));
        assert_eq!(open("acme", "2026-12-31T00:00:00Z"), None);
        assert_eq!(open("other", "2026-12-30T23:59:59Z"), None);
    }

    #[test]
    fn a_document_that_is_not_a_list_names_the_key_and_the_place() {
        for document in ["", "[]", r#"{"shops": {"../x": {}}}"#, r#"{"shops": ["acme"]}"#] {
            let error = Shops::from_json(document.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(KEY) && error.contains("column"), "{error}");
        }
    }
}
