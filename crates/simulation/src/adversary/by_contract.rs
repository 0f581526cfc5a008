//! Events of datasets that have no generator of their own, made from their contracts.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shoplake_contracts::{Contract, Contracts, Delivery};

use super::{SHOPS, day};
use crate::event::Event;

/// Days of a dataset; each has [`ROWS`] rows of each shop.
const DAYS: u64 = 2;
const ROWS: u64 = 2;

/// Returns a few events of every dataset in `schemas` that can be sent and that `known` does not
/// name, so that a new dataset takes part in the tests without a generator. Texts keep the usual
/// patterns only: rows of a dataset with others end in quarantine, and it needs its own generator.
///
/// # Errors
/// When the schemas cannot be read.
pub(super) fn events(schemas: &Path, known: &BTreeSet<String>) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    for contract in Contracts::load(schemas)?.iter() {
        let is_sent = contract.delivery != Delivery::Internal && contract.parent.is_none();
        if !is_sent || known.contains(&contract.dataset) {
            continue;
        }
        let file = schemas.join(format!("{}.json", contract.dataset));
        let schema = std::fs::read(&file)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(serde_json::from_slice(&bytes)?))
            .with_context(|| format!("reading {}", file.display()))?;
        for shop in &SHOPS[..2] {
            events.extend((0..DAYS * ROWS).map(|number| event(contract, &schema, shop, number)));
        }
    }
    Ok(events)
}

/// Returns the `number`-th event of a shop.
fn event(contract: &Contract, schema: &Value, shop: &str, number: u64) -> Event {
    let day = day(number / ROWS);
    let minutes = TimeDelta::minutes((number % ROWS) as i64);
    let time = day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(9) + minutes;
    let mut event = Event::new(&contract.dataset, shop, object(schema, number, time));
    event.received_at = time + TimeDelta::hours(1);
    match contract.delivery {
        Delivery::Batch => event.in_batch(&day.to_string()),
        Delivery::Stream | Delivery::Internal => event,
    }
}

/// Returns an object with all properties of a schema but the shop.
fn object(schema: &Value, number: u64, time: DateTime<Utc>) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let fields = properties.filter(|(name, _)| *name != "shop_id");
    Value::Object(
        fields.map(|(name, field)| (name.clone(), value(name, field, number, time))).collect(),
    )
}

/// Returns a value of a property. Texts differ from row to row, as they may be part of the key.
fn value(name: &str, property: &Value, number: u64, time: DateTime<Utc>) -> Value {
    if let Some(values) = property["enum"].as_array() {
        return values[number as usize % values.len()].clone();
    }
    let types: Vec<_> = match &property["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = types.iter().copied().find(|kind| *kind != "null").unwrap_or_default();
    match (kind, property["format"].as_str()) {
        ("string", Some("date-time")) => json!(time),
        ("string", Some("date")) => json!(time.date_naive()),
        ("string", _) if property["x-type"].is_string() => json!("1.50"),
        ("string", _) => json!(text(name, property, number)),
        ("integer" | "number", _) => {
            let least = property["minimum"].as_i64().unwrap_or(0).max(0);
            let most = property["maximum"].as_i64().unwrap_or(i64::MAX);
            json!((least + 1 + (number % 3) as i64).min(most))
        }
        ("boolean", _) => json!(number.is_multiple_of(2)),
        ("object", _) => object(property, number, time),
        ("array", _) => json!([object(&property["items"], number, time)]),
        _ => Value::Null,
    }
}

/// Returns a text that keeps the lengths and the usual patterns: addresses, currencies, countries.
fn text(name: &str, property: &Value, number: u64) -> String {
    match property["pattern"].as_str() {
        Some(pattern) if pattern.starts_with("^https?://") => {
            format!("https://shop.example/{name}/{number}")
        }
        Some("^[A-Z]{3}$") => "EUR".to_owned(),
        Some("^[A-Z]{2}$") => "DE".to_owned(),
        _ => {
            let longest = property["maxLength"].as_u64().unwrap_or(64) as usize;
            format!("{number}-{name}").chars().take(longest).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use shoplake_models::Models;

    use super::*;
    use crate::Lake;

    #[test]
    fn an_integer_is_within_its_bounds() {
        let integer = |minimum: i64, maximum: i64| {
            let property = json!({"type": "integer", "minimum": minimum, "maximum": maximum});
            [0, 1, 2].map(|number| value("n", &property, number, DateTime::UNIX_EPOCH))
        };
        assert_eq!(integer(0, 1), [1, 1, 1].map(Value::from));
        assert_eq!(integer(1, 5), [2, 3, 4].map(Value::from));
        assert_eq!(integer(-9, 9), [1, 2, 3].map(Value::from));
    }

    #[test]
    fn an_array_has_an_item() {
        let sku = json!({"type": "string", "maxLength": 9});
        let items = json!({"type": "object", "properties": {"sku": sku}});
        let property = json!({"type": "array", "items": items});
        let lines = value("lines", &property, 0, DateTime::UNIX_EPOCH);
        assert_eq!(lines, json!([{"sku": "0-sku"}]));
    }

    #[tokio::test]
    async fn the_contract_of_a_new_dataset_accepts_its_events() -> anyhow::Result<()> {
        let example = shoplake_testing::repository().join("tests/e2e/new_dataset");
        let contracts = Contracts::load(&example.join("schemas"))?;
        let models = Models::load(&example.join("glue-sql"), &contracts)?;

        let events = events(&example.join("schemas"), &BTreeSet::new())?;
        let lake = Lake::new(contracts, models);
        lake.deliver(&events, "events").await?;
        lake.settle().await?;

        assert_eq!(events.len() as u64, 2 * DAYS * ROWS);
        assert_eq!(lake.quarantined().await?.len(), 0);
        assert_eq!(lake.ended().len() as u64, DAYS);
        Ok(())
    }
}
