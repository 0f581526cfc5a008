//! Locations: the warehouse and the stores.

use rust_decimal::Decimal;

/// A warehouse or a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Its id, at the tills and in the inventory.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its sales region.
    pub region: &'static str,
    /// ISO 4217, of all its amounts.
    pub currency: &'static str,
}

/// All locations. The first three are of every kind: the warehouse, a store, and a store with
/// another currency.
pub const LOCATIONS: [Location; 9] = [
    Location { id: "wh-01", name: "Warehouse Rugby", region: "Midlands", currency: "GBP" },
    store("ldn-01", "London Soho", "London", "GBP"),
    store("dub-01", "Dublin", "Ireland", "EUR"),
    store("man-01", "Manchester", "North West", "GBP"),
    store("ldn-02", "London Camden", "London", "GBP"),
    store("liv-01", "Liverpool", "North West", "GBP"),
    store("bri-01", "Bristol", "South West", "GBP"),
    store("edi-01", "Edinburgh", "Scotland", "GBP"),
    store("cdf-01", "Cardiff", "Wales", "GBP"),
];

/// The locations with tills: all but the warehouse.
pub const STORES: &[Location] = LOCATIONS.split_at(1).1;

const fn store(
    id: &'static str,
    name: &'static str,
    region: &'static str,
    currency: &'static str,
) -> Location {
    Location { id, name, region, currency }
}

impl Location {
    /// Returns an amount of pounds in the location's currency, at a fixed rate.
    #[must_use]
    pub fn amount(&self, pounds: Decimal) -> Decimal {
        match self.currency {
            "EUR" => (pounds * Decimal::new(120, 2)).round_dp(2),
            _ => pounds,
        }
    }
}
