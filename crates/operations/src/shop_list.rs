//! Writes the list of shops, which the webhook reads.

use shoplake_aws::SecretStore;
use shoplake_aws::shops::{KEY, Shops};
use shoplake_lake::{Condition, Metadata, PutError, Store};
use shoplake_platform::failure::Failure;

use crate::failure;

/// How often a change is attempted. An attempt fails only if another change was written meanwhile.
const ATTEMPTS: usize = 5;

/// Changes the list and returns what `change` returns. If another operator's change was written
/// meanwhile, `change` runs again on the newer list. A list that did not change is not written.
///
/// The first list contains every shop that has a secret, because the webhook rejects a shop that is
/// not listed.
pub(crate) async fn edit<T>(
    lake: &dyn Store,
    secrets: &dyn SecretStore,
    change: impl Fn(&mut Shops) -> Result<T, Failure>,
) -> Result<T, Failure> {
    for _ in 0..ATTEMPTS {
        let object = lake.get(KEY).await.map_err(Failure::retryable)?;
        let (before, condition) = match object {
            Some(object) => (Some(read(&object.bytes)?), Condition::Matches(object.head.etag)),
            None => (None, Condition::Absent),
        };
        let mut after = match &before {
            Some(before) => before.clone(),
            None => first_list(secrets).await?,
        };
        let result = change(&mut after)?;
        if before.as_ref() == Some(&after) {
            return Ok(result);
        }
        let document = after.to_json().map_err(Failure::permanent)?;
        match lake.put(KEY, document.into(), Metadata::new(), condition).await {
            Ok(_) => return Ok(result),
            Err(PutError::Conflict { .. }) => {}
            Err(PutError::Store(error)) => return Err(Failure::retryable(error)),
        }
    }
    Err(Failure::retryable(format!(
        "{KEY:?} was changed by other operators during each of {ATTEMPTS} attempts; run the action \
         again"
    )))
}

fn read(document: &[u8]) -> Result<Shops, Failure> {
    Shops::from_json(document).map_err(|error| {
        Failure::permanent(format!(
            "{error}; restore the object's previous version, or delete it and run sync_shops (open \
             backfills are then lost)"
        ))
    })
}

async fn first_list(secrets: &dyn SecretStore) -> Result<Shops, Failure> {
    let advice = "run the action again to create the list of shops";
    let shops = secrets.shops().await.map_err(|error| failure::unavailable(error, advice))?;
    Ok(Shops { shops: shops.into_iter().map(|shop| (shop, Default::default())).collect() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use shoplake_aws::secrets::MemorySecrets;
    use shoplake_contracts::ShopId;
    use shoplake_lake::MemoryStore;

    use super::*;

    fn add(shop: &str) -> impl Fn(&mut Shops) -> Result<(), Failure> {
        let shop: ShopId = shop.parse().unwrap();
        move |list| {
            list.shops.entry(shop.clone()).or_default();
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_change_that_another_one_overtakes_is_made_again() {
        let lake = MemoryStore::default();
        let secrets = MemorySecrets::default();
        edit(&lake, &secrets, add("first")).await.unwrap();

        let attempts = AtomicUsize::new(0);
        edit(&lake, &secrets, |list| {
            if attempts.fetch_add(1, Ordering::Relaxed) < 2 {
                let other = format!("other-{}", attempts.load(Ordering::Relaxed));
                edit(&lake, &secrets, add(&other)).now_or_never().unwrap()?;
            }
            add("last")(list)
        })
        .await
        .unwrap();

        let list = read(&lake.get(KEY).await.unwrap().unwrap().bytes).unwrap();
        let shops: Vec<_> = list.shops.keys().map(ShopId::as_str).collect();
        assert_eq!(shops, ["first", "last", "other-1", "other-2"]);
    }

    #[tokio::test]
    async fn a_change_that_is_overtaken_each_time_may_be_tried_again() {
        let lake = MemoryStore::default();
        let secrets = MemorySecrets::default();
        let attempts = AtomicUsize::new(0);
        let failure = edit(&lake, &secrets, |list| {
            let other = format!("other-{}", attempts.fetch_add(1, Ordering::Relaxed));
            edit(&lake, &secrets, add(&other)).now_or_never().unwrap()?;
            add("last")(list)
        })
        .await
        .unwrap_err();
        assert!(!failure.is_permanent(), "{failure}");
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_read_is_not_overwritten() {
        let lake = MemoryStore::default();
        let broken = || lake.put(KEY, "{".into(), Metadata::new(), Condition::Always);
        broken().await.unwrap();
        let failure = edit(&lake, &MemorySecrets::default(), add("acme")).await.unwrap_err();
        assert!(failure.is_permanent() && failure.to_string().contains("sync_shops"), "{failure}");
        assert_eq!(lake.get(KEY).await.unwrap().unwrap().bytes, "{");
    }
}
