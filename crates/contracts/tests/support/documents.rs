//! Generates documents that nearly fulfil a schema, from the schema itself.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A schema with every keyword, nesting, null and an array of objects.
pub(crate) const SYNTHETIC: &str = include_str!("synthetic.json");

/// Returns the schemas of a folder and the synthetic one, each with the name of its dataset.
pub(crate) fn schemas(folder: &Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut schemas: Vec<_> = files
        .map(|path| {
            let dataset = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (dataset, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    schemas.push(("synthetic".to_owned(), SYNTHETIC.to_owned()));
    schemas
}

/// Values that a careless sender might put anywhere.
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

/// When the documents are received: their good times are within the window of accepted times.
pub(crate) const RECEIVED_AT: &str = "2026-10-01T12:00:00Z";

fn good_time() -> impl Strategy<Value = Value> {
    concat!(
        "2026-0[1-9]-[0-2][1-8][Tt][01][0-9]:[0-5][0-9]:[0-5][0-9]",
        "(\\.[0-9]{1,9})?(Z|z|[+-][01][0-9]:[0-5][0-9])"
    )
    .prop_map(Value::from)
}

/// Times near the ends of the window, and anywhere in the century.
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

/// A value that fulfils `schema` in most cases.
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
        2 => proptest::sample::select(vec![
            minimum,
            maximum,
            minimum.saturating_sub(1),
            maximum.saturating_add(1),
        ])
        .prop_map(Value::from),
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
                // Characters of four bytes: exactly the maximum, and one more.
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
    // A field that is not in the contract.
    let unknown =
        proptest::option::weighted(0.3, junk().prop_map(|value| ("zz_unknown".to_owned(), value)));
    (fields, unknown)
        .prop_map(|(fields, unknown)| {
            Value::Object(fields.into_iter().chain([unknown]).flatten().collect::<Map<_, _>>())
        })
        .boxed()
}

/// Returns a line of a receipt with these JSON texts as values.
pub(crate) fn sale(quantity: &str, product: &str, price: &str, more: &str) -> String {
    format!(
        concat!(
            r#"{{"transaction_id":"t","line_no":1,"store_id":"s","region":"r","#,
            r#""product_id":{product},"quantity":{quantity},"unit_price":{price},"#,
            r#""discount":"0","currency":"EUR","#,
            r#""sold_at":"2026-11-20T10:00:00Z","business_date":"2026-11-20"{more}}}"#,
        ),
        quantity = quantity,
        product = product,
        price = price,
        more = more,
    )
}
