//! The stock of all locations at any hour.

use serde_json::Value;

use super::{Hour, Level, item::Item};
use crate::{
    api::DataSource,
    seed::mix,
    world::{LOCATIONS, World},
};

/// Keeps the random numbers of invalid rows apart from those of stock.
const INVALID: u64 = 0x4449_5254;

/// Counts what is in stock.
#[derive(Debug, Clone)]
pub struct Generator {
    world: World,
    items: Vec<(usize, u32, Item)>,
    gap_every: u32,
}

impl Generator {
    /// Returns the stock of the products of `world` at the first `locations` locations. Every
    /// `gap_every`-th hour has no snapshot; zero means never.
    #[must_use]
    pub fn new(world: World, locations: usize, gap_every: u32) -> Self {
        let locations = 0..locations.min(LOCATIONS.len());
        let places = locations.flat_map(|at| (0..world.products).map(move |product| (at, product)));
        let items =
            places.map(|(at, product)| (at, product, Item::new(&world, at, product))).collect();
        Self { world, items, gap_every }
    }

    /// Returns the levels at `hour`, if there is a snapshot. Some hours have a row twice, and some
    /// have an invalid row in the place of a valid one.
    #[must_use]
    pub fn levels(&self, hour: Hour) -> Option<Vec<Level>> {
        if self.gap_every > 0 && hour.number() % i64::from(self.gap_every) == 0 {
            return None;
        }
        let snapshot_at = hour.to_string();
        let mut levels = Vec::with_capacity(self.items.len() + 1);
        for (at, product, item) in &self.items {
            levels.push(self.level(*at, *product, item, hour, &snapshot_at));
        }
        if !levels.is_empty() {
            self.corrupt(hour, &mut levels);
        }
        Some(levels)
    }

    fn level(&self, at: usize, product: u32, item: &Item, hour: Hour, snapshot_at: &str) -> Level {
        let (location, product, stock) =
            (&LOCATIONS[at], self.world.product(product), item.at(hour));
        Level {
            location_id: location.id,
            location_name: location.name,
            product_id: Some(product.id),
            product_name: product.name,
            snapshot_at: snapshot_at.to_owned(),
            on_hand: Value::from(stock.on_hand),
            reserved: i64::from(stock.reserved),
            reorder_point: item.reorder_point,
            unit_cost: location.amount(product.cost).to_string(),
            currency: location.currency,
            restocked_quantity: stock.restocked_quantity,
            last_restocked_at: stock.last_restocked_at,
        }
    }

    /// Makes a row invalid in about every sixth hour, and repeats a row in every fourth.
    fn corrupt(&self, hour: Hour, levels: &mut Vec<Level>) {
        let draw = mix(self.world.seed, &[INVALID, hour.number() as u64]);
        let position = |salt: u32| (draw >> salt) as usize % levels.len();
        let (invalid, repeated) = (position(8), position(32));
        if draw.is_multiple_of(4) {
            // Behind the original, as if the data had shifted between two requests.
            levels.insert(repeated, levels[repeated].clone());
        }
        let level = &mut levels[invalid];
        match draw % 30 {
            1 => level.product_id = None,
            2 => level.on_hand = Value::from("plenty"),
            3 => level.reserved = -1,
            5 => level.unit_cost = "n/a".to_owned(),
            6 => level.snapshot_at = "25 o'clock".to_owned(),
            _ => {}
        }
    }
}

impl DataSource for Generator {
    const PATH: &'static str = "/v1/inventory";
    const PARAMETER: &'static str = "snapshot_at";
    type Period = Hour;
    type Row = Level;

    fn rows(&self, hour: Hour) -> anyhow::Result<Option<Vec<Level>>> {
        Ok(self.levels(hour))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::NaiveDate;

    use super::*;

    fn hours(days: u32) -> impl Iterator<Item = Hour> {
        (1..=days).flat_map(|day| Hour::of_day(NaiveDate::from_ymd_opt(2026, 11, day).unwrap()))
    }

    fn generator(seed: u64) -> Generator {
        Generator::new(World { products: 50, ..World::new(seed) }, 3, 0)
    }

    #[test]
    fn levels_follow_from_seed_and_hour() {
        let (first, second) = (hours(1).nth(9), hours(1).nth(15));
        let levels = |seed, hour: Option<Hour>| generator(seed).levels(hour.unwrap()).unwrap();

        assert_eq!(levels(1, first), levels(1, first));
        assert_ne!(levels(1, first), levels(2, first));
        assert_ne!(levels(1, first), levels(1, second));
    }

    #[test]
    fn a_month_has_repeats_two_currencies_and_all_invalid_rows() {
        let generator = generator(1);
        let snapshots: Vec<_> = hours(30).map(|hour| generator.levels(hour).unwrap()).collect();
        let repeated = snapshots.iter().filter(|levels| levels.len() == 151).count();
        let levels: Vec<_> = snapshots.into_iter().flatten().collect();

        assert!((100..260).contains(&repeated), "{repeated} of 720");
        let currencies: HashSet<_> = levels.iter().map(|level| level.currency).collect();
        assert_eq!(currencies, HashSet::from(["GBP", "EUR"]));
        assert!(levels.iter().any(|level| level.product_id.is_none()));
        assert!(levels.iter().any(|level| level.on_hand.is_string()));
        assert!(levels.iter().any(|level| level.reserved < 0));
        assert!(levels.iter().any(|level| level.unit_cost == "n/a"));
        assert!(levels.iter().any(|level| !level.snapshot_at.ends_with('Z')));
    }

    #[test]
    fn every_nth_hour_is_missing_with_gaps() {
        let generator = Generator::new(World::new(1), 1, 8);

        assert_eq!(hours(2).filter(|hour| generator.levels(*hour).is_none()).count(), 6);
    }

    #[test]
    fn rows_of_a_snapshot_are_unique_except_the_repeated_one() {
        for hour in hours(3) {
            let levels = generator(4).levels(hour).unwrap();
            let keys: HashSet<_> =
                levels.iter().map(|level| (level.location_id, &level.product_name)).collect();
            assert_eq!(keys.len(), 150);
            assert!(levels.len() <= 151);
        }
    }
}
