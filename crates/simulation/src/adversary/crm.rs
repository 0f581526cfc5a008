//! CRM interactions and their tickets.

use chrono::{Days, NaiveDate};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{LIMITS, day as day_number, values};
use crate::event::Event;

const TYPES: [&str; 7] = [
    "inquiry",
    "complaint",
    "feedback",
    "support_ticket",
    "loyalty_signup",
    "loyalty_earn",
    "loyalty_redeem",
];
const CHANNELS: [&str; 5] = ["email", "phone", "chat", "social", "in_store"];
const STATUSES: [&str; 3] = ["opened", "pending", "resolved"];

/// A day's interactions. The tickets are few and live on for weeks: they are opened more than once,
/// resolved before they are opened or at the same moment, or never.
pub(crate) fn day(rng: &mut StdRng, shop: &str, day: NaiveDate, events: &mut Vec<Event>) {
    for number in 0..rng.random_range(0..8) {
        let ticket =
            if rng.random_bool(0.4) { Value::Null } else { values::id(rng, "t", 40).into() };
        let interaction_id = if rng.random_bool(0.1) {
            // A later version of the same interaction, or another one at the same moment.
            format!("i-{day}-0")
        } else {
            format!("i-{day}-{number}")
        };
        let data = json!({
            "interaction_id": interaction_id, "customer_id": values::id(rng, "c", 9),
            "channel": values::pick(rng, &CHANNELS),
            "interaction_type": values::pick(rng, &TYPES), "ticket_id": ticket,
            "ticket_status": values::one_of(rng, &STATUSES),
            "rating": values::count(rng, 1, 5), "subject": values::text(rng, 512),
            "comment": values::text(rng, 8192),
            "agent_id": values::maybe_id(rng, 0.5, "a", 4),
            "order_id": Value::Null,
            "product_id": values::maybe_id(rng, 0.5, "p", 5),
            "loyalty_points": values::count(rng, -1_000_000_000, 1_000_000_000),
            "duration_ms": values::count(rng, 0, 86_400_000),
            "occurred_at": values::moment(rng, day),
        });
        events.push(Event::new("crm_interactions", shop, data));
    }
}

/// Tickets that are exactly as old as a limit of their KPI, a microsecond older, or a microsecond
/// younger.
pub(crate) fn tickets_at_the_edges_of_their_windows(events: &mut Vec<Event>) {
    let resolved_on = day_number(20);
    for age in [0, 1, 3, 7, 89, 90, 91] {
        let opened_on = resolved_on - Days::new(age);
        for (kind, time) in
            [("start", "00:00:00"), ("later", "00:00:00.000001"), ("end", "23:59:59.999999")]
        {
            let ticket = format!("edge-{age}-{kind}");
            let at = |day: NaiveDate, time: &str| format!("{day}T{time}Z");
            events.push(status(&ticket, "opened", &at(opened_on, time)));
            events.push(status(&ticket, "resolved", &at(resolved_on, "23:59:59.999999")));
            events.push(status(&format!("open-{ticket}"), "opened", &at(opened_on, time)));
        }
    }
}

/// Interactions that are corrected to the next day, some of them to a day a week or more later as
/// well.
pub(crate) fn corrections_on_other_days(events: &mut Vec<Event>) {
    for number in 0..4_u64 {
        for (days, time) in [(0, "23:59:59.999999"), (1, "00:00:00"), (6 + number % 4, "12:00:00")]
        {
            let at = format!("{}T{time}Z", day_number(9) + Days::new(days));
            let event = status(&format!("moved-{number}"), "pending", &at);
            events.push(event.with(json!({"rating": days + 1})));
        }
    }
}

fn status(ticket: &str, status: &str, at: &str) -> Event {
    Event::new(
        "crm_interactions",
        LIMITS,
        json!({
            "interaction_id": format!("{ticket}-{status}"), "customer_id": "c", "channel": "email",
            "interaction_type": "support_ticket", "ticket_id": ticket, "ticket_status": status,
            "occurred_at": at,
        }),
    )
}
