//! Orders by bucket, and days over them: whatever is edited, moved to another day or deleted, in
//! any order, gold is what a computation from nothing gives. So it is after the buckets were
//! doubled.
//!
//! `PROPTEST_CASES=10000 cargo test --workspace --test buckets` tries more than a few histories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;
use shoplake_contracts::Contracts;
use shoplake_lake::{Condition, Store};
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake, texts};

const ORDERS: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Orders",
    "description": "Orders.", "type": "object",
    "x-dataset": {
        "source": "shop", "delivery": "stream", "key": ["shop_id", "order_id"],
        "version": "updated_at", "event_time": "updated_at", "partition": "bucket(order_id, 4)",
        "sort": ["shop_id", "order_id"], "personal": []
    },
    "required": ["order_id", "updated_at", "sold_on", "units", "is_deleted"],
    "properties": {
        "shop_id": {"type": "string", "description": "d"},
        "order_id": {"type": "string", "maxLength": 64, "description": "d"},
        "updated_at": {"type": "string", "format": "date-time", "description": "d"},
        "sold_on": {"type": "string", "format": "date", "description": "d"},
        "units": {"type": "integer", "minimum": 0, "maximum": 1000, "description": "d"},
        "is_deleted": {"type": "boolean", "description": "d"}
    }
}"#;

const CLEAN: &str = r#"-- grain = "one row per order"
-- key = ["shop_id", "order_id"]
-- partition = "bucket(order_id, 4)"
-- inputs = ["silver.orders"]

select shop_id, order_id, sold_on, units
from silver.orders
where not is_deleted
"#;

const SOLD: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "sold_on"]
-- partition = "sold_on"
-- inputs = ["gold.orders_clean"]
-- by_column = { "gold.orders_clean" = "sold_on" }

select shop_id, sold_on, count(*) as orders, cast(sum(units) as bigint) as units
from gold.orders_clean
group by shop_id, sold_on
"#;

/// Three days of orders, from the rows of orders: a window over an input by column.
const LAST_DAYS: &str = r#"-- grain = "one row per shop and day with an order"
-- key = ["shop_id", "sold_on"]
-- partition = "sold_on"
-- inputs = ["gold.orders_clean"]
-- by_column = { "gold.orders_clean" = "sold_on" }
-- lookback_days = 2

with days as (
    select distinct shop_id, sold_on
    from gold.orders_clean
)

select days.shop_id, days.sold_on, cast(sum(orders_clean.units) as bigint) as units
from days
inner join gold.orders_clean as orders_clean
on days.shop_id = orders_clean.shop_id
    and orders_clean.sold_on <= days.sold_on
    and orders_clean.sold_on >= cast(days.sold_on - interval '2' day as date)
group by days.shop_id, days.sold_on
"#;

/// Returns a lake with so many buckets; `partition` is how the dataset names them.
fn lake(partition: &str, buckets: u32) -> Lake {
    let orders = ORDERS.replace("bucket(order_id, 4)", partition);
    let contracts = Contracts::from_sources([("orders", orders)]).unwrap();
    let clean = CLEAN.replace("(order_id, 4)", &format!("(order_id, {buckets})"));
    let sources = [
        ("shop/orders_clean.sql", clean.as_str()),
        ("shop/orders_by_day.sql", SOLD),
        ("intermediate/last_days.sql", LAST_DAYS),
    ];
    let models = Models::from_sources(&contracts, sources).unwrap();
    Lake::new(contracts, models)
}

/// A version of an order; the version that was made last counts.
#[derive(Clone, Debug)]
struct Edit {
    order: u8,
    day: u8,
    units: u8,
    is_deleted: bool,
}

fn day(number: u8) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + Days::new(number.into())
}

/// Returns the event of an edit, the one with this number.
fn event(number: usize, edit: &Edit) -> Event {
    let start: DateTime<Utc> = "2026-03-20T10:00:00Z".parse().unwrap();
    let updated_at = start + TimeDelta::seconds(number as i64);
    let data = json!({
        "order_id": format!("o{}", edit.order), "updated_at": updated_at.to_rfc3339(),
        "sold_on": day(edit.day), "units": edit.units, "is_deleted": edit.is_deleted,
    });
    Event { received_at: updated_at, ..Event::new("orders", "acme", data) }
}

/// Delivers the edits of these numbers and settles. Returns how many commits followed.
async fn deliver(lake: &Lake, name: &str, edits: &[(usize, &Edit)]) -> usize {
    let events: Vec<_> = edits.iter().map(|(number, edit)| event(*number, edit)).collect();
    lake.deliver(&events, name).await.unwrap();
    let commits = lake.settle().await.unwrap().commits;
    assert_eq!(lake.quarantined().await.unwrap(), Vec::<serde_json::Value>::new());
    assert_eq!(lake.failed_checks(), []);
    commits
}

/// What the models have to have after these edits.
fn expected(edits: &[(usize, &Edit)]) -> [Vec<String>; 3] {
    let mut newest: BTreeMap<u8, (usize, &Edit)> = BTreeMap::new();
    for (number, edit) in edits {
        let version = newest.entry(edit.order).or_insert((*number, edit));
        if *number > version.0 {
            *version = (*number, edit);
        }
    }
    newest.retain(|_, (_, edit)| !edit.is_deleted);
    let mut orders: Vec<_> = newest
        .values()
        .map(|(_, edit)| format!("o{} {} {}", edit.order, day(edit.day), edit.units))
        .collect();
    orders.sort();
    let days: BTreeSet<u8> = newest.values().map(|(_, edit)| edit.day).collect();
    let of_days = |first: u8, last: u8| {
        let orders = newest.values().filter(move |(_, edit)| (first..=last).contains(&edit.day));
        orders.map(|(_, edit)| u32::from(edit.units))
    };
    let sold = |number: &u8| {
        let orders = of_days(*number, *number);
        format!("{} {} {}", day(*number), orders.clone().count(), orders.sum::<u32>())
    };
    let last_days = |number: &u8| {
        let units: u32 = of_days(number.saturating_sub(2), *number).sum();
        format!("{} {units}", day(*number))
    };
    [orders, days.iter().map(sold).collect(), days.iter().map(last_days).collect()]
}

/// What the models have, in gold and in the warehouse.
async fn found(lake: &Lake) -> [Vec<String>; 3] {
    let mut found: [Vec<String>; 3] = Default::default();
    for (place, (model, columns)) in [
        ("orders_clean", "order_id sold_on units"),
        ("orders_by_day", "sold_on orders units"),
        ("last_days", "sold_on units"),
    ]
    .into_iter()
    .enumerate()
    {
        found[place] = texts(&lake.rows(model).await.unwrap(), columns);
        if model != "last_days" {
            assert_eq!(texts(&lake.warehouse_rows(model).unwrap(), columns), found[place]);
        }
    }
    found
}

fn edit() -> impl Strategy<Value = Edit> {
    (0..12_u8, 0..6_u8, 0..9_u8, prop::bool::weighted(0.2))
        .prop_map(|(order, day, units, is_deleted)| Edit { order, day, units, is_deleted })
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(16),
        failure_persistence: None,
        max_shrink_time: 300_000,
        ..ProptestConfig::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

proptest! {
    #![proptest_config(config())]

    /// After each delivery of a history, in any order, gold is what its edits give from nothing.
    #[test]
    fn gold_is_what_the_edits_give_from_nothing(
        edits in prop::collection::vec(edit(), 1..24),
        order in any::<u64>(),
        deliveries in 1_usize..5,
    ) {
        let mut sent: Vec<(usize, &Edit)> = edits.iter().enumerate().collect();
        let place = |number: usize| (number as u64 ^ order).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sent.sort_by_key(|(number, _)| place(*number));
        let size = sent.len().div_ceil(deliveries);
        runtime().block_on(async {
            let lake = lake("bucket(order_id, 4)", 4);
            for (number, few) in sent.chunks(size).enumerate() {
                deliver(&lake, &format!("d{number}"), few).await;
                let known = &sent[..(number * size + few.len())];
                prop_assert_eq!(found(&lake).await, expected(known));
            }
            Ok(())
        })?;
    }

    /// After a doubling, all buckets are computed again. Objects from before it have rows of two.
    #[test]
    fn doubled_buckets_have_the_same_rows(
        before in prop::collection::vec(edit(), 1..16),
        after in prop::collection::vec(edit(), 1..8),
    ) {
        let edits: Vec<(usize, &Edit)> = before.iter().chain(&after).enumerate().collect();
        let (before, after) = edits.split_at(before.len());
        runtime().block_on(async {
            let old = lake("bucket(order_id, 2)", 2);
            deliver(&old, "before", before).await;
            let new = lake("bucket(order_id, 4, 2)", 4);
            for key in old.objects().keys() {
                let object = old.objects().get(&key).await.unwrap().unwrap();
                let (bytes, metadata) = (object.bytes, object.head.metadata);
                new.objects().put(&key, bytes, metadata, Condition::Always).await.unwrap();
            }
            for bucket in 0..4 {
                new.backfill("orders_clean", &format!("{bucket:04}")).unwrap();
            }
            new.settle().await.unwrap();
            let known = expected(before);
            let clean = new.rows("orders_clean").await.unwrap();
            prop_assert_eq!(texts(&clean, "order_id sold_on units"), known[0].clone());
            deliver(&new, "after", after).await;
            for (place, (model, columns)) in [
                ("orders_clean", "order_id sold_on units"),
                ("orders_by_day", "sold_on orders units"),
                ("last_days", "sold_on units"),
            ]
            .into_iter()
            .enumerate()
            {
                let found = texts(&new.rows(model).await.unwrap(), columns);
                prop_assert_eq!(&found, &expected(&edits)[place], "{}", model);
            }
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_order_rewrites_its_bucket_and_the_two_days() {
    let lake = lake("bucket(order_id, 4)", 4);
    let mut edits: Vec<Edit> =
        (0..40).map(|order| Edit { order, day: order % 20, units: 1, is_deleted: false }).collect();
    let first: Vec<_> = edits.iter().enumerate().collect();
    deliver(&lake, "first", &first).await;

    let moved = Edit { order: 7, day: 15, units: 1, is_deleted: false };
    let commits = deliver(&lake, "moved", &[(40, &moved)]).await;
    // The days 7 to 9 have three days with the order's old day, 15 to 17 those with the new one.
    assert_eq!(commits, 1 + 2 + 6);
    let commits = deliver(&lake, "again", &[(41, &moved)]).await;
    assert_eq!(commits, 0, "no row has changed");
    edits.push(moved);
    let all: Vec<_> = edits.iter().enumerate().collect();
    assert_eq!(found(&lake).await, expected(&all));
}
