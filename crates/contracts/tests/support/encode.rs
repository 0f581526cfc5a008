//! Writes decoded rows as JSON.

use serde_json::{Map, Value, json};
use shoplake_contracts::{Contract, Row, text};

/// Returns JSON that decodes to the row.
pub(crate) fn encode(
    contract: &Contract,
    children: &[&Contract],
    row: &Row<'_>,
    schema: &Value,
) -> Value {
    encode_object(contract, &row.values, schema, "", &|name| {
        let position = contract.children.iter().position(|child| child == name)?;
        Some((children[position], &row.children[position]))
    })
}

type Children<'r, 'a> =
    dyn Fn(&str) -> Option<(&'r Contract, &'r Vec<Vec<shoplake_contracts::Value<'a>>>)> + 'r;

fn encode_object<'r>(
    contract: &Contract,
    values: &[shoplake_contracts::Value<'_>],
    schema: &Value,
    prefix: &str,
    children: &Children<'r, '_>,
) -> Value {
    let mut fields = Map::new();
    for (name, property) in schema["properties"].as_object().expect("properties") {
        let column = format!("{prefix}{name}");
        if property["properties"].is_object() {
            let value = encode_object(contract, values, property, &format!("{column}_"), children);
            if value.as_object().is_some_and(|fields| !fields.is_empty()) {
                fields.insert(name.clone(), value);
            }
        } else if let Some(dataset) = property["x-child"]["dataset"].as_str() {
            let (child, rows) = children(dataset).expect("a child");
            if !rows.is_empty() {
                let items = rows
                    .iter()
                    .map(|values| encode_object(child, values, &property["items"], "", &|_| None));
                fields.insert(name.clone(), items.collect());
            }
        } else {
            let position = contract.position(&column).expect("a column");
            let scale = match contract.columns[position].column_type {
                shoplake_contracts::ColumnType::Decimal { scale, .. } => scale,
                _ => 0,
            };
            if let Some(value) = encode_value(&values[position], scale) {
                fields.insert(name.clone(), value);
            }
        }
    }
    Value::Object(fields)
}

fn encode_value(value: &shoplake_contracts::Value<'_>, scale: u8) -> Option<Value> {
    use shoplake_contracts::Value as Slot;
    Some(match value {
        Slot::Null => return None,
        Slot::Text(_) | Slot::Unescaped(_) => value.as_str().into(),
        Slot::Integer(number) => json!(number),
        Slot::Double(number) => json!(number),
        Slot::Boolean(flag) => json!(flag),
        Slot::Date(day) => text::Day(*day).to_string().into(),
        Slot::Timestamp(micros) => text::Timestamp(*micros).to_string().into(),
        Slot::Decimal(unscaled) => text::Decimal { unscaled: *unscaled, scale }.to_string().into(),
    })
}
