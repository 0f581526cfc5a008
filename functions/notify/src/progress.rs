//! How far runs of a commit are, and what a run handles first.
//!
//! A commit may have more rows than a run handles in its time. Each run takes one row of each shop,
//! then the next one of each shop, so that a shop with many rows delays no other shop. It records
//! the rows that it leaves, and the next run handles only those.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoplake_jobs::Partition;
use shoplake_lake::{Condition, ETag, Metadata, PutError, Store, StoreError, keys};

/// The rows of a gold object that are left.
///
/// All other rows of that object are done. So the record of any run is correct at any later time,
/// and overlapping runs may replace each other's: then some rows are handled again.
#[derive(Serialize, Deserialize)]
struct Left {
    /// The ETag of the gold object.
    gold: String,
    /// The rows, by their places in the object.
    rows: BTreeSet<usize>,
}

/// The object that holds the rows that are left.
pub(crate) struct Progress<'a> {
    store: &'a dyn Store,
    key: String,
    gold: &'a ETag,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(
        store: &'a dyn Store,
        model: &str,
        partition: Partition,
        gold: &'a ETag,
    ) -> Self {
        Self { store, key: keys::alert_progress(model, partition), gold }
    }

    /// Returns the rows of the gold object that earlier runs left; `None` if none is known to have
    /// run.
    pub(crate) async fn read(&self) -> Result<Option<BTreeSet<usize>>, StoreError> {
        let object = self.store.get(&self.key).await?;
        // An object that cannot be read counts as none: all rows are handled again.
        let left = object.and_then(|object| serde_json::from_slice::<Left>(&object.bytes).ok());
        Ok(left.filter(|left| left.gold == self.gold.as_str()).map(|left| left.rows))
    }

    /// Records the rows that are left.
    pub(crate) async fn write(&self, rows: BTreeSet<usize>) -> Result<(), StoreError> {
        let left = Left { gold: self.gold.to_string(), rows };
        let bytes: Bytes = serde_json::json!(left).to_string().into();
        match self.store.put(&self.key, bytes, Metadata::new(), Condition::Always).await {
            // A write without a condition has no conflicts.
            Ok(_) | Err(PutError::Conflict { .. }) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// Deletes the record: all rows are done.
    pub(crate) async fn delete(&self) -> Result<(), StoreError> {
        self.store.delete(&self.key).await
    }
}

/// Something that a run handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The row at this place of the gold object.
    Row(usize),
    /// The object of a row of another partition that waits for this commit.
    Waiting(String),
}

/// Returns the items, each with its shop, in the order in which a run handles them: one of each
/// shop, then the next one of each shop. The order differs between runs in all other respects, so
/// that the same items are not always last.
pub(crate) fn in_turns(items: Vec<(String, Item)>, now: DateTime<Utc>) -> Vec<Item> {
    let digest = |item: &Item| Sha256::digest(format!("{now:?} {item:?}"));
    let mut items: Vec<_> =
        items.into_iter().map(|(shop, item)| (digest(&item), shop, item)).collect();
    items.sort_unstable_by_key(|(digest, ..)| *digest);
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut items: Vec<_> = items
        .into_iter()
        .map(|(_, shop, item)| {
            let turn = taken.entry(shop).or_default();
            *turn += 1;
            (*turn, item)
        })
        .collect();
    items.sort_by_key(|(turn, _)| *turn);
    items.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shop_has_a_turn_before_any_has_its_next() {
        let shops = ["a", "a", "a", "b", "c", "c"];
        let items =
            shops.iter().enumerate().map(|(place, shop)| ((*shop).to_owned(), Item::Row(place)));
        let items: Vec<_> = items.collect();
        let mut orders = BTreeSet::new();
        for second in 0..50 {
            let now = DateTime::from_timestamp(second, 0).unwrap();
            let order: Vec<_> = in_turns(items.clone(), now)
                .into_iter()
                .map(|item| {
                    let Item::Row(place) = item else { unreachable!("{item:?}") };
                    place
                })
                .collect();
            let turns = |range: std::ops::Range<usize>| -> Vec<_> {
                let mut turns: Vec<_> = order[range].iter().map(|place| shops[*place]).collect();
                turns.sort_unstable();
                turns
            };
            assert_eq!(
                [turns(0..3), turns(3..5), turns(5..6)],
                [vec!["a", "b", "c"], vec!["a", "c"], vec!["a"]]
            );
            orders.insert(order);
        }
        assert!(orders.len() > 10, "{orders:?}");
    }
}
