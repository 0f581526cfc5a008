//! The line of a receipt as the API hands it out.

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;

/// One sales line. Fields that may be invalid have loose types: the API passes on what the tills
/// wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sale {
    /// The receipt.
    pub transaction_id: String,
    /// Position of the line in its receipt, from 1.
    pub line_no: u32,
    /// Where it was sold.
    pub store_id: String,
    /// The store's region.
    pub region: String,
    /// What was sold; absent when the till lost it.
    pub product_id: Option<String>,
    /// Name printed on the receipt.
    pub product_name: Option<String>,
    /// Units; negative for a return. Text when the till did not write a number.
    pub quantity: Value,
    /// Price of one unit, a decimal as text.
    pub unit_price: String,
    /// Taken off the whole line, a decimal as text.
    pub discount: String,
    /// What one unit cost the shop, a decimal as text; absent when the till does not know.
    pub unit_cost: Option<String>,
    /// ISO 4217.
    pub currency: &'static str,
    /// Known customers only.
    pub customer_id: Option<String>,
    /// How it was paid.
    pub payment_method: Option<&'static str>,
    /// When, RFC 3339 in UTC.
    pub sold_at: String,
    /// The day it is booked on.
    pub business_date: NaiveDate,
}
