//! The world that all sources share: products with prices and costs, customers, locations.
//!
//! A till, a web shop, a CRM and a warehouse that are given the same seed and sizes know the same
//! products and customers, so that a KPI over several of them means something.

mod location;
mod product;

use rand::{Rng, RngExt};

pub use location::{LOCATIONS, Location, STORES};
pub use product::Product;

/// Customers of this many, one never visits the web shop.
const OFFLINE_EVERY: u32 = 5;

/// Sizes and seed of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// The same seed gives the same costs, customers and events.
    pub seed: u64,
    /// Products, `p000` and up. The first ones sell best.
    pub products: u32,
    /// Customers, `c00001` and up.
    pub customers: u32,
}

impl World {
    /// Returns a world of the default size.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, products: 200, customers: 5_000 }
    }

    /// Returns the product with this number, from 0.
    #[must_use]
    pub fn product(&self, index: u32) -> Product {
        Product::new(self.seed, index)
    }

    /// Returns the number of a random product. A quarter of the products makes half of the sales.
    pub(crate) fn any_product(&self, rng: &mut impl Rng) -> u32 {
        let draw: f64 = rng.random();
        ((draw * draw * f64::from(self.products)) as u32).min(self.products.saturating_sub(1))
    }

    /// Returns how much more often than the average product this one is sold.
    pub(crate) fn popularity(&self, index: u32) -> f64 {
        // The density of the square of a uniform draw.
        0.5 / ((f64::from(index) + 0.5) / f64::from(self.products.max(1))).sqrt()
    }

    /// Returns a random customer.
    pub(crate) fn any_customer(&self, rng: &mut impl Rng) -> String {
        customer_id(rng.random_range(1..=self.customers.max(1)))
    }

    /// Returns the customer of a browser; a customer may have several browsers.
    pub(crate) fn online_customer(&self, browser: u32) -> String {
        let online = (self.customers - self.customers / OFFLINE_EVERY).max(1);
        let number = browser % online;
        customer_id(number / (OFFLINE_EVERY - 1) * OFFLINE_EVERY + number % (OFFLINE_EVERY - 1) + 1)
    }
}

fn customer_id(number: u32) -> String {
    format!("c{number:05}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn four_of_five_customers_use_a_browser() {
        for customers in [1_u32, 2, 5, 7, 100] {
            let world = World { customers, ..World::new(1) };

            let online: HashSet<_> =
                (0..1_000).map(|browser| world.online_customer(browser)).collect();

            assert_eq!(online.len() as u32, customers - customers / 5);
            assert!(
                online.iter().all(|id| (1..=customers).any(|number| customer_id(number) == *id))
            );
        }
    }

    #[test]
    fn a_quarter_of_the_products_makes_half_of_the_draws() {
        let world = World::new(1);
        let mut rng = StdRng::seed_from_u64(1);

        let first = (0..100_000).filter(|_| world.any_product(&mut rng) < 50).count();

        assert!((49_000..51_000).contains(&first), "{first}");
        // The popularities say the same: together they are 1 a product.
        let sum: f64 = (0..200).map(|index| world.popularity(index)).sum();
        assert!((195.0..205.0).contains(&sum), "{sum}");
    }

    #[test]
    fn a_world_without_products_does_not_panic() {
        let world = World { products: 0, customers: 0, ..World::new(1) };

        assert_eq!(world.any_product(&mut StdRng::seed_from_u64(1)), 0);
        assert_eq!(world.online_customer(3), "c00001");
    }
}
