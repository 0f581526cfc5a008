//! Products.

use rust_decimal::Decimal;

use crate::seed::mix;

const THINGS: [&str; 20] = [
    "lantern", "mug", "teapot", "cushion", "candle", "clock", "basket", "blanket", "vase", "frame",
    "bowl", "tray", "hook", "mirror", "doormat", "jug", "stool", "lamp", "rug", "tin",
];
const COLOURS: [&str; 10] =
    ["white", "red", "blue", "green", "copper", "striped", "grey", "yellow", "black", "spotted"];

/// Keeps the random numbers of costs apart from all others.
const COSTS: u64 = 0x434F_5354;

/// One product, with one price and one cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id at the tills, on the site and in the inventory.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What a unit sells for, in pounds.
    pub price: Decimal,
    /// What a unit cost the shop, in pounds: 35 to 74 % of the price, at times to a hundredth of a
    /// penny.
    pub cost: Decimal,
}

impl Product {
    pub(super) fn new(seed: u64, index: u32) -> Self {
        let number = index as usize;
        let (thing, colour) = (number / COLOURS.len() % THINGS.len(), number % COLOURS.len());
        let price = Decimal::new(195 + 120 * thing as i64 + 35 * colour as i64, 2);
        let draw = mix(seed, &[COSTS, u64::from(index)]);
        let digits = if draw.is_multiple_of(4) { 4 } else { 2 };
        let edition = number / (COLOURS.len() * THINGS.len());
        let suffix = if edition == 0 { String::new() } else { format!(" no. {}", edition + 1) };
        Self {
            id: Self::id(index),
            name: format!("{} {}{suffix}", COLOURS[colour], THINGS[thing]),
            price,
            cost: (price * Decimal::new(35 + (draw >> 32) as i64 % 40, 2)).round_dp(digits),
        }
    }

    /// Returns the id of the product with this number.
    pub(crate) fn id(index: u32) -> String {
        format!("p{index:03}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn products_are_unique_and_sold_at_a_profit() {
        let products: Vec<_> = (0..1_200).map(|index| Product::new(3, index)).collect();

        let names: HashSet<_> = products.iter().map(|product| &product.name).collect();
        let ids: HashSet<_> = products.iter().map(|product| &product.id).collect();
        assert_eq!((names.len(), ids.len()), (1_200, 1_200));
        for Product { price, cost, id, .. } in &products {
            assert!(
                *cost > *price * Decimal::new(34, 2) && *cost < *price * Decimal::new(75, 2),
                "{id}"
            );
        }
    }
}
