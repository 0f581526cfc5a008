//! One event of the dataset `crm_interactions`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::post::rfc3339;

/// The channel of an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the contract's and say it all")]
pub enum Channel {
    Email,
    Phone,
    Chat,
    Social,
    InStore,
}

impl Channel {
    pub(super) const ALL: [Self; 5] =
        [Self::Email, Self::Phone, Self::Chat, Self::Social, Self::InStore];
}

/// The type of an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the contract's and say it all")]
pub enum InteractionType {
    Inquiry,
    Complaint,
    Feedback,
    SupportTicket,
    LoyaltySignup,
    LoyaltyEarn,
    LoyaltyRedeem,
}

/// The status of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the contract's and say it all")]
pub enum TicketStatus {
    Opened,
    Pending,
    Resolved,
}

/// One interaction as a CRM would send it; absent fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interaction {
    /// Unique within the shop. A correction has the id of what it corrects, and a later time.
    pub interaction_id: String,
    /// The customer.
    pub customer_id: String,
    /// The channel.
    pub channel: Channel,
    /// The type.
    pub interaction_type: InteractionType,
    /// The ticket that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket_id: Option<String>,
    /// The ticket's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket_status: Option<TicketStatus>,
    /// The customer's rating; null if the customer was asked and did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<Option<u8>>,
    /// What the customer said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<&'static str>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Points that were earned, or redeemed if negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loyalty_points: Option<i32>,
    /// When it happened, in microseconds.
    #[serde(serialize_with = "rfc3339")]
    pub occurred_at: DateTime<Utc>,
}
