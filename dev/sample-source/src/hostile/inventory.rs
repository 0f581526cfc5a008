//! Levels of `inventory_levels`.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde_json::json;

use super::{
    Row,
    object::{Object, widest},
};

const KEY: [&str; 3] = ["location_id", "product_id", "snapshot_at"];

/// Returns the levels of an hour. Every second hour lacks a location, and around midnight a product
/// is out of stock.
#[must_use]
pub fn stock(seed: u64, hour: DateTime<Utc>) -> Vec<Row> {
    let at = hour.to_rfc3339_opts(SecondsFormat::Secs, true);
    let level = |location: &str, product: &str| level(location, product, &at);
    let mut rows = vec![Row::tables("a level", &level("l1", "counted"), &KEY)];
    if hour.hour().is_multiple_of(2) {
        rows.push(Row::tables(
            "a location that is counted now and then",
            &level("l2", "counted"),
            &KEY,
        ));
    }
    let is_out = !(2..22).contains(&hour.hour());
    let around_midnight =
        level("l1", "out-at-midnight").raw("on_hand", if is_out { "0" } else { "9.0" });
    rows.push(Row::tables("out at midnight", &around_midnight, &KEY));
    let dear =
        level("l1", "dear").raw("on_hand", "1000000000").text("unit_cost", "99999999999999.9999");
    rows.push(Row::tables("the dearest stock", &dear, &KEY));
    rows.push(Row::tables(
        "a level below zero",
        &level("l1", "owed").raw("on_hand", "-1000000000"),
        &KEY,
    ));
    let wide = level(&widest(64, ""), &widest(64, &seed.to_string()))
        .text("location_name", &widest(512, ""))
        .text("product_name", &widest(512, ""));
    rows.push(Row::tables("texts of the largest size", &wide, &KEY));
    for (name, field, json) in [
        ("less than nothing reserved", "reserved", "-1"),
        ("a level as text", "on_hand", r#""9""#),
        ("a fraction of a unit", "on_hand", "9.5"),
        ("a comma in the cost", "unit_cost", r#""1,50""#),
        ("a currency in words", "currency", r#""pounds""#),
    ] {
        let json = level("l1", &name.replace(' ', "-")).raw(field, json).json();
        rows.push(Row::quarantined(name, json, None, Some(field)));
    }
    let nul = level("l1", "nul").raw("product_name", r#""a\u0000b""#).json();
    rows.push(Row::quarantined(
        "NUL in product_name",
        nul,
        Some("unsupported_character"),
        Some("product_name"),
    ));
    let late = level("l1", "late").text("snapshot_at", "2099-01-01T00:00:00Z").json();
    rows.push(Row::quarantined(
        "a clock of 2099",
        late,
        Some("in_the_future"),
        Some("snapshot_at"),
    ));
    let again: Vec<_> = rows.iter().take(2).map(Row::again).collect();
    rows.extend(again);
    rows
}

fn level(location: &str, product: &str, at: &str) -> Object {
    Object::of(&json!({
        "location_id": location,
        "product_id": product,
        "snapshot_at": at,
        "on_hand": 9,
        "reserved": 0,
        "reorder_point": 2,
        "unit_cost": "1.50",
        "currency": "GBP",
        "restocked_quantity": 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: u32) -> Vec<Row> {
        let noon = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        stock(1, noon.with_hour(hour).and_then(|at| at.with_minute(0)).unwrap_or_default())
    }

    #[test]
    fn a_location_is_absent_in_every_second_snapshot() {
        let has_it = |number| hour(number).iter().any(|row| row.json.contains(r#""l2""#));

        assert!(has_it(10) && !has_it(11));
    }

    #[test]
    fn a_product_is_out_before_and_after_midnight() {
        let is_out = |number| hour(number).iter().any(|row| row.json.contains(r#""on_hand":0,"#));

        assert_eq!([21, 22, 23, 0, 1, 2].map(is_out), [false, true, true, true, true, false]);
    }
}
