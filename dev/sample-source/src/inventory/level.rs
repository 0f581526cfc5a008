//! A stock level as the API hands it out.

use serde::Serialize;
use serde_json::Value;

/// The stock of one product at one location. Fields that may be invalid have loose types.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// The store or warehouse.
    pub location_id: &'static str,
    /// Its name.
    pub location_name: &'static str,
    /// The product; absent when the system lost it.
    pub product_id: Option<String>,
    /// Its name.
    pub product_name: String,
    /// When the stock was counted.
    pub snapshot_at: String,
    /// Units on hand. Text when the system did not write a number.
    pub on_hand: Value,
    /// Units promised to customers.
    pub reserved: i64,
    /// Stock is low when no more than this is available.
    pub reorder_point: u32,
    /// What one unit cost, a decimal as text.
    pub unit_cost: String,
    /// ISO 4217.
    pub currency: &'static str,
    /// Units that came in since the snapshot before.
    pub restocked_quantity: u32,
    /// When units came in last, if that is known.
    pub last_restocked_at: Option<String>,
}
