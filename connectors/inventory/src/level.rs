//! The few fields of a stock level that the connector reads.

use serde::Deserialize;
use serde_json::value::RawValue;
use shoplake_connector::{Facts, read};

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    location_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    product_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    on_hand: Option<&'a RawValue>,
    #[serde(borrow, default)]
    snapshot_at: Option<&'a RawValue>,
}

/// Reads what is readable: `location_id` and `product_id` make the key, `on_hand` is summed, `snapshot_at` is the time.
#[must_use]
pub fn describe(row: &RawValue) -> Facts {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(row.get()) else { return Facts::default() };
    let product = read::id(fields.product_id);
    Facts {
        key: read::id(fields.location_id).zip(product).map(|(location, product)| key(&location, &product)),
        quantity: read::parse(fields.on_hand),
        occurred_at: read::moment(fields.snapshot_at),
    }
}

/// A slash within the location is written otherwise, or "a/b" and "c" would have the key of "a" and "b/c".
fn key(location: &str, product: &str) -> String {
    format!("{}/{product}", location.replace('%', "%25").replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(row: &str) -> Facts {
        describe(&RawValue::from_string(row.to_owned()).unwrap())
    }

    #[test]
    fn given_a_level_then_its_place_and_product_are_the_key_and_its_units_are_summed() {
        let row = r#"{"location_id":"ldn-01","product_id":"p017","snapshot_at":"2026-11-21T10:00:00Z","on_hand":-2}"#;

        let expected = Facts {
            key: Some("ldn-01/p017".to_owned()),
            quantity: Some(-2),
            occurred_at: Some("2026-11-21T10:00:00Z".to_owned()),
        };
        assert_eq!(facts(row), expected);
    }

    #[test]
    fn given_slashes_then_different_levels_keep_different_keys() {
        let keys = [("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")].map(|(location, product)| {
            facts(&format!(r#"{{"location_id":"{location}","product_id":"{product}"}}"#)).key.unwrap()
        });

        assert_eq!(keys, ["a%2Fb/c", "a/b/c", "a%252Fb/c"]);
    }

    #[test]
    fn given_a_spoilt_field_then_the_others_are_still_read() {
        let row = r#"{"location_id":"ldn-01","product_id":null,"on_hand":12,"snapshot_at":"25 o'clock"}"#;

        assert_eq!(facts(row), Facts { quantity: Some(12), ..Facts::default() });
        assert_eq!(facts("[]"), Facts::default());
    }
}
