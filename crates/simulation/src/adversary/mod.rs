//! Valid but unusual events: nulls, ties, duplicates, late copies, extreme
//! numbers, midnight, days without events, and every kind of text. Small, but over more than 30
//! days, so that the longest windows fill and empty.
//!
//! Two engines, or two orders, have to compute the same tables from them.

mod by_contract;
mod crm;
mod inventory;
mod limits;
mod pos;
mod values;
mod web;

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{Days, NaiveDate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::event::Event;

/// The shops. Their ids hold every kind of character that a shop's id may.
pub(crate) const SHOPS: [&str; 3] = ["acme", "0-globex_2", "z"];

/// The shop of what is at a limit, so that no total of the others is off because of it.
pub(crate) const LIMITS: &str = "at-the-limits";

/// How many days there are: a leap day and two ends of months among them.
pub(crate) const DAYS: u64 = 40;

/// The event sets of a seed; the same seed gives the same events.
pub fn events(seed: u64) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut events = Vec::new();
    for shop in SHOPS {
        for number in 0..DAYS {
            let day = day(number);
            if rng.random_bool(0.9) {
                web::day(&mut rng, shop, day, &mut events);
            }
            if rng.random_bool(0.9) {
                crm::day(&mut rng, shop, day, &mut events);
            }
            // Three days without any sale, so that a window has a hole.
            if !(12..15).contains(&number) {
                pos::day(&mut rng, shop, day, &mut events);
            }
            // No snapshot at all at the end, so that averages outlive what they are of.
            if number < 34 && rng.random_bool(0.85) {
                inventory::day(&mut rng, shop, day, &mut events);
            }
        }
    }
    crm::tickets_at_the_edges_of_their_windows(&mut events);
    crm::corrections_on_other_days(&mut events);
    web::copies_on_other_days(&mut events);
    limits::amounts(&mut events);
    limits::years(&mut events);
    limits::days(&mut events);
    copies(&mut rng, &mut events);
    events
}

/// A few events of each dataset in the folder `schemas` that [`events`] has none of, such as a new
/// dataset.
///
/// # Errors
/// When the schemas cannot be read.
pub fn events_by_contract(schemas: &Path) -> anyhow::Result<Vec<Event>> {
    by_contract::events(schemas, &events(1).into_iter().map(|event| event.dataset).collect())
}

/// Day number `number`, from 0.
pub(crate) fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2028, 2, 1).unwrap_or_default() + Days::new(number)
}

/// Some events come twice: as exact copies, or as copies that were taken at another time; and not
/// in their order.
fn copies(rng: &mut StdRng, events: &mut Vec<Event>) {
    for place in 0..events.len() {
        if rng.random_bool(0.06) {
            let mut copy = events[place].clone();
            if rng.random_bool(0.5) {
                copy.received_at += chrono::Duration::seconds(rng.random_range(-3600..3600));
                copy.id = Some(format!("again-{place}"));
            }
            events.push(copy);
        }
    }
    // Neighbours stay near each other, as in real life, but nothing is in order.
    for place in 1..events.len() {
        let other = place - rng.random_range(0..=place.min(500));
        events.swap(place, other);
    }
}

/// What a connector says it sent of a batch.
pub(crate) fn control_total(
    shop: &str,
    (dataset, batch): (&str, &str),
    day: NaiveDate,
    rows: usize,
    sum: i64,
) -> Event {
    let completed = format!("{}T01:00:00Z", day + Days::new(1));
    let data = json!({
        "dataset": dataset, "batch": batch, "business_date": day, "row_count": rows,
        "quantity_sum": sum,
        "completed_at": completed,
    });
    Event::new("control_totals", shop, data).in_batch(batch)
}

/// Delivers the rows and the control total of a batch in runs: one that is complete; then often a
/// second one that lacks a row, and is complete, has a control total of more rows or of another
/// quantity, or none.
pub(crate) fn deliver_in_runs(
    rng: &mut StdRng,
    day: NaiveDate,
    events: &mut [Event],
) -> Vec<Event> {
    let run = |hour: u32| format!("{}T{hour:02}:30:00.000000Z", day + Days::new(1));
    for event in events.iter_mut() {
        in_run(event, &run(1));
    }
    let (totals, mut rows): (Vec<_>, Vec<_>) =
        events.iter().cloned().partition(|event| event.dataset == "control_totals");
    let (Some(total), true) = (totals.first(), rng.random_bool(0.6)) else { return Vec::new() };
    let lost = rows.pop();
    rows.retain(|row| lost.as_ref().is_none_or(|lost| key(row) != key(lost)));
    let distinct: BTreeMap<_, _> = rows.iter().map(|row| (key(row), quantity(row))).collect();
    let (more_rows, more_units) = [(0, 0), (0, 0), (1, 0), (0, 1)][rng.random_range(0..4)];
    let total = total.clone().with(json!({
        "row_count": distinct.len() + more_rows,
        "quantity_sum": distinct.values().sum::<i64>() + more_units,
        "completed_at": format!("{}T02:00:00Z", day + Days::new(1)),
    }));
    let has_total = rng.random_bool(0.8);
    let mut again: Vec<_> = rows.into_iter().chain(has_total.then_some(total)).collect();
    for event in &mut again {
        in_run(event, &run(2));
        event.received_at += chrono::Duration::hours(1);
    }
    again
}

fn in_run(event: &mut Event, run: &str) {
    event.run = Some(run.to_owned());
    if event.dataset == "control_totals" {
        event.data["run"] = run.into();
    }
}

/// Returns what the control total of the row's batch adds up.
fn quantity(row: &Event) -> i64 {
    let quantity = row.data.get("quantity").unwrap_or(&row.data["on_hand"]);
    // Some rows have it with a decimal point.
    quantity.as_f64().unwrap_or_default() as i64
}

/// Returns the columns that may identify a row of a batch.
fn key(event: &Event) -> String {
    let columns = ["transaction_id", "line_no", "location_id", "product_id", "snapshot_at"];
    let of_sale = event.data.get("transaction_id").is_some();
    let columns = if of_sale { &columns[..2] } else { &columns[2..] };
    columns.iter().map(|column| format!("{}/", event.data[column])).collect()
}
