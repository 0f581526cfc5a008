//! Stock, snapshot by snapshot.

use chrono::{Days, NaiveDate};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{control_total, deliver_in_runs, values};
use crate::event::Event;

/// A day's snapshots: also one at midnight, which is a day's first moment, and one at its last.
pub(crate) fn day(rng: &mut StdRng, shop: &str, day: NaiveDate, events: &mut Vec<Event>) {
    let mut times: Vec<(u32, String)> = Vec::new();
    for hour in [0, 11, 12, 23] {
        if rng.random_bool(0.7) {
            let rest = if hour == 23 && rng.random_bool(0.5) { "59:59.999999" } else { "00:00" };
            times.push((hour, format!("{day}T{hour:02}:{rest}Z")));
        }
    }
    for (hour, at) in times {
        let batch = format!("{day}T{hour:02}");
        let first = events.len();
        let (mut rows, mut sum) = (0, 0);
        for location in ["l", "l 😀"] {
            for product in 0..4 {
                if rng.random_bool(0.2) {
                    continue;
                }
                let on_hand = on_hand(rng);
                rows += 1;
                sum += on_hand;
                events.push(level(rng, shop, (location, product), &at, on_hand).in_batch(&batch));
            }
        }
        if rng.random_bool(0.5) {
            events.push(control_total(shop, ("inventory_levels", &batch), day, rows, sum));
            if rng.random_bool(0.5) {
                let again = deliver_in_runs(rng, day, &mut events[first..]);
                events.extend(again);
            }
        }
    }
}

/// Around the reorder point, so that states change and are met exactly; now and then far off.
fn on_hand(rng: &mut StdRng) -> i64 {
    match rng.random_range(0..20) {
        0 => -1_000_000_000,
        1 => 1_000_000_000,
        2 => -1,
        _ => rng.random_range(0..8),
    }
}

fn level(
    rng: &mut StdRng,
    shop: &str,
    (location, product): (&str, u32),
    at: &str,
    on_hand: i64,
) -> Event {
    let day: NaiveDate = at[..10].parse().unwrap_or_default();
    let restocked = match rng.random_range(0..8) {
        0 => rng.random_range(1..5),
        1 => 1_000_000_000,
        _ => 0,
    };
    let last_restocked_at = match rng.random_range(0..6) {
        0 => Value::from(at),
        1 => Value::from(format!("{}T00:00:00Z", day - Days::new(rng.random_range(1..400)))),
        // by a clock that is ahead
        2 => Value::from(format!("{}T00:00:00Z", day + Days::new(1))),
        _ => Value::Null,
    };
    // The same products as in the sales, one of them as long as a contract allows, and one that is
    // never sold.
    let product = match product {
        0 => format!("p{}", "😀".repeat(63)),
        1 => "pA".to_owned(),
        2 => "pa ".to_owned(),
        _ => "p never sold".to_owned(),
    };
    let data = json!({
        "location_id": location, "location_name": values::text(rng, 512), "product_id": product,
        "product_name": values::text(rng, 512), "snapshot_at": at, "on_hand": on_hand,
        "reserved": if rng.random_bool(0.05) { 1_000_000_000 } else { rng.random_range(0..4) },
        "reorder_point": rng.random_range(0..4), "unit_cost": values::money(rng),
        "currency": values::pick(rng, &["EUR", "GBP"]),
        "restocked_quantity": restocked, "last_restocked_at": last_restocked_at,
    });
    Event::new("inventory_levels", shop, data)
}
