//! Shops: their secrets, the list of shops, and their backfills.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use shoplake_aws::shops::{Backfill, Shop, Shops};
use shoplake_aws::{PortError, SecretStore, SecretVersion};
use shoplake_contracts::{BackfillName, ShopId};
use shoplake_lake::Store;
use shoplake_platform::failure::Failure;

use crate::response::{ClosedBackfill, OpenedBackfill, ShopSecret, SyncedShops};
use crate::{failure, secret, shop_list};

/// How long a backfill may stay open. A forgotten one accepts events of a wrong clock for that
/// long.
const MAX_BACKFILL: TimeDelta = TimeDelta::days(31);

/// Creates the secret of a new shop. A shop that has a secret keeps it, because a new one would
/// shut the shop out.
///
/// The shop is listed first: if the second step fails, running the action again completes it, while
/// a secret whose answer was lost would have to be rotated.
pub(crate) async fn add(
    lake: &dyn Store,
    secrets: &dyn SecretStore,
    shop: &ShopId,
) -> Result<ShopSecret, Failure> {
    let secret = generate()?;
    enlist(lake, secrets, shop).await?;
    if !secrets.create(shop, SecretVersion::Current, &secret).await.map_err(unavailable)? {
        return Err(Failure::permanent(format!(
            "shop {shop} already has a secret, which add_shop does not replace; use rotate_secret \
             to give it another one (the list of shops includes {shop})"
        )));
    }
    tracing::info!(%shop, "added a shop");
    Ok(response(shop, &secret))
}

/// Replaces a shop's secret. The secret before it stays valid, the one before that does not.
///
/// The order of the writes matters: if the second one fails, the shop's secret is still valid. One
/// operator may run this at a time.
pub(crate) async fn rotate(
    lake: &dyn Store,
    secrets: &dyn SecretStore,
    shop: &ShopId,
) -> Result<ShopSecret, Failure> {
    let Some(current) = secrets.get(shop, SecretVersion::Current).await.map_err(unavailable)?
    else {
        return Err(Failure::permanent(format!(
            "shop {shop} has no secret; use add_shop to give it one"
        )));
    };
    enlist(lake, secrets, shop).await?;
    let secret = generate()?;
    secrets.replace(shop, SecretVersion::Previous, &current).await.map_err(unavailable)?;
    secrets.replace(shop, SecretVersion::Current, &secret).await.map_err(unavailable)?;
    tracing::info!(%shop, "rotated a shop's secret");
    Ok(response(shop, &secret))
}

/// Adds each shop that has a secret to the list.
pub(crate) async fn sync(
    lake: &dyn Store,
    secrets: &dyn SecretStore,
) -> Result<SyncedShops, Failure> {
    let with_secret = secrets.shops().await.map_err(unavailable)?;
    let (listed, added) = shop_list::edit(lake, secrets, |list| {
        let added: Vec<_> =
            with_secret.iter().filter(|shop| !list.contains(shop)).cloned().collect();
        list.shops.extend(added.iter().map(|shop| (shop.clone(), Default::default())));
        Ok((list.shops.len(), added))
    })
    .await?;
    tracing::info!(listed, added = added.len(), "synchronized the list of shops");
    Ok(SyncedShops { shops: listed, added })
}

/// Lets a shop send data that is older than its datasets' windows, until a time.
pub(crate) async fn open_backfill(
    lake: &dyn Store,
    secrets: &dyn SecretStore,
    shop_id: ShopId,
    name: BackfillName,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<OpenedBackfill, Failure> {
    let latest = now + MAX_BACKFILL;
    if until <= now || until > latest {
        return Err(Failure::permanent(format!(
            "invalid until {until}: expected a time after now, {now}, and at most {} days ahead, \
             {latest}; a longer backfill can be opened again under the same name",
            MAX_BACKFILL.num_days()
        )));
    }
    shop_list::edit(lake, secrets, |list| {
        if let Some(open) = list.open_backfill(&shop_id, now).filter(|open| **open != name) {
            return Err(Failure::permanent(format!(
                "shop {shop_id} has the open backfill {open}, expected none or {name}; close it \
                 first with close_backfill"
            )));
        }
        entry(list, &shop_id)?.backfill = Some(Backfill { name: name.clone(), until });
        Ok(())
    })
    .await?;
    tracing::info!(shop = %shop_id, %name, %until, "opened a backfill");
    Ok(OpenedBackfill { shop_id, backfill: Backfill { name, until } })
}

/// Ends the shop's backfill.
pub(crate) async fn close_backfill(
    lake: &dyn Store,
    secrets: &dyn SecretStore,
    shop_id: ShopId,
) -> Result<ClosedBackfill, Failure> {
    let closed =
        shop_list::edit(lake, secrets, |list| Ok(entry(list, &shop_id)?.backfill.take())).await?;
    let closed = closed.map(|backfill| backfill.name);
    tracing::info!(shop = %shop_id, ?closed, "closed a backfill");
    Ok(ClosedBackfill { shop_id, closed })
}

async fn enlist(lake: &dyn Store, secrets: &dyn SecretStore, shop: &ShopId) -> Result<(), Failure> {
    shop_list::edit(lake, secrets, |list| {
        list.shops.entry(shop.clone()).or_default();
        Ok(())
    })
    .await
}

fn entry<'l>(list: &'l mut Shops, shop: &ShopId) -> Result<&'l mut Shop, Failure> {
    list.shops.get_mut(shop).ok_or_else(|| {
        Failure::permanent(format!(
            "shop {shop} is not in the list of shops; add it with add_shop, or with sync_shops if \
             it has a secret already"
        ))
    })
}

fn response(shop: &ShopId, secret: &SecretString) -> ShopSecret {
    ShopSecret { shop_id: shop.clone(), webhook_secret: secret.expose_secret().to_owned() }
}

fn generate() -> Result<SecretString, Failure> {
    secret::generate().map_err(|error| {
        Failure::retryable(format!(
            "the operating system gave no random numbers: {error}; run the action again"
        ))
    })
}

fn unavailable(error: PortError) -> Failure {
    failure::unavailable(error, "run the action again")
}

#[cfg(test)]
mod tests {
    use shoplake_aws::secrets::MemorySecrets;
    use shoplake_aws::shops::KEY;
    use shoplake_lake::MemoryStore;

    use super::*;

    fn acme() -> ShopId {
        "acme".parse().unwrap()
    }

    fn setup() -> (MemoryStore, MemorySecrets) {
        (MemoryStore::default(), MemorySecrets::default())
    }

    async fn exposed(secrets: &MemorySecrets, version: SecretVersion) -> Option<String> {
        let secret = secrets.get(&acme(), version).await.unwrap();
        secret.map(|secret| secret.expose_secret().to_owned())
    }

    async fn list(lake: &MemoryStore) -> Shops {
        Shops::from_json(&lake.get(KEY).await.unwrap().unwrap().bytes).unwrap()
    }

    async fn listed(lake: &MemoryStore) -> Vec<String> {
        list(lake).await.shops.into_keys().map(String::from).collect()
    }

    #[tokio::test]
    async fn a_new_shop_is_listed_and_keeps_its_secret_when_added_again() {
        let (lake, secrets) = setup();
        let secret = add(&lake, &secrets, &acme()).await.unwrap();
        assert_eq!(listed(&lake).await, ["acme"]);

        let failure = add(&lake, &secrets, &acme()).await.unwrap_err();
        assert!(
            failure.is_permanent() && failure.to_string().contains("rotate_secret"),
            "{failure}"
        );
        assert_eq!(
            exposed(&secrets, SecretVersion::Current).await.as_deref(),
            Some(secret.webhook_secret.as_str())
        );
    }

    #[tokio::test]
    async fn a_shop_that_could_not_be_listed_can_be_added_again() {
        let (lake, secrets) = setup();
        lake.fail([false, true]);
        assert!(!add(&lake, &secrets, &acme()).await.unwrap_err().is_permanent());
        assert_eq!(exposed(&secrets, SecretVersion::Current).await, None);
        add(&lake, &secrets, &acme()).await.unwrap();
        assert_eq!(listed(&lake).await, ["acme"]);
    }

    #[tokio::test]
    async fn two_rotations_leave_the_last_two_secrets_and_list_the_shop() {
        let (lake, secrets) = setup();
        secrets.create(&acme(), SecretVersion::Current, &generate().unwrap()).await.unwrap();
        let second = rotate(&lake, &secrets, &acme()).await.unwrap();
        let third = rotate(&lake, &secrets, &acme()).await.unwrap();
        assert_eq!(
            exposed(&secrets, SecretVersion::Previous).await.as_deref(),
            Some(second.webhook_secret.as_str())
        );
        assert_eq!(
            exposed(&secrets, SecretVersion::Current).await.as_deref(),
            Some(third.webhook_secret.as_str())
        );
        assert_eq!(listed(&lake).await, ["acme"]);
    }

    #[tokio::test]
    async fn an_unknown_shop_is_not_rotated() {
        let (lake, secrets) = setup();
        let failure = rotate(&lake, &secrets, &acme()).await.unwrap_err();
        assert!(failure.is_permanent() && failure.to_string().contains("add_shop"), "{failure}");
        assert_eq!(exposed(&secrets, SecretVersion::Current).await, None);
        assert!(lake.keys().is_empty());
    }

    /// A deployment from before there was a list.
    #[tokio::test]
    async fn the_first_list_has_every_shop_with_a_secret() {
        let (lake, secrets) = setup();
        for shop in ["one", "two"] {
            let secret = generate().unwrap();
            secrets.create(&shop.parse().unwrap(), SecretVersion::Current, &secret).await.unwrap();
        }
        add(&lake, &secrets, &acme()).await.unwrap();
        assert_eq!(listed(&lake).await, ["acme", "one", "two"]);
    }

    #[tokio::test]
    async fn a_sync_adds_what_is_missing_and_keeps_what_is_there() {
        let (lake, secrets) = setup();
        add(&lake, &secrets, &acme()).await.unwrap();
        let now = DateTime::UNIX_EPOCH;
        let (name, until): (BackfillName, _) =
            ("history".parse().unwrap(), now + TimeDelta::days(1));
        open_backfill(&lake, &secrets, acme(), name.clone(), until, now).await.unwrap();
        let secret = generate().unwrap();
        secrets.create(&"late".parse().unwrap(), SecretVersion::Current, &secret).await.unwrap();

        let synced = |added| SyncedShops { shops: 2, added };
        let late = "late".parse().unwrap();
        assert_eq!(sync(&lake, &secrets).await.unwrap(), synced(vec![late]));
        assert_eq!(sync(&lake, &secrets).await.unwrap(), synced(vec![]));
        assert_eq!(list(&lake).await.open_backfill(&acme(), now), Some(&name));
    }

    #[tokio::test]
    async fn a_backfill_is_opened_extended_and_closed() {
        let (lake, secrets) = setup();
        add(&lake, &secrets, &acme()).await.unwrap();
        let now = DateTime::UNIX_EPOCH;
        let [name, other]: [BackfillName; 2] =
            ["history", "other"].map(|name| name.parse().unwrap());
        let open = |name: &BackfillName, days| {
            let name = name.clone();
            let until = now + TimeDelta::days(days);
            let (lake, secrets) = (&lake, &secrets);
            async move { open_backfill(lake, secrets, acme(), name, until, now).await }
        };
        open(&name, 1).await.unwrap();
        open(&name, 31).await.unwrap();
        let refused = open(&other, 1).await.unwrap_err();
        assert!(refused.to_string().contains("close_backfill"), "{refused}");
        for days in [-1, 0, 32] {
            let failure = open(&name, days).await.unwrap_err();
            assert!(failure.is_permanent() && failure.to_string().contains("until"), "{failure}");
        }
        let shops = list(&lake).await;
        assert_eq!(shops.open_backfill(&acme(), now + TimeDelta::days(30)), Some(&name));
        // An ended backfill need not be closed.
        let later = now + TimeDelta::days(32);
        let until = later + TimeDelta::days(1);
        open_backfill(&lake, &secrets, acme(), other.clone(), until, later).await.unwrap();

        let closed = close_backfill(&lake, &secrets, acme()).await.unwrap();
        assert_eq!(closed, ClosedBackfill { shop_id: acme(), closed: Some(other) });
        assert_eq!(list(&lake).await.open_backfill(&acme(), later), None);
        let closed = close_backfill(&lake, &secrets, acme()).await.unwrap();
        assert_eq!(closed.closed, None);
    }

    #[tokio::test]
    async fn a_backfill_of_a_shop_that_is_not_listed_is_refused() {
        let (lake, secrets) = setup();
        let now = DateTime::UNIX_EPOCH;
        let name = "history".parse().unwrap();
        let opened =
            open_backfill(&lake, &secrets, acme(), name, now + TimeDelta::days(1), now).await;
        for failure in
            [opened.unwrap_err(), close_backfill(&lake, &secrets, acme()).await.unwrap_err()]
        {
            assert!(
                failure.is_permanent() && failure.to_string().contains("sync_shops"),
                "{failure}"
            );
        }
    }
}
