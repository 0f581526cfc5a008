//! Sales, with the totals that their connector would send.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::{control_total, day as day_number, deliver_in_runs, values};
use crate::event::Event;

/// A day's lines.
pub(crate) fn day(rng: &mut StdRng, shop: &str, day: NaiveDate, events: &mut Vec<Event>) {
    let batch = day.to_string();
    let first = events.len();
    // What lands, by key; a copy of a line may differ in everything but its quantity, so that the
    // totals hold.
    let mut lines: BTreeMap<(u32, u32), i64> = BTreeMap::new();
    for _ in 0..rng.random_range(0..16) {
        let key = (rng.random_range(0..8), rng.random_range(1..4));
        let quantity = *lines.entry(key).or_insert_with(|| quantity(rng));
        events.push(sale(rng, shop, day, key, quantity).in_batch(&batch));
    }
    if day == day_number(7) {
        // A line that is refused: it counts for the total, and is found in quarantine.
        let refused =
            sale(rng, shop, day, (99, 1), 1).with(json!({"quantity": 0})).in_batch(&batch);
        events.push(refused);
        lines.insert((99, 1), 0);
    }
    if day == day_number(8) {
        // So is a line with a character that no warehouse can store.
        let nul = sale(rng, shop, day, (98, 1), 1).with(json!({"region": "no\u{0}rth"}));
        events.push(nul.in_batch(&batch));
        lines.insert((98, 1), 1);
    }
    // A total of another quantity: the rows count nowhere.
    let is_wrong = day == day_number(25) && shop == "z";
    if rng.random_bool(0.8) || is_wrong {
        let sum = lines.values().sum::<i64>() + i64::from(is_wrong);
        events.push(control_total(shop, ("pos_sales", &batch), day, lines.len(), sum));
        if !is_wrong && rng.random_bool(0.5) {
            let again = deliver_in_runs(rng, day, &mut events[first..]);
            events.extend(again);
        }
    }
}

fn quantity(rng: &mut StdRng) -> i64 {
    match rng.random_range(0..10) {
        0 => -1,
        1 => rng.random_range(-5..0),
        2 => 1_000_000,
        3 => -1_000_000,
        _ => rng.random_range(1..5),
    }
}

fn sale(
    rng: &mut StdRng,
    shop: &str,
    day: NaiveDate,
    (transaction, line): (u32, u32),
    quantity: i64,
) -> Event {
    let price = values::money(rng);
    // The contract wants a price above 0.
    let price = if price.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
        "0.0001".to_owned()
    } else {
        price
    };
    let sign = if quantity < 0 { "-" } else { "" };
    let discount = [
        "0".to_owned(),
        format!("{sign}0.0001"),
        format!("{sign}{}", values::money(rng)),
        "-0".to_owned(),
    ];
    // Tills close after midnight: the trading day decides.
    let sold_on = if rng.random_bool(0.2) { day.succ_opt().unwrap_or(day) } else { day };
    // Many tills write whole numbers with a decimal point.
    let quantity = if rng.random_bool(0.2) { json!(quantity as f64) } else { json!(quantity) };
    let data = json!({
        "transaction_id": format!("{}-{transaction}-{day}", ["t", "日"][transaction as usize % 2]),
        "line_no": line,
        "store_id": values::id(rng, "st", 4), "region": values::id(rng, "r", 6),
        "product_id": values::id(rng, "p", 5),
        "product_name": values::text(rng, 512), "quantity": quantity, "unit_price": price,
        "discount": discount.choose(rng),
        "unit_cost": if rng.random_bool(0.3) { Value::Null } else { values::money(rng).into() },
        "currency": values::pick(rng, &["EUR", "GBP"]),
        "customer_id": values::maybe_id(rng, 0.5, "c", 9),
        "payment_method": values::one_of(rng, &["card", "cash", "other"]),
        "sold_at": values::moment(rng, sold_on),
        "business_date": day,
    });
    Event::new("pos_sales", shop, data)
}
