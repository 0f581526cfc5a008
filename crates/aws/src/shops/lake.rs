//! The list of shops as an object of the lake.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shoplake_lake::Store;

use super::{KEY, ShopList, ShopListError, Shops};

/// How long one read may take. A caller of the webhook waits for it, and the cached list is good
/// enough. A request may wait for two reads, for a secret and for the stream, and its function ends
/// after 20 s.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the list from the lake.
#[derive(Clone)]
pub struct LakeShopList {
    lake: Arc<dyn Store>,
}

impl LakeShopList {
    /// The list in `lake`.
    pub fn new(lake: Arc<dyn Store>) -> Self {
        Self { lake }
    }
}

#[async_trait]
impl ShopList for LakeShopList {
    async fn read(&self) -> Result<Option<Shops>, ShopListError> {
        let object = tokio::time::timeout(TIMEOUT, self.lake.get(KEY))
            .await
            .map_err(|_| ShopListError { reason: format!("S3 did not answer within {TIMEOUT:?}") })?
            .map_err(|error| ShopListError { reason: error.to_string() })?;
        object.map(|object| Shops::from_json(&object.bytes)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use shoplake_lake::{Condition, MemoryStore, Metadata};

    use super::*;

    #[tokio::test]
    async fn a_missing_list_differs_from_an_unreadable_one() {
        let lake = Arc::new(MemoryStore::default());
        let list = LakeShopList::new(lake.clone());
        assert_eq!(list.read().await, Ok(None));

        let put =
            |text: &'static str| lake.put(KEY, text.into(), Metadata::new(), Condition::Always);
        put(r#"{"shops": {"acme": {}}}"#).await.unwrap();
        assert!(list.read().await.unwrap().unwrap().contains(&"acme".parse().unwrap()));

        put("{").await.unwrap();
        assert!(list.read().await.is_err());
        lake.fail([true]);
        assert!(list.read().await.is_err());
    }
}
