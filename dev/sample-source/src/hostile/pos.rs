//! Lines of `pos_sales`.

use chrono::{DateTime, Days, Duration, NaiveDate, SecondsFormat, Utc};
use serde_json::json;

use super::{
    Row,
    object::{Object, widest},
};

/// A day is delivered, and later once more with corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All receipts.
    First,
    /// A receipt is corrected, another one is voided.
    Corrected,
}

/// Ordinary lines of a day.
const ORDINARY: u32 = 40;

/// A row that no record of a stream holds.
const OVERSIZED_BYTES: usize = 1_200_000;

const KEY: [&str; 2] = ["transaction_id", "line_no"];

/// Returns the lines of a business day, in the order of the API, with rows that later pages repeat.
#[must_use]
pub fn sales(seed: u64, day: NaiveDate, now: DateTime<Utc>, delivery: Delivery) -> Vec<Row> {
    let line = |receipt: &str| line(&format!("{seed}-{day}-{receipt}"), day);
    let is_corrected = delivery == Delivery::Corrected;
    let mut rows: Vec<Row> = (0..ORDINARY)
        // The second delivery lacks the voided receipt.
        .filter(|number| !(is_corrected && *number == 3))
        .map(|number| {
            let quantity = if is_corrected && number == 1 { 5 } else { 1 };
            let line = line(&number.to_string()).raw("quantity", quantity.to_string());
            Row::tables(format!("receipt {number}"), &line, &KEY)
        })
        .collect();
    for (name, quantity) in [("2.0", "2.0"), ("3.00", "3.00"), ("1e0", "1e0"), ("-1.0", "-1.0")] {
        let line = line(name).raw("quantity", quantity);
        rows.push(Row::tables(format!("a quantity of {name}"), &line, &KEY));
    }
    let barcode = line("barcode").text("unit_price", "4006381333931").raw("quantity", "25");
    rows.push(Row::tables("a barcode as price", &barcode, &KEY));
    for number in 0..3 {
        let line = line(&format!("dear-{number}"))
            .text("unit_price", "99999999999999.9999")
            .text("unit_cost", "99999999999999.9999")
            .text("discount", "-99999999999999.9999")
            .raw("quantity", "1000000");
        rows.push(Row::tables("the dearest line", &line, &KEY));
    }
    let wide = widest_line(&line("widest"), &format!("{seed}-{day}-"));
    rows.push(Row::tables("texts of the largest size", &wide, &KEY));
    rows.extend(refused(&line, day, now));
    // A key with other contents: both lines are sent, silver keeps both, and one of them counts.
    let other = line("0").raw("quantity", "1").text("store_id", "other-till");
    rows.push(Row::tables("a known key with other contents", &other, &KEY));
    // Pages shift while a day is read: rows of the first pages appear again on the last ones.
    let again: Vec<_> = rows.iter().skip(4).take(3).chain(rows.last()).map(Row::again).collect();
    rows.extend(again);
    rows
}

/// Returns lines that break the contract.
fn refused(line: &impl Fn(&str) -> Object, day: NaiveDate, now: DateTime<Utc>) -> Vec<Row> {
    let mut rows: Vec<Row> =
        ["product_id", "quantity", "unit_price", "currency", "sold_at", "business_date"]
            .into_iter()
            .map(|field| {
                let json = line(&format!("lost-{field}")).without(field).json();
                Row::quarantined(format!("no {field}"), json, Some("missing"), Some(field))
            })
            .collect();
    let without_key = line("lost-key").without("transaction_id").json();
    rows.push(Row::quarantined("no key", without_key, Some("missing"), Some("transaction_id")));
    for field in ["product_name", "region", "store_id", "customer_id"] {
        let json = line(&format!("nul-{field}")).raw(field, r#""a\u0000b""#).json();
        rows.push(Row::quarantined(
            format!("NUL in {field}"),
            json,
            Some("unsupported_character"),
            Some(field),
        ));
    }
    for (name, field, json) in [
        ("a price of zero", "unit_price", r#""0.00""#),
        ("a comma in the price", "unit_price", r#""1,50""#),
        ("a price as a number", "unit_price", "2.55"),
        ("a quantity of zero", "quantity", "0"),
        ("a fraction as quantity", "quantity", "2.5"),
        ("a quantity as text", "quantity", r#""2""#),
        ("a barcode as quantity", "quantity", "4006381333931"),
        ("a day that does not exist", "business_date", r#""2026-02-30""#),
    ] {
        let json = line(&name.replace(' ', "-")).raw(field, json).json();
        rows.push(Row::quarantined(name, json, None, Some(field)));
    }
    for (name, day, code) in [
        ("a day of 2099", NaiveDate::from_ymd_opt(2099, 1, 1).unwrap_or(day), "in_the_future"),
        ("a day of next week", now.date_naive() + Days::new(7), "in_the_future"),
        ("a day of last year", now.date_naive() - Days::new(403), "too_old"),
    ] {
        let json = line(&name.replace(' ', "-")).text("business_date", &day.to_string()).json();
        rows.push(Row::quarantined(name, json, Some(code), Some("business_date")));
    }
    let ahead = (now + Duration::days(3)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let json = line("ahead").text("sold_at", &ahead).json();
    rows.push(Row::quarantined(
        "a till's clock three days ahead",
        json,
        Some("in_the_future"),
        Some("sold_at"),
    ));
    let infinite = line("infinite").raw("unknown_member", "1e400").json();
    rows.push(Row::quarantined("1e400 in an unknown field", infinite, None, None));
    let large = line("large").text("unknown_member", &"x".repeat(OVERSIZED_BYTES)).json();
    rows.push(Row::quarantined("a row of 1.2 MB", large, Some("too_large"), None));
    for json in ["null", "[]", "{}", "5", r#""text""#, "true"] {
        rows.push(Row::quarantined(format!("{json} as a row"), json, None, None));
    }
    rows
}

fn line(receipt: &str, day: NaiveDate) -> Object {
    Object::of(&json!({
        "transaction_id": receipt,
        "line_no": 1,
        "store_id": "hostile-till",
        "region": "Hostile",
        "product_id": "p000",
        "quantity": 1,
        "unit_price": "2.50",
        "discount": "0",
        "unit_cost": "1.00",
        "currency": "GBP",
        "sold_at": format!("{day}T12:00:00Z"),
        "business_date": day,
    }))
}

fn widest_line(line: &Object, first: &str) -> Object {
    line.clone()
        .text("transaction_id", &widest(64, first))
        .raw("line_no", "100000")
        .text("store_id", &widest(64, ""))
        .text("region", &widest(128, ""))
        .text("product_id", &widest(64, ""))
        .text("product_name", &widest(512, ""))
        .text("customer_id", &widest(64, ""))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::Fate, *};

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap_or_default()
    }

    fn rows(delivery: Delivery) -> Vec<Row> {
        sales(1, day(), DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default(), delivery)
    }

    #[test]
    fn each_row_has_a_fate_and_repeats_have_the_same_bytes() {
        let rows = rows(Delivery::First);

        let (again, new): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.repeated);
        let known: HashSet<_> = new.iter().map(|row| &row.json).collect();
        assert_eq!(known.len(), new.len(), "every other row is different");
        assert!(again.len() == 4 && again.iter().all(|row| known.contains(&row.json)));
        let refused = new.iter().filter(|row| matches!(row.fate, Fate::Quarantined { .. })).count();
        assert_eq!((refused, new.len() - refused), (31, 50));
    }

    #[test]
    fn a_second_delivery_corrects_one_receipt_and_voids_another() {
        let first: HashSet<_> = rows(Delivery::First).into_iter().map(|row| row.json).collect();
        let second: HashSet<_> =
            rows(Delivery::Corrected).into_iter().map(|row| row.json).collect();

        let (gone, new): (Vec<_>, Vec<_>) =
            (first.difference(&second).collect(), second.difference(&first).collect());
        assert_eq!((gone.len(), new.len()), (2, 1));
        assert!(new[0].contains(r#""quantity":5"#));
    }

    #[test]
    fn rows_travel_digit_by_digit() {
        let rows = rows(Delivery::First);

        for json in [r#""quantity":2.0,"#, r#""quantity":3.00,"#, r#""unknown_member":1e400"#] {
            assert!(rows.iter().any(|row| row.json.contains(json)), "{json}");
        }
        assert!(rows.iter().any(|row| row.json.len() > OVERSIZED_BYTES));
    }
}
