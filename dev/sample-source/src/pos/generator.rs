//! Days of a small chain of stores, invented from a seed.

use chrono::{Duration, NaiveDate, NaiveTime, SecondsFormat};
use rand::{Rng, RngExt, seq::IndexedRandom};
use rust_decimal::Decimal;
use serde_json::Value;

use super::Sale;
use crate::{
    seed::rng_of_day,
    world::{Location, STORES, World},
};

const PAYMENT_METHODS: [&str; 4] = ["card", "card", "cash", "voucher"];

/// Generates the sales of any day.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    /// Two generators of the same world generate the same days.
    pub world: World,
    /// Lines per day.
    pub rows_per_day: usize,
}

impl Generator {
    /// Returns the lines of `day`, with some returns, discounts and invalid lines.
    #[must_use]
    pub fn sales(&self, day: NaiveDate) -> Vec<Sale> {
        let mut rng = rng_of_day(self.world.seed, day);
        let mut sales = Vec::with_capacity(self.rows_per_day);
        for receipt in 1.. {
            if sales.len() >= self.rows_per_day {
                break;
            }
            self.receipt(&mut rng, day, receipt, &mut sales);
        }
        sales
    }

    fn receipt(&self, rng: &mut impl Rng, day: NaiveDate, number: u32, sales: &mut Vec<Sale>) {
        let store = &STORES[rng.random_range(0..STORES.len())];
        // Shops are open from eight to twenty; a day's receipts are spread over it.
        let opened = day.and_time(NaiveTime::MIN).and_utc() + Duration::hours(8);
        let sold_at = opened + Duration::seconds(rng.random_range(0..12 * 3600));
        let customer_id = rng.random_bool(0.4).then(|| self.world.any_customer(rng));
        let payment_method = PAYMENT_METHODS.choose(rng).copied();
        let is_return = rng.random_bool(0.04);
        let lines = rng.random_range(1..=8).min(self.rows_per_day - sales.len());
        for line_no in (1..).take(lines) {
            let mut sale = Sale {
                transaction_id: format!("{}-{}-{number:06}", store.id, day.format("%Y%m%d")),
                line_no,
                store_id: store.id.to_owned(),
                region: store.region.to_owned(),
                product_id: None,
                product_name: None,
                quantity: Value::Null,
                unit_price: String::new(),
                discount: "0".to_owned(),
                unit_cost: None,
                currency: store.currency,
                customer_id: customer_id.clone(),
                payment_method,
                sold_at: sold_at.to_rfc3339_opts(SecondsFormat::Micros, true),
                business_date: day,
            };
            self.sell(rng, store, &mut sale, is_return);
            corrupt(rng, &mut sale);
            sales.push(sale);
        }
    }

    fn sell(&self, rng: &mut impl Rng, store: &Location, sale: &mut Sale, is_return: bool) {
        let product = self.world.product(self.world.any_product(rng));
        let unit_price = store.amount(product.price);
        let units = rng.random_range(1..=6_i64);
        sale.product_id = Some(product.id);
        sale.product_name = Some(product.name);
        sale.quantity = Value::from(if is_return { -units } else { units });
        sale.unit_price = unit_price.to_string();
        // One line in twenty has no cost.
        sale.unit_cost = rng.random_bool(0.95).then(|| store.amount(product.cost).to_string());
        if !is_return && rng.random_bool(0.1) {
            sale.discount =
                (unit_price * Decimal::from(units) / Decimal::TEN).round_dp(2).to_string();
        }
    }
}

/// Makes 7 lines in 1,000 invalid, as real tills do.
fn corrupt(rng: &mut impl Rng, sale: &mut Sale) {
    match rng.random_range(0..1_000) {
        0..3 => sale.unit_price = "0.00".to_owned(),
        3..5 => sale.product_id = None,
        5..7 => sale.sold_at = "31/02/2010 25:61".to_owned(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    #[test]
    fn sales_follow_from_seed_and_day() {
        let generator = Generator { world: World::new(7), rows_per_day: 300 };

        assert_eq!(generator.sales(day()), generator.sales(day()));
        assert_ne!(generator.sales(day()), generator.sales(day().succ_opt().unwrap()));
        assert_ne!(
            generator.sales(day()),
            Generator { world: World::new(8), ..generator }.sales(day())
        );
    }

    #[test]
    fn a_big_day_has_returns_discounts_and_all_invalid_rows() {
        let sales = Generator { world: World::new(1), rows_per_day: 20_000 }.sales(day());

        let regions: HashSet<_> = sales.iter().map(|sale| &sale.region).collect();
        assert_eq!(regions.len(), 6);
        assert!(sales.iter().any(|sale| sale.quantity.as_i64() < Some(0)));
        assert!(sales.iter().any(|sale| sale.discount != "0"));
        assert!(sales.iter().any(|sale| sale.currency == "EUR"));
        let costed = sales.iter().filter(|sale| sale.unit_cost.is_some()).count();
        assert!((18_700..19_300).contains(&costed), "{costed}");
        assert!(sales.iter().any(|sale| sale.unit_price == "0.00"));
        assert!(sales.iter().any(|sale| sale.product_id.is_none()));
        assert!(sales.iter().any(|sale| !sale.sold_at.ends_with('Z')));
    }

    proptest! {
        #[test]
        fn a_day_has_exactly_its_rows_and_no_line_twice(seed: u64, rows_per_day in 0_usize..500) {
            let sales = Generator { world: World::new(seed), rows_per_day }.sales(day());

            let ids = sales.iter().map(|sale| (&sale.transaction_id, sale.line_no));
            let ids: HashSet<_> = ids.collect();
            prop_assert_eq!(sales.len(), rows_per_day);
            prop_assert_eq!(ids.len(), rows_per_day);
        }
    }
}
