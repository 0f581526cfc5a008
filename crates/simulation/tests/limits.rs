//! Whatever a contract takes, every model computes and the warehouse can hold: rows at the limits
//! of their contracts, alone and many of them in a group.
//!
//! `PROPTEST_CASES=200 cargo test --workspace --test limits` tries more than
//! a few cases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use chrono::Duration;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shoplake_jobs::LoadRequest;
use shoplake_simulation::{Event, Lake, Row};
use shoplake_warehouse::MartColumn;

/// The greatest amount of every contract.
const MOST: &str = "99999999999999.9999";

/// Checks of what a shop sends, besides control totals. All others hold for any input.
const OF_DATA: [&str; 3] =
    ["activities_have_a_weight", "resolved_tickets_were_opened", "sold_products_are_in_inventory"];

/// Returns whether valid input may fail the check.
fn is_of_data(check: &str) -> bool {
    check.starts_with("control_totals_") || OF_DATA.contains(&check)
}

/// Two days in a row, and one a month before them.
const DAYS: [&str; 3] = ["2026-02-01", "2026-03-01", "2026-03-02"];

/// An id of as many characters, and of as many bytes, as a contract allows; or one of one
/// character.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), long(64)]
}

fn long(characters: usize) -> impl Strategy<Value = String> {
    select(vec!["😀", "\u{10fffd}"]).prop_map(move |character| character.repeat(characters))
}

fn optional_text(characters: usize) -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), long(characters).prop_map(Value::from)]
}

fn money() -> impl Strategy<Value = &'static str> {
    select(vec![MOST, MOST, "4006381333931", "0.0001", "1"])
}

fn at() -> impl Strategy<Value = String> {
    let time = select(vec!["00:00:00", "00:00:00.000001", "12:00:00", "23:59:59.999999"]);
    (select(DAYS.to_vec()), time).prop_map(|(day, time)| format!("{day}T{time}Z"))
}

/// When the pipeline takes the event: at once, or at the edges of its contract's window.
fn taken(event: impl Strategy<Value = Event>) -> impl Strategy<Value = Event> {
    let wait = select(vec![Duration::zero(), Duration::days(400), Duration::days(-1)]);
    (event, wait, any::<bool>()).prop_map(|(mut event, wait, is_same)| {
        event.received_at += wait;
        event.id = is_same.then(|| "same".to_owned());
        event
    })
}

fn shop() -> impl Strategy<Value = &'static str> {
    select(vec!["acme", "other"])
}

fn sale() -> impl Strategy<Value = Event> {
    let quantity =
        select(vec![json!(1_000_000), json!(-1_000_000), json!(1), json!(2.0), json!(-1e6)]);
    let discount = select(vec![MOST, "-99999999999999.9999", "0", "-0.0001"]);
    let cost = prop::option::of(prop_oneof![money(), Just("0")]);
    let line = (shop(), select(DAYS.to_vec()), id(), 1..4_u32, id(), prop::option::of(id()));
    let currency = select(vec!["EUR", "XXX"]);
    (line, quantity, money(), discount, cost, currency, optional_text(512)).prop_map(
        |(
            (shop, day, receipt, line, product, customer),
            quantity,
            price,
            discount,
            cost,
            currency,
            name,
        )| {
            let data = json!({
                // A receipt belongs to one day.
                "transaction_id": format!("{day}{}", receipt.chars().skip(10).collect::<String>()),
                "line_no": line,
                "store_id": product,
                "region": product.repeat(2).chars().take(128).collect::<String>(),
                "product_id": product, "product_name": name, "quantity": quantity,
                "unit_price": price,
                "discount": discount, "unit_cost": cost, "currency": currency,
                "customer_id": customer,
                "sold_at": format!("{day}T23:59:59.999999Z"), "business_date": day,
            });
            Event::new("pos_sales", shop, data).in_batch(day)
        },
    )
}

fn level() -> impl Strategy<Value = Event> {
    const MANY: i64 = 1_000_000_000;
    let units = (select(vec![MANY, -MANY, 0, 1]), select(vec![MANY, 0]), select(vec![MANY, 0]));
    let restock = (select(vec![MANY, 0, 1]), prop::option::of(at()));
    let cost = prop_oneof![money(), Just("0")];
    (shop(), at(), id(), id(), units, restock, cost, select(vec!["EUR", "XXX"])).prop_map(
        |(
            shop,
            at,
            location,
            product,
            (on_hand, reserved, low),
            (restocked, last),
            cost,
            currency,
        )| {
            let data = json!({
                "location_id": location, "product_id": product, "snapshot_at": at,
                "on_hand": on_hand,
                "reserved": reserved, "reorder_point": low, "unit_cost": cost, "currency": currency,
                "restocked_quantity": restocked, "last_restocked_at": last,
            });
            Event::new("inventory_levels", shop, data)
        },
    )
}

fn web() -> impl Strategy<Value = Event> {
    let kind = select(vec!["page_view", "product_view", "purchase", "remove_from_cart"]);
    let people = (id(), id(), prop::option::of(id()));
    (shop(), id(), people, kind, at(), optional_text(512)).prop_map(
        |(shop, event, (session, visitor, customer), kind, at, title)| {
            let data = json!({
                "event_id": event, "session_id": session, "visitor_id": visitor,
                "customer_id": customer,
                "event_type": kind, "occurred_at": at, "page_url": "https://shop.example/",
                "page_title": title,
                "quantity": 1_000_000, "order_value": MOST, "currency": "EUR",
                "duration_ms": 86_400_000,
            });
            Event::new("web_traffic", shop, data)
        },
    )
}

fn crm() -> impl Strategy<Value = Event> {
    let kind = select(vec!["inquiry", "complaint", "loyalty_redeem"]);
    let status = select(vec![None, Some("opened"), Some("pending"), Some("resolved")]);
    let ticket = (prop::option::of(id()), status);
    (shop(), id(), id(), kind, ticket, prop::option::of(1..6), at(), optional_text(8192)).prop_map(
        |(shop, interaction, customer, kind, (ticket, status), rating, at, comment)| {
            let data = json!({
                "interaction_id": interaction, "customer_id": customer, "channel": "in_store",
                "interaction_type": kind, "ticket_id": ticket, "ticket_status": status,
                "rating": rating,
                "comment": comment, "loyalty_points": -1_000_000_000, "duration_ms": 86_400_000,
                "occurred_at": at,
            });
            Event::new("crm_interactions", shop, data)
        },
    )
}

fn newsletter() -> impl Strategy<Value = Event> {
    let kind = select(vec!["subscribe", "unsubscribe", "open"]);
    (shop(), id(), id(), kind, at(), optional_text(256)).prop_map(
        |(shop, event, customer, kind, at, campaign)| {
            let data = json!({
                "event_id": event, "customer_id": customer, "event_type": kind,
                "occurred_at": at, "campaign": campaign,
            });
            Event::new("newsletter_events", shop, data)
        },
    )
}

fn total() -> impl Strategy<Value = Event> {
    let dataset = select(vec!["pos_sales", "inventory_levels"]);
    let counts =
        (select(vec![0, 1_000_000_000_000_i64]), select(vec![1_000_000_000_000_000_i64, 0, -1]));
    (shop(), select(DAYS.to_vec()), dataset, counts).prop_map(
        |(shop, day, dataset, (rows, sum))| {
            let data = json!({
                "dataset": dataset, "batch": day, "business_date": day, "row_count": rows,
                "quantity_sum": sum,
                "completed_at": format!("{day}T23:00:00Z"),
            });
            Event::new("control_totals", shop, data).in_batch(day)
        },
    )
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => sale(),
        4 => level(),
        3 => web(),
        3 => crm(),
        2 => newsletter(),
        1 => total(),
    ];
    prop::collection::vec(taken(event), 20..80)
}

/// Why a load of the model's rows would fail, by the columns that it makes.
async fn misfits(lake: &Lake, load: &LoadRequest) -> Vec<String> {
    let mut found = Vec::new();
    let rows = lake.rows(&load.model).await.unwrap();
    for column in &load.columns {
        let declared =
            MartColumn { name: column.name.parse().unwrap(), column_type: column.column_type }
                .to_string();
        let (_, declared) = declared.split_once(' ').unwrap();
        for row in &rows {
            let value = &row[&column.name];
            if !value.is_null() && !fits(value, declared) {
                found.push(format!(
                    "{}.{} is {declared}, which cannot hold {value}",
                    load.warehouse, column.name
                ));
            }
        }
    }
    found
}

/// Whether Redshift, and PostgreSQL, take the value in a column of the type.
fn fits(value: &Value, declared: &str) -> bool {
    let text = || value.as_str().unwrap_or_default();
    let (name, numbers) = declared.trim_end_matches(')').split_once('(').unwrap_or((declared, ""));
    let numbers: Vec<usize> = numbers.split(',').filter_map(|number| number.parse().ok()).collect();
    match (name, &numbers[..]) {
        // Bytes, not characters.
        ("varchar", [longest]) => text().len() <= *longest && !text().contains('\0'),
        ("decimal", [precision, scale]) => {
            let (whole, rest) = text().trim_start_matches('-').split_once('.').unwrap();
            precision <= &38 && rest.len() == *scale && whole.len() <= precision - scale
        }
        ("bigint", []) => value.is_i64(),
        ("double precision", []) => value.is_f64(),
        ("boolean", []) => value.is_boolean(),
        ("date" | "timestamp", []) => matches!(&text()[..3], "199" | "200" | "201" | "202" | "203"),
        _ => false,
    }
}

#[test]
fn column_that_is_too_narrow_is_found() {
    for (value, declared, expected) in [
        (json!("é"), "varchar(2)", true),
        (json!("éa"), "varchar(2)", false),
        (json!("a\0"), "varchar(65535)", false),
        (json!("-99999999999999.9999"), "decimal(18,4)", true),
        (json!("100000000000000.0000"), "decimal(18,4)", false),
        (json!(1.5), "bigint", false),
        (json!("2026-03-01"), "date", true),
    ] {
        assert_eq!(fits(&value, declared), expected, "{value} in {declared}");
    }
}

fn config() -> ProptestConfig {
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3);
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_time: 300_000,
        ..ProptestConfig::default()
    }
}

/// Returns the rows that each model has of the shop `other`, after these events.
async fn rows_of_other(events: &[Event]) -> BTreeMap<String, Vec<Row>> {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(events, "all").await.unwrap();
    lake.settle().await.unwrap();
    let mut found = BTreeMap::new();
    for model in lake.models().iter() {
        let mut rows = lake.rows(&model.name).await.unwrap();
        rows.retain(|row| row["shop_id"] == "other");
        found.insert(model.name.clone(), rows);
    }
    found
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_valid_input_computes_every_model_and_fits_the_warehouse(events in events()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (failed, misfits) = runtime.block_on(async {
            let lake = Lake::of_repository().unwrap();
            lake.deliver(&events, "all").await.unwrap();
            assert_eq!(lake.quarantined().await.unwrap().len(), 0, "all of them are valid");
            lake.settle().await.unwrap();

            let mut failed: Vec<_> = lake.failed_checks().into_iter().collect();
            failed.retain(|check| !is_of_data(&check.name));
            let mut found = Vec::new();
            for load in lake.ended().values().filter_map(|ended| ended.result.load.as_ref()) {
                found.extend(misfits(&lake, load).await);
            }
            (failed, found)
        });
        prop_assert_eq!(failed, vec![], "a check failed that holds whatever was sent");
        prop_assert_eq!(misfits, Vec::<String>::new());
    }

    /// The control totals of either shop may be wrong, so that it is withheld.
    #[test]
    fn no_row_of_a_shop_depends_on_another_shop(events in events()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (together, alone) = runtime.block_on(async {
            let alone: Vec<_> =
                events.iter().filter(|event| event.shop_id == "other").cloned().collect();
            (rows_of_other(&events).await, rows_of_other(&alone).await)
        });
        prop_assert_eq!(together, alone);
    }
}
