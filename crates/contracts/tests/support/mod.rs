//! Documents that are nearly what a schema asks for, made from the schema itself.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use shoplake_contracts::{Contract, Row, text};

/// Every keyword, nesting, null and an array of objects.
pub(crate) const SYNTHETIC: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Synthetic",
    "description": "Every keyword that a contract may use.",
    "type": "object",
    "x-dataset": {"source": ["a", "b"], "delivery": "stream", "key": ["shop_id", "id"], "version": "changed_at", "event_time": "changed_at",
                  "partition": "bucket(id, 16)", "sort": ["shop_id", "id"], "personal": ["note"],
                  "accepts": {"past": "P400D", "future": "P1D"}},
    "required": ["id", "changed_at", "count", "place"],
    "properties": {
        "shop_id": {"type": "string"},
        "id": {"type": "string", "minLength": 2, "maxLength": 4, "examples": ["ab"]},
        "changed_at": {"type": "string", "format": "date-time"},
        "day": {"type": ["string", "null"], "format": "date", "maxLength": 10},
        "count": {"type": "integer", "minimum": -3, "maximum": 7, "not": {"enum": [0, 5]}},
        "open": {"type": ["integer", "null"], "exclusiveMinimum": 1, "exclusiveMaximum": 9, "minimum": 0, "maximum": 20},
        "huge": {"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807},
        "level": {"type": "integer", "enum": [1, 2, 3], "minimum": 1, "maximum": 3},
        "ratio": {"type": ["null", "number"], "minimum": -1.5, "exclusiveMaximum": 2},
        "above": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9},
        "flag": {"type": "boolean"},
        "consent": {"type": "boolean", "const": true},
        "fixed": {"type": "string", "const": "x"},
        "kind": {"type": ["string", "null"], "enum": ["one", "two", null]},
        "never_null": {"type": ["string", "null"], "enum": ["one", "two"]},
        "other": {"type": "string", "not": {"const": "y"}},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
        "any": {"type": "string", "x-type": "decimal(6,2)", "pattern": "^-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?$"},
        "not_negative": {"type": "string", "x-type": "decimal(6,2)", "pattern": "^(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?$"},
        "positive": {"type": ["string", "null"], "x-type": "decimal(6,2)", "pattern": "^([1-9][0-9]{0,3}(\\.[0-9]{1,2})?|0\\.([1-9][0-9]{0,1}|0[1-9]))$"},
        "whole": {"type": "string", "x-type": "decimal(5,0)", "pattern": "^[1-9][0-9]{0,4}$"},
        "note": {"type": ["string", "null"], "title": "A note", "x-anything": [1, 2]},
        "place": {
            "type": "object",
            "required": ["city"],
            "properties": {
                "city": {"type": "string"},
                "position": {"type": ["object", "null"], "required": ["latitude"], "properties": {"latitude": {"type": "number"}, "longitude": {"type": "number"}}}
            }
        },
        "lines": {
            "type": ["array", "null"], "minItems": 1, "maxItems": 3,
            "x-child": {"dataset": "synthetic_lines", "ordinal": "line_no"},
            "items": {
                "type": "object", "required": ["sku"],
                "properties": {
                    "sku": {"type": "string"},
                    "price": {"type": "string", "x-type": "decimal(18,4)", "pattern": "^-?(0|[1-9][0-9]{0,13})(\\.[0-9]{1,4})?$"},
                    "tax": {"type": "object", "properties": {"rate": {"type": "number"}}}
                }
            }
        }
    }
}"#;

/// What a careless sender might put anywhere.
fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        proptest::sample::select(vec![
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(1),
            json!(-1),
            json!(1.0),
            json!(1.5),
            json!(-0.0),
            json!(1e300),
            json!(9_223_372_036_854_775_807_i64),
            json!(9_223_372_036_854_775_808_u64),
            json!(-9_223_372_036_854_775_808_i64),
            json!(9_223_372_036_854_775_808.0),
            json!(""),
            json!("x"),
            json!("ééé"),
            json!("\0"),
            json!("a\u{FFFF}"),
            json!("\u{FDD0}\u{1FFFE}"),
            json!("\u{1F600}\u{10FFFD}"),
            json!("\u{FEFF}x"),
            json!("4006381333931"),
            json!("0"),
            json!("-0"),
            json!("0.00"),
            json!("12.50"),
            json!("2026-02-29"),
            json!("2026-11-21"),
            json!("2026-11-21T10:00:00Z"),
            json!("2000-01-01T00:00:00Z"),
            json!("2099-12-31T23:59:59Z"),
            json!("0000-01-01T00:00:00+23:59"),
            json!("2016-12-31T23:59:60Z"),
            json!([]),
            json!({}),
            json!([null]),
            json!([{}]),
            json!({"a": {"b": [1]}}),
        ]),
        "\\PC{0,6}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ]
}

fn time() -> impl Strategy<Value = Value> {
    let zone =
        prop_oneof![Just("Z"), Just("z"), Just("+01:00"), Just("-23:59"), Just("+24:00"), Just("")];
    ("20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,9})?", zone)
        .prop_map(|(time, zone)| format!("{time}{zone}").into())
}

/// When the documents are received: their good times are in the window of accepted times by then.
pub(crate) const RECEIVED_AT: &str = "2026-10-01T12:00:00Z";

fn good_time() -> impl Strategy<Value = Value> {
    "2026-0[1-9]-[0-2][1-8][Tt][01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|z|[+-][01][0-9]:[0-5][0-9])"
        .prop_map(Value::from)
}

/// Around the ends of the window, and anywhere in the century.
fn odd_time() -> impl Strategy<Value = Value> {
    let near_the_ends = proptest::sample::select(vec![
        "2025-08-27T12:00:00Z",
        "2025-08-27T11:59:59.999999Z",
        "2025-08-27T23:59:59.999999+12:00",
        "2026-10-02T12:00:00Z",
        "2026-10-02T12:00:00.000001Z",
        "2026-10-02T23:30:00+12:00",
    ]);
    prop_oneof![
        near_the_ends.prop_map(Value::from),
        "20[0-9]{2}-(0[1-9]|1[0-2])-[0-2][1-8]T[01][0-9]:00:00Z".prop_map(Value::from),
        time(),
    ]
}

fn odd_date() -> impl Strategy<Value = Value> {
    let near_the_ends = vec![
        "2025-08-25",
        "2025-08-26",
        "2025-08-27",
        "2025-08-28",
        "2026-10-02",
        "2026-10-03",
        "2026-10-04",
    ];
    prop_oneof![
        proptest::sample::select(near_the_ends).prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}".prop_map(Value::from),
    ]
}

fn mostly(good: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![60 => good, 1 => junk()].boxed()
}

/// A value that is mostly what `schema` asks for.
pub(crate) fn near(schema: &Value) -> BoxedStrategy<Value> {
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    let kind = *types.iter().find(|name| **name != "null").expect("a type");
    let good = match (kind, schema.get("enum").or(schema.get("const"))) {
        (_, Some(Value::Array(values))) => proptest::sample::select(values.clone()).boxed(),
        (_, Some(value)) => Just(value.clone()).boxed(),
        ("object", _) => object(schema),
        ("array", _) => {
            let most = schema["maxItems"].as_u64().unwrap_or(4) as usize;
            prop_oneof![
                30 => proptest::collection::vec(near(&schema["items"]), 1..=most),
                1 => proptest::collection::vec(near(&schema["items"]), 0..=most + 1),
            ]
            .prop_map(Value::from)
            .boxed()
        }
        ("integer", _) => integer(schema),
        ("number", _) => {
            prop_oneof![(0.001..1.9_f64).prop_map(Value::from), Just(json!(1))].boxed()
        }
        ("boolean", _) => any::<bool>().prop_map(Value::from).boxed(),
        _ => text_value(schema),
    };
    let good = mostly(good);
    if types.contains(&"null") {
        prop_oneof![6 => good, 1 => Just(Value::Null)].boxed()
    } else {
        good
    }
}

fn integer(schema: &Value) -> BoxedStrategy<Value> {
    let minimum = schema["minimum"]
        .as_i64()
        .unwrap_or(i64::MIN)
        .max(schema["exclusiveMinimum"].as_i64().map_or(i64::MIN, |value| value + 1));
    let maximum = schema["maximum"]
        .as_i64()
        .unwrap_or(i64::MAX)
        .min(schema["exclusiveMaximum"].as_i64().map_or(i64::MAX, |value| value - 1));
    prop_oneof![
        20 => (minimum..=maximum).prop_map(Value::from),
        2 => proptest::sample::select(vec![minimum, maximum, minimum.saturating_sub(1), maximum.saturating_add(1)]).prop_map(Value::from),
        1 => (minimum..=maximum).prop_map(|value| Value::from(value as f64)),
    ]
    .boxed()
}

/// The largest amounts that a decimal holds, of both signs, and the next larger ones.
fn largest_amounts(schema: &Value) -> Option<Vec<String>> {
    let digits = schema["x-type"].as_str()?.strip_prefix("decimal(")?.strip_suffix(')')?;
    let (precision, scale) = digits.split_once(',')?;
    let (precision, scale): (usize, usize) = (precision.parse().ok()?, scale.parse().ok()?);
    let (whole, point) = ("9".repeat(precision - scale), if scale == 0 { "" } else { "." });
    let largest = format!("{whole}{point}{}", "9".repeat(scale));
    let larger = format!("1{}", "0".repeat(precision - scale));
    Some(vec![format!("-{largest}"), format!("-{larger}"), largest, larger])
}

fn text_value(schema: &Value) -> BoxedStrategy<Value> {
    let most = schema["maxLength"].as_u64().unwrap_or(8).min(12);
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("date-time"), _) => prop_oneof![40 => good_time(), 2 => odd_time()].boxed(),
        (Some(_), _) => {
            prop_oneof![40 => "2026-0[1-9]-[0-2][1-8]".prop_map(Value::from), 2 => odd_date()]
                .boxed()
        }
        (None, Some(pattern)) => {
            let body = pattern.trim_start_matches('^').trim_end_matches('$');
            let text =
                proptest::string::string_regex(body).expect("a pattern").prop_map(Value::from);
            match largest_amounts(schema) {
                Some(amounts) => prop_oneof![
                    10 => text,
                    1 => proptest::sample::select(amounts).prop_map(Value::from),
                ]
                .boxed(),
                None => text.boxed(),
            }
        }
        (None, None) => {
            let text = |characters: &str| {
                proptest::string::string_regex(&format!("[{characters}]{{2,{}}}", most.max(2)))
                    .expect("a pattern")
                    .prop_map(Value::from)
            };
            let longest = schema["maxLength"].as_u64().unwrap_or(8);
            let of_size = move |size: u64| Value::from("\u{1F600}".repeat(size as usize));
            prop_oneof![
                60 => text("a-zé\"\\\\\n\u{1F600}"),
                // Of four bytes each: exactly as many as there may be, and one more.
                1 => Just(of_size(longest)),
                1 => Just(of_size(longest + 1)),
                1 => text("a\0\u{FFFE}\u{FFFD}"),
            ]
            .boxed()
        }
    }
}

fn object(schema: &Value) -> BoxedStrategy<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().expect("properties");
    let fields: Vec<BoxedStrategy<Option<(String, Value)>>> = properties
        .iter()
        .map(|(name, property)| {
            let present = if required.contains(&name.as_str()) { 0.995 } else { 0.7 };
            let name = name.clone();
            proptest::option::weighted(
                present,
                near(property).prop_map(move |value| (name.clone(), value)),
            )
            .boxed()
        })
        .collect();
    // A field that no contract knows.
    let unknown =
        proptest::option::weighted(0.3, junk().prop_map(|value| ("zz_unknown".to_owned(), value)));
    (fields, unknown)
        .prop_map(|(fields, unknown)| {
            Value::Object(fields.into_iter().chain([unknown]).flatten().collect::<Map<_, _>>())
        })
        .boxed()
}

/// A row as the JSON that it was, or could have been, decoded from.
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

/// Whether the data keeps the rules that no JSON Schema has: texts that the warehouse can store,
/// and times in the window. Written from the rules, without the contracts' code, for data that a
/// validator accepts.
pub(crate) fn keeps_further_rules(schema: &Value, data: &Value) -> bool {
    let declared = &schema["x-dataset"];
    let partition = declared["partition"].as_str().unwrap_or_default();
    let has_window = !declared["accepts"].is_null()
        || (declared["delivery"] != "internal" && !partition.starts_with("bucket"));
    let column = partition.trim_end_matches(')').rsplit('(').next().unwrap_or_default();
    let is_in_window = |field: &str| {
        let text = data[field].as_str().unwrap_or_default();
        let received_at = RECEIVED_AT.parse::<DateTime<Utc>>().expect("a time");
        if schema["properties"][field]["format"] == "date" {
            // 400 days and half a day back, one day and 14 hours ahead.
            ("2025-08-27"..="2026-10-03").contains(&text)
        } else if schema["properties"][field]["format"] == "date-time" {
            // The decoder cuts off what comes after the microseconds, and a leap second.
            let time =
                DateTime::parse_from_rfc3339(&text.replace(":60", ":59")).expect("a time").to_utc();
            let micros = time.timestamp_micros() - received_at.timestamp_micros();
            (-400 * 86_400_000_000..=86_400_000_000).contains(&micros)
        } else {
            true
        }
    };
    let times = [declared["event_time"].as_str().unwrap_or_default(), column];
    has_storable_texts(schema, data) && (!has_window || times.into_iter().all(is_in_window))
}

fn has_storable_texts(schema: &Value, data: &Value) -> bool {
    match data {
        Value::String(text) => text.chars().all(|character| {
            let code = character as u32;
            code != 0 && !(0xFDD0..0xFDF0).contains(&code) && code % 0x1_0000 < 0xFFFE
        }),
        Value::Array(items) => items.iter().all(|item| has_storable_texts(&schema["items"], item)),
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let property = &schema["properties"][name];
            property.is_null() || has_storable_texts(property, value)
        }),
        _ => true,
    }
}
