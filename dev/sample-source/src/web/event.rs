//! One event of the dataset `web_traffic`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::post::rfc3339;

/// What the visitor did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the contract's and say it all")]
pub enum EventType {
    PageView,
    ProductView,
    Search,
    AddToCart,
    RemoveFromCart,
    Checkout,
    Purchase,
}

/// The visitor's machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Device {
    /// `mobile`, `desktop` or `tablet`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Operating system.
    pub os: &'static str,
    /// Browser.
    pub browser: &'static str,
}

/// The campaign that brought the visitor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Utm {
    /// Where the link stood.
    pub source: &'static str,
    /// What kind of link it was.
    pub medium: &'static str,
    /// Which campaign paid for it.
    pub campaign: &'static str,
}

/// One event as a shop's site would send it; absent fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Unique within the shop.
    pub event_id: String,
    /// The visit.
    pub session_id: String,
    /// The browser, across visits.
    pub visitor_id: String,
    /// The customer, when logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// What happened.
    pub event_type: EventType,
    /// When it happened, in microseconds.
    #[serde(serialize_with = "rfc3339")]
    pub occurred_at: DateTime<Utc>,
    /// The page it happened on.
    pub page_url: String,
    /// The page before the visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<&'static str>,
    /// The product looked at or put into the cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// What was searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_term: Option<&'static str>,
    /// The order that a purchase made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The browser's own words.
    pub user_agent: &'static str,
    /// The visitor's machine.
    pub device: Device,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// The campaign, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm: Option<Utm>,
    /// Time on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
}
