//! The catalog against the lake: what the functions themselves write is what the tables say, object
//! by object.
//!
//! Athena finds an object by the folders that a table projects, and reads a column by its name and
//! type. Both are looked at here as Athena does: in the key, and in the Parquet file's own schema.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use arrow::util::display::array_value_to_string;
use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::Type;
use serde_json::{Value, json};
use shoplake_catalog::{Catalog, Format, Table, catalog};
use shoplake_contracts::Delivery;
use shoplake_engine::Gold;
use shoplake_lake::{Store, keys};
use shoplake_simulation::{Event, Lake, adversary};
use shoplake_testing::repository;

/// A lake with objects of every dataset and model, and lines in quarantine from a stream and from
/// bronze.
async fn lake() -> Lake {
    let lake = Lake::of_repository().unwrap();
    let schemas = repository().join("crates/contracts/schemas");
    let mut events = adversary::events_by_contract(&schemas).unwrap();
    events.extend(adversary::events(7).into_iter().take(150));
    events.push(Event::new("web_traffic", "acme", json!({"event_id": "no more than that"})));
    events.push(Event::new("pos_sales", "acme", json!({"line_no": "one"})).in_batch("2028-02-01"));
    events.extend(events_of_two_days());
    lake.deliver(&events, "events").await.unwrap();
    lake.deliver_lines(&["no JSON at all"], "noise").await.unwrap();
    lake.settle().await.unwrap();
    lake
}

/// An interaction and a web event, each of two days: one of them does not count.
fn events_of_two_days() -> impl Iterator<Item = Event> {
    ["2028-02-01T23:50:00Z", "2028-02-02T00:10:00Z"].into_iter().flat_map(|at| {
        let interaction = json!({
            "interaction_id": "corrected", "customer_id": "c", "channel": "email",
            "interaction_type": "inquiry", "occurred_at": at,
        });
        let view = json!({
            "event_id": "copied", "session_id": "s", "visitor_id": "v", "event_type": "page_view",
            "occurred_at": at, "page_url": "https://shop.example/",
        });
        [("crm_interactions", interaction), ("web_traffic", view)]
            .map(|(dataset, data)| Event::new(dataset, "acme", data))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_the_lake_is_in_a_table_that_has_its_columns() {
    let lake = lake().await;
    let catalog = catalog(lake.contracts(), lake.models()).await.unwrap();
    let mut seen = BTreeSet::new();
    for key in lake.objects().keys() {
        // What the functions keep for themselves has no table.
        if [keys::JOBS, keys::ALERTS, "state/"].iter().any(|own| key.starts_with(own)) {
            continue;
        }
        let (table, values) =
            catalog.table_of(&key).unwrap_or_else(|| panic!("no table projects {key}"));
        seen.insert(table.location.clone());
        let bytes = lake.objects().get(&key).await.unwrap().unwrap().bytes;
        match table.format {
            Format::Json => {
                let text =
                    std::io::read_to_string(flate2::read::MultiGzDecoder::new(&bytes[..])).unwrap();
                for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok())
                {
                    for (name, value) in line.as_object().unwrap() {
                        fits(value, type_of(table, name, &key), &format!("{name} of {key}"));
                    }
                }
            }
            Format::Parquet => {
                let reader = SerializedFileReader::new(bytes.clone()).unwrap();
                let mut stored: BTreeMap<String, String> = reader
                    .metadata()
                    .file_metadata()
                    .schema()
                    .get_fields()
                    .iter()
                    .map(|field| (field.name().to_owned(), hive_type(field)))
                    .collect();
                if key.starts_with("gold/") {
                    // The partition column is in the object as well: in every row what the folder
                    // says. Of an hour, only the folder has the text.
                    let rows = Gold::decode(bytes).unwrap().rows;
                    for (name, value) in &values {
                        let declared = table.partition_keys.iter().find(|key| key.name == *name);
                        let key_type = declared.unwrap().key_type;
                        let Some(column) = rows.column_by_name(name) else {
                            assert_eq!(key_type, "string", "{key}");
                            continue;
                        };
                        assert_eq!(stored.remove(*name).as_deref(), Some(key_type), "{key}");
                        let value =
                            value.parse::<u32>().map_or(value.clone(), |bucket| bucket.to_string());
                        for row in 0..rows.num_rows() {
                            assert_eq!(
                                array_value_to_string(column, row).unwrap(),
                                value,
                                "row {row} of {key}"
                            );
                        }
                    }
                }
                let declared: BTreeMap<_, _> = table
                    .columns
                    .iter()
                    .map(|column| (column.name.clone(), column.column_type.clone()))
                    .collect();
                assert_eq!(stored, declared, "{key}");
            }
        }
    }
    let missing: Vec<_> =
        locations(&catalog).into_iter().filter(|location| !seen.contains(location)).collect();
    // Streaming sources reach conform by Kinesis; the simulation has no Firehose for them.
    let streams = lake.contracts().iter().filter(|contract| contract.delivery == Delivery::Stream);
    let sources: BTreeSet<_> = streams.flat_map(|contract| &contract.sources).collect();
    let by_kinesis: Vec<_> = sources.iter().map(|source| format!("bronze/{source}/")).collect();
    assert_eq!(missing, by_kinesis, "locations of tables without any object");
}

fn locations(catalog: &Catalog) -> BTreeSet<String> {
    catalog
        .databases
        .values()
        .flat_map(BTreeMap::values)
        .map(|table| table.location.clone())
        .collect()
}

fn type_of<'a>(table: &'a Table, name: &str, key: &str) -> &'a str {
    let column = table.columns.iter().find(|column| column.name == name);
    &column.unwrap_or_else(|| panic!("the table of {key} has no column {name:?}")).column_type
}

/// What a column of a Parquet file is in Hive's words, from what the file itself says.
fn hive_type(field: &Type) -> String {
    let Type::PrimitiveType { basic_info, physical_type, .. } = field else {
        panic!("{} is nested", field.name())
    };
    match (physical_type, basic_info.logical_type_ref()) {
        (Physical::BYTE_ARRAY, Some(LogicalType::String)) => "string".to_owned(),
        (Physical::INT64, None) => "bigint".to_owned(),
        (Physical::DOUBLE, None) => "double".to_owned(),
        (Physical::BOOLEAN, None) => "boolean".to_owned(),
        (Physical::INT32, Some(LogicalType::Date)) => "date".to_owned(),
        (Physical::INT64, Some(LogicalType::Timestamp(time)))
            if time.is_adjusted_to_u_t_c && time.unit == TimeUnit::MICROS =>
        {
            "timestamp".to_owned()
        }
        (
            Physical::INT32 | Physical::INT64 | Physical::FIXED_LEN_BYTE_ARRAY,
            Some(LogicalType::Decimal(number)),
        ) => format!("decimal({},{})", number.precision, number.scale),
        other => panic!("Athena would not read {} as {other:?}", field.name()),
    }
}

/// Whether a JSON value can be read as the Hive type: every field of an object has its place in the
/// struct.
fn fits(value: &Value, hive: &str, what: &str) {
    match value {
        Value::Null => {}
        // The serializer gives what is nested as its text where a string is declared.
        Value::String(_) | Value::Object(_) | Value::Array(_) if hive == "string" => {}
        Value::Number(number) => {
            assert!(hive == "bigint" && number.is_i64(), "{what}: {number} as {hive}")
        }
        Value::Array(items) => {
            let inner = hive.strip_prefix("array<").and_then(|rest| rest.strip_suffix('>'));
            let inner = inner.unwrap_or_else(|| panic!("{what}: a list as {hive}"));
            items.iter().for_each(|item| fits(item, inner, what));
        }
        Value::Object(fields) => {
            let inner = hive.strip_prefix("struct<").and_then(|rest| rest.strip_suffix('>'));
            let known = members(inner.unwrap_or_else(|| panic!("{what}: an object as {hive}")));
            for (name, value) in fields {
                let hive = known
                    .get(name.as_str())
                    .unwrap_or_else(|| panic!("{what}: {name:?} is not in {hive}"));
                fits(value, hive, &format!("{what}.{name}"));
            }
        }
        other => panic!("{what}: {other} as {hive}"),
    }
}

/// `a:string,b:array<struct<c:bigint>>` as names and types.
fn members(text: &str) -> BTreeMap<&str, &str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (place, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().filter_map(|part| part.split_once(':')).collect()
}
