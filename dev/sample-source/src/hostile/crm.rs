//! Interactions of `crm_interactions`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::object::{Object, widest};

/// Returns a valid interaction.
pub(super) fn interaction(id: &str, at: DateTime<Utc>) -> Object {
    Object::of(&json!({
        "interaction_id": id,
        "customer_id": "hostile-customer",
        "channel": "email",
        "interaction_type": "feedback",
        "rating": 3,
        "occurred_at": at.to_rfc3339_opts(SecondsFormat::Micros, true),
    }))
}

/// Returns an interaction with texts of the largest accepted size, in characters of four bytes.
pub(super) fn widest_interaction(id: &str, at: DateTime<Utc>) -> Object {
    let ids = ["ticket_id", "agent_id", "order_id", "product_id"];
    let wide = interaction(id, at)
        .text("interaction_id", &widest(64, id))
        .text("customer_id", &widest(64, id))
        .text("subject", &widest(512, ""))
        .text("comment", &widest(8_192, ""))
        .raw("loyalty_points", "-1000000000");
    ids.into_iter().fold(wide, |wide, column| wide.text(column, &widest(64, id)))
}
