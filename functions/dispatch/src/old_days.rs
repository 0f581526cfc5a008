//! The limit on old days. A shop that sends rows of many old days waits for their turn, while its
//! recent days and all other shops go on.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use shoplake_contracts::ShopId;
use shoplake_jobs::Partition;
use shoplake_lake::state::old_days::{self, DatasetDay, Turn};
use shoplake_lake::{Store, StoreError, shops};
use shoplake_platform::clock::Clock;
use shoplake_platform::metrics::DELAYED_DAYS;

use crate::change::Change;
use crate::handler::{CONCURRENCY, Dispatch};

/// The age in days above which a partition is old: late data, and less urgent than live data.
const OLD_DAYS: i64 = 3;

/// Returns whether the partition is an old day.
pub(crate) fn is_old(partition: Partition, now: DateTime<Utc>) -> bool {
    partition.day().is_some_and(|day| (now.date_naive() - day).num_days() > OLD_DAYS)
}

/// A message about an object of an old day.
struct OldDay {
    /// The index of the message.
    message: usize,
    day: DatasetDay,
    /// The shops of the object's rows; empty if the limit does not apply.
    shops: Vec<String>,
}

impl<L: Store, E, Q, P, C: Clock> Dispatch<L, E, Q, P, C> {
    /// Returns when the turn of an old day is, by message. All other messages do not wait: a day
    /// has the earliest turn that one of its shops has for it.
    ///
    /// Adds messages to `failed` whose shops or turns could not be read.
    pub(crate) async fn turns(
        &self,
        changes: &[(usize, Change)],
        failed: &mut BTreeSet<usize>,
    ) -> BTreeMap<usize, DateTime<Utc>> {
        let Some(limit) = self.old_days_per_hour else { return BTreeMap::new() };
        let now = self.clock.now();
        let old = self.old_days(changes, now, failed).await;
        let turns = self.turns_of_shops(&old, limit, now).await;
        let mut found = BTreeMap::new();
        for OldDay { message, day, shops } in old {
            let turn = |shop: &String| Some(turns.get(shop)?.get(&day)?.at);
            match shops.iter().map(turn).collect::<Option<Vec<_>>>() {
                Some(turns) => found.extend(turns.into_iter().min().map(|turn| (message, turn))),
                None => {
                    failed.insert(message);
                }
            }
        }
        found
    }

    /// Returns the old days among the changes, with the shops of their objects.
    async fn old_days(
        &self,
        changes: &[(usize, Change)],
        now: DateTime<Utc>,
        failed: &mut BTreeSet<usize>,
    ) -> Vec<OldDay> {
        let mut heads = Vec::new();
        for (message, change) in changes {
            if let Change::Silver { key, dataset, partition } = change
                && is_old(*partition, now)
                && let Some(day) = partition.day()
            {
                let day = (dataset.clone(), Partition::Day(day));
                heads.push(async move { (*message, day, self.shops_of(key).await) });
            }
        }
        let heads: Vec<_> = stream::iter(heads).buffer_unordered(CONCURRENCY).collect().await;
        let mut old = Vec::new();
        for (message, day, shops) in heads {
            match shops {
                Ok(shops) => old.push(OldDay { message, day, shops }),
                Err(error) => {
                    tracing::error!(
                        ?day,
                        %error,
                        "could not read the shops of an object; the queue delivers its message \
                         again"
                    );
                    failed.insert(message);
                }
            }
        }
        old
    }

    /// Returns the shops of an object; none if it does not exist or does not name them.
    async fn shops_of(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let head = self.lake.head(key).await?;
        let shops = head.as_ref().map(shops::of).unwrap_or_default();
        let are_known = shops.iter().all(|shop| ShopId::is_valid(shop));
        Ok(if are_known { shops.into_iter().map(str::to_owned).collect() } else { Vec::new() })
    }

    /// Returns the turns of each shop's old days, without the shops whose turns could not be read.
    async fn turns_of_shops(
        &self,
        old: &[OldDay],
        limit: NonZeroU16,
        now: DateTime<Utc>,
    ) -> BTreeMap<String, BTreeMap<DatasetDay, Turn>> {
        let mut days: BTreeMap<&String, BTreeSet<DatasetDay>> = BTreeMap::new();
        for OldDay { day, shops, .. } in old {
            for shop in shops {
                days.entry(shop).or_default().insert(day.clone());
            }
        }
        let mut taken = Vec::new();
        for (shop, days) in days {
            taken.push(async move {
                (shop, old_days::take_turns(&self.lake, shop, &days, limit, now).await)
            });
        }
        let taken: Vec<_> = stream::iter(taken).buffer_unordered(CONCURRENCY).collect().await;
        let (mut turns, mut delayed_days) = (BTreeMap::new(), 0);
        for (shop, taken) in taken {
            match taken {
                Ok(taken) => {
                    delayed_days += report_delay(shop, &taken, limit, now);
                    turns.insert(shop.clone(), taken);
                }
                Err(error) => tracing::error!(
                    shop,
                    %error,
                    "could not take turns for old days; the queue delivers their messages again"
                ),
            }
        }
        if delayed_days > 0 {
            self.metrics.emit(None, &[(DELAYED_DAYS, delayed_days as f64)]);
        }
        turns
    }
}

/// Returns how many days have a new turn that is not now, and logs them: once for each turn, not
/// for each message.
fn report_delay(
    shop: &str,
    turns: &BTreeMap<DatasetDay, Turn>,
    limit: NonZeroU16,
    now: DateTime<Utc>,
) -> usize {
    let delayed = turns.values().filter(|turn| turn.is_new && turn.at > now);
    let days = delayed.clone().count();
    if let Some(last) = delayed.map(|turn| turn.at).max() {
        tracing::warn!(
            shop,
            days,
            limit = limit.get(),
            last_turn = %last,
            "the shop has reached its limit of old days; further ones wait for their turn"
        );
    }
    days
}

#[cfg(test)]
mod tests;
