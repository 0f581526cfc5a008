//! The few fields of a sales line that the connector reads.

use serde::Deserialize;
use serde_json::value::RawValue;
use shoplake_connector::{Facts, read};

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    transaction_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    line_no: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quantity: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sold_at: Option<&'a RawValue>,
}

/// Reads what is readable: `transaction_id` and `line_no` make the key, `quantity` is summed, `sold_at` is the time.
#[must_use]
pub fn describe(row: &RawValue) -> Facts {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(row.get()) else { return Facts::default() };
    let line = read::parse::<u32>(fields.line_no);
    Facts {
        key: read::id(fields.transaction_id).zip(line).map(|(receipt, line)| format!("{receipt}/{line}")),
        quantity: read::parse(fields.quantity),
        occurred_at: read::moment(fields.sold_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(row: &str) -> Facts {
        describe(&RawValue::from_string(row.to_owned()).unwrap())
    }

    #[test]
    fn given_a_sale_then_its_receipt_and_line_are_the_key() {
        let row = r#"{"transaction_id":"536\u0033","line_no":2,"quantity":-6,"sold_at":"2010-12-01T08:26:00Z","region":"x"}"#;

        let expected = Facts {
            key: Some("5363/2".to_owned()),
            quantity: Some(-6),
            occurred_at: Some("2010-12-01T08:26:00Z".to_owned()),
        };
        assert_eq!(facts(row), expected);
    }

    #[test]
    fn given_a_spoilt_field_then_the_others_are_still_read() {
        let row = r#"{"transaction_id":"1","line_no":1,"quantity":"six","sold_at":"yesterday"}"#;
        assert_eq!(facts(row), Facts { key: Some("1/1".to_owned()), ..Facts::default() });

        let row = r#"{"transaction_id":{},"line_no":"1","quantity":6}"#;
        assert_eq!(facts(row), Facts { quantity: Some(6), ..Facts::default() });
    }

    #[test]
    fn given_no_usable_key_then_none() {
        for row in [
            "{}",
            "null",
            "[1]",
            "17",
            r#""text""#,
            r#"{"transaction_id":"1"}"#,
            r#"{"transaction_id":"","line_no":1}"#,
            r#"{"transaction_id":null,"line_no":1}"#,
            r#"{"transaction_id":"1","line_no":1.5}"#,
            r#"{"transaction_id":"1","line_no":-1}"#,
        ] {
            assert_eq!(facts(row).key, None, "{row}");
        }
    }
}
