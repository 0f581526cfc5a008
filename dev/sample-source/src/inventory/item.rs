//! The stock of one product at one location, hour by hour.
//!
//! The stock of an hour is computed without the hours before its cycle. Goods arrive in cycles
//! whose starts are known, each delivery fills the shelf to the same level, and the sales of an
//! hour depend on that hour alone. So the stock follows from the sales since the cycle began.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::Hour;
use crate::{
    seed::mix,
    world::{LOCATIONS, World},
};

/// Keep the kinds of random numbers of an item apart.
const ITEM: u64 = 0x4954_454D;
const SALES: u64 = 1;
const DELIVERY: u64 = 2;
const RESERVED: u64 = 3;

/// Units of the average product that a store sells in a thousand open hours.
const SALES_PER_THOUSAND_HOURS: f64 = 400.0;

/// Open hours of a delivery's lead time: stock is low when it would not last that long.
const LEAD_TIME: u64 = 24;

/// How an item is restocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestockPolicy {
    /// Filled up about every `every` hours, give or take a quarter.
    Restocked { every: u32 },
    /// Never sold: the stock stays the same.
    Dead,
    /// No longer sold: the shelf has been empty since this hour.
    Delisted { since: i64 },
}

/// One product at one location.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    seed: u64,
    policy: RestockPolicy,
    /// Units sold in a thousand open hours.
    rate: u64,
    /// Units on a full shelf.
    full: u32,
    /// Stock is low when no more than this is available.
    pub(super) reorder_point: u32,
}

/// Its stock at one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stock {
    pub(super) on_hand: u32,
    pub(super) reserved: u32,
    pub(super) restocked_quantity: u32,
    pub(super) last_restocked_at: Option<String>,
}

impl Item {
    pub(super) fn new(world: &World, location: usize, product: u32) -> Self {
        let seed = mix(world.seed, &[ITEM, location as u64, u64::from(product)]);
        // The warehouse, the first location, ships to the whole country.
        let share = if location == 0 { 2.0 } else { 6.0 / LOCATIONS.len() as f64 };
        let rate = (SALES_PER_THOUSAND_HOURS * world.popularity(product) * share).ceil() as u64;
        let every = 96 + (mix(seed, &[1]) % 240) as u32;
        // Half of all hours are open ones.
        let sold_per_cycle = rate * u64::from(every) / 2_000;
        // What the shelf holds, in per cent of what is sold until the next delivery: under 100 it
        // runs out.
        let (policy, holds) = match mix(seed, &[2]) % 100 {
            0..3 => {
                (RestockPolicy::Delisted { since: 420_000 + (mix(seed, &[3]) % 60_000) as i64 }, 0)
            }
            3..6 => (RestockPolicy::Dead, 120),
            6..20 => (RestockPolicy::Restocked { every }, 75),
            20..45 => (RestockPolicy::Restocked { every }, 105),
            _ => (RestockPolicy::Restocked { every }, 180),
        };
        let lead_time = (rate * LEAD_TIME / 1_000) as u32 + 1;
        Self {
            seed,
            policy,
            rate,
            full: (sold_per_cycle * holds / 100) as u32 + 2,
            // Every twentieth item has no reorder point.
            reorder_point: if mix(seed, &[4]).is_multiple_of(20) { 0 } else { lead_time },
        }
    }

    /// Returns the stock at `hour`, after all sales and deliveries before it.
    pub(super) fn at(&self, hour: Hour) -> Stock {
        let now = hour.number();
        let (on_hand, restocked_quantity, last_restocked_at) = match self.policy {
            RestockPolicy::Dead => (self.full, 0, None),
            RestockPolicy::Delisted { since } => {
                (0, 0, (since < now).then(|| Hour::numbered(since).time()))
            }
            RestockPolicy::Restocked { every } => {
                let (cycle, start) = self.cycle(every, now);
                let restocked = if start == now {
                    let before = self.start(every, cycle - 1);
                    self.full - self.left(before, now)
                } else {
                    0
                };
                (self.left(start, now), restocked, Some(self.delivered_at(start)))
            }
        };
        Stock {
            on_hand,
            reserved: self.reserved(now),
            restocked_quantity,
            last_restocked_at: last_restocked_at
                .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
        }
    }

    /// Returns the first hour whose stock includes the delivery of a cycle.
    fn start(&self, every: u32, cycle: i64) -> i64 {
        let (every, draw) = (i64::from(every), mix(self.seed, &[DELIVERY, cycle as u64]));
        let late = (draw % (every / 2) as u64) as i64 - every / 4;
        cycle * every + (self.seed % every as u64) as i64 + late
    }

    /// Returns the cycle of `now` and its start. Starts vary by at most a quarter of a cycle, so
    /// they keep their order.
    fn cycle(&self, every: u32, now: i64) -> (i64, i64) {
        let estimate =
            (now - (self.seed % u64::from(every)) as i64).div_euclid(i64::from(every)) + 1;
        let starts =
            (0..).map(|back| estimate - back).map(|cycle| (cycle, self.start(every, cycle)));
        let mut begun = starts.skip_while(|(_, start)| *start > now);
        // The sequence is endless, so the default is never used.
        begun.next().unwrap_or((estimate, now))
    }

    /// Returns the units left at `now` of a shelf that was full at `start`.
    fn left(&self, start: i64, now: i64) -> u32 {
        let mut left = self.full;
        for hour in (start..now).filter(|hour| Hour::is_open(*hour)) {
            left = left.saturating_sub(self.sold(hour));
            if left == 0 {
                break;
            }
        }
        left
    }

    /// Returns the demand of one open hour: on average the rate, at most twice as much.
    fn sold(&self, hour: i64) -> u32 {
        let draw = mix(self.seed, &[SALES, hour as u64]);
        let thousandths = (draw >> 32) % (2 * self.rate + 1);
        // The remainder decides whether to add one, so that small rates do not become zero.
        ((thousandths + draw % 1_000) / 1_000) as u32
    }

    /// Returns the reserved units; sometimes more than the units on hand.
    fn reserved(&self, now: i64) -> u32 {
        let draw = mix(self.seed, &[RESERVED, now.div_euclid(5) as u64]);
        if draw.is_multiple_of(3) {
            1 + ((draw >> 8) % u64::from(self.full / 20 + 1)) as u32
        } else {
            0
        }
    }

    /// Returns the time of a delivery, within the hour before the snapshot.
    fn delivered_at(&self, start: i64) -> DateTime<Utc> {
        let minutes = 1 + mix(self.seed, &[DELIVERY, start as u64, 1]) % 59;
        Hour::numbered(start).time() - TimeDelta::minutes(minutes as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(seed: u64, location: usize, product: u32) -> Item {
        Item::new(&World::new(seed), location, product)
    }

    fn hours(days: i64) -> impl Iterator<Item = i64> {
        // From 2026-11-01T00 on: 20,758 days after 1970.
        498_192..498_192 + days * 24
    }

    #[test]
    fn some_items_run_out_some_run_low_and_most_are_in_stock() {
        let items: Vec<_> =
            (0..4).flat_map(|at| (0..100).map(move |product| item(1, at, product))).collect();
        let (mut out, mut low, mut all) = (0, 0, 0);
        for number in hours(30) {
            for item in &items {
                let Stock { on_hand, reserved, .. } = item.at(Hour::numbered(number));
                let available = i64::from(on_hand) - i64::from(reserved);
                all += 1;
                match available {
                    ..=0 => out += 1,
                    _ if available <= i64::from(item.reorder_point) => low += 1,
                    _ => {}
                }
            }
        }
        let share = |count: i32| f64::from(count) / f64::from(all);
        assert!((0.05..0.25).contains(&share(out)), "out {}", share(out));
        assert!((0.05..0.30).contains(&share(low)), "low {}", share(low));
    }

    #[test]
    fn many_items_have_every_restock_policy() {
        let items: Vec<_> = (0..300).map(|product| item(2, 1, product)).collect();
        let has = |is: fn(&Item) -> bool| items.iter().any(is);

        assert!(has(|item| item.policy == RestockPolicy::Dead));
        assert!(has(|item| matches!(item.policy, RestockPolicy::Delisted { .. })));
        assert!(has(|item| item.reorder_point == 0));
    }

    proptest! {
        #[test]
        fn stock_goes_down_by_what_is_sold_and_up_by_what_comes_in(
            seed: u64, location in 0_usize..9, product in 0_u32..200, hour in 350_000_i64..600_000,
        ) {
            let item = item(seed, location, product);
            let before = item.at(Hour::numbered(hour));
            let after = item.at(Hour::numbered(hour + 1));
            let sells = Hour::is_open(hour) && item.policy != RestockPolicy::Dead;
            let wanted = if sells { item.sold(hour) } else { 0 };

            prop_assert_eq!(
                after.on_hand,
                before.on_hand.saturating_sub(wanted) + after.restocked_quantity
            );
            let time = |stock: &Stock| {
                let time = stock.last_restocked_at.as_deref()?;
                Some(DateTime::parse_from_rfc3339(time).unwrap())
            };
            prop_assert!(time(&after) >= time(&before));
            prop_assert!(time(&after).is_none_or(|time| time < Hour::numbered(hour + 1).time()));
            if after.restocked_quantity > 0 {
                prop_assert!(time(&after) > Some(Hour::numbered(hour).time().fixed_offset()));
            }
        }
    }
}
