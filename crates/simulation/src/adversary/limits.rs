//! Amounts at the limits of contracts, alone and many of them in a group, and days at the limits of
//! their calendar.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::{LIMITS, day as day_number};
use crate::event::Event;

/// The greatest amount.
const MOST: &str = "99999999999999.9999";

/// Amounts at the limits, each alone in its currency; then many of the greatest line in one group.
pub(crate) fn amounts(events: &mut Vec<Event>) {
    let cases = [
        // currency, quantity, price, discount, cost
        ("XAA", 1, MOST, "0", Some(MOST)),
        ("XAB", -1, MOST, "0", Some(MOST)),
        ("XAC", 1, MOST, MOST, None),
        ("XAD", 1, "0.0001", "-99999999999999.9998", Some("0")),
        ("XAE", 1_000_000, "99999999.9999", "0", Some("0.0001")),
        ("XAF", -1_000_000, "0.0001", "-99.9999", Some("99999999.9999")),
        ("XAG", 3, "33333333333333.3333", "0.0001", Some("33333333333333.3333")),
        ("XAH", -1, "0.0001", "0", None),
    ];
    for (number, (currency, quantity, price, discount, cost)) in cases.into_iter().enumerate() {
        let day = day_number(3 + number as u64);
        events.push(Event::new("pos_sales", LIMITS, json!({
            "transaction_id": format!("limit-{currency}"), "line_no": 100_000, "store_id": "s",
            "region": "limit",
            "product_id": format!("limit-{currency}"), "quantity": quantity, "unit_price": price,
            "discount": discount,
            "unit_cost": cost, "currency": currency, "customer_id": "c",
            "sold_at": format!("{day}T12:00:00Z"), "business_date": day,
        })));
    }
    for line in 1..=40 {
        let (day, quantity) = (day_number(11), if line % 4 == 0 { -1_000_000 } else { 1_000_000 });
        events.push(Event::new(
            "pos_sales",
            LIMITS,
            json!({
                "transaction_id": "limit-XAI", "line_no": line, "store_id": "s", "region": "limit",
                "product_id": "limit-XAI",
                "quantity": quantity, "unit_price": MOST, "discount": MOST, "unit_cost": MOST,
                "currency": "XAI",
                "customer_id": "c", "sold_at": format!("{day}T12:00:00Z"), "business_date": day,
            }),
        ));
    }
    // Stock whose value is at the limit, with the turnover of the currencies above; and a currency
    // that is only stock.
    for (number, (currency, on_hand, cost)) in [
        ("XAA", 1_000_000_000, MOST),
        ("XAB", -1_000_000_000, MOST),
        ("XAE", 1, "0.0001"),
        ("XAI", 1_000_000_000, MOST),
        ("XBA", 0, "0"),
    ]
    .into_iter()
    .enumerate()
    {
        events.push(level(day_number(12 + number as u64), currency, on_hand, cost, Value::Null));
    }
}

/// A customer's purchases that are as long ago as a year looks back, a day longer, or a day less.
pub(crate) fn years(events: &mut Vec<Event>) {
    for age in [363, 364, 365] {
        let day = day_number(20) - Days::new(age);
        events.push(Event::new("pos_sales", LIMITS, json!({
            "transaction_id": "same-number-every-year", "line_no": age, "store_id": "s",
            "region": "limit",
            "product_id": format!("age-{age}"), "quantity": 1, "unit_price": "1", "discount": "0",
            "currency": "EUR",
            "customer_id": "c", "sold_at": format!("{day}T12:00:00Z"), "business_date": day,
        })));
    }
}

/// Single events on the first and the last day that contracts allow, far from all others.
pub(crate) fn days(events: &mut Vec<Event>) {
    for day in [NaiveDate::from_ymd_opt(2000, 1, 1), NaiveDate::from_ymd_opt(2099, 12, 31)]
        .into_iter()
        .flatten()
    {
        for (status, time) in [("opened", "00:00:00"), ("resolved", "23:59:59.999999")] {
            let at = format!("{day}T{time}Z");
            events.push(Event::new("web_traffic", LIMITS, json!({
                "event_id": format!("limit-{day}-{status}"), "session_id": "limit",
                "visitor_id": "v", "customer_id": "c",
                "event_type": "page_view", "occurred_at": at, "page_url": "https://shop.example/",
            })));
            events.push(Event::new(
                "crm_interactions",
                LIMITS,
                json!({
                    "interaction_id": format!("limit-{day}-{status}"), "customer_id": "c",
                    "channel": "email",
                    "interaction_type": "feedback", "rating": 5, "ticket_id": "limit",
                    "ticket_status": status,
                    "occurred_at": at,
                }),
            ));
        }
        events.push(level(day, "EUR", 1, "1", json!(format!("{day}T00:00:00Z"))));
    }
}

fn level(
    day: NaiveDate,
    currency: &str,
    on_hand: i64,
    cost: &str,
    last_restocked_at: Value,
) -> Event {
    Event::new(
        "inventory_levels",
        LIMITS,
        json!({
            "location_id": "limit", "product_id": format!("limit-{currency}"),
            "snapshot_at": format!("{day}T12:00:00Z"),
            "on_hand": on_hand, "reserved": 0, "reorder_point": 0, "unit_cost": cost,
            "currency": currency,
            "restocked_quantity": 0, "last_restocked_at": last_restocked_at,
        }),
    )
}
