//! What counts of several versions of a row: the newest one, in whatever order they arrive; the
//! lines of an order with their order's version; an event once, on its newest day; and what a
//! corrected decoder read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use serde_json::json;
use shoplake_contracts::Contracts;
use shoplake_lake::Store;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake, texts};

const SHOP: &str = "acme";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn deliver(lake: &Lake, name: &str, events: &[Event]) {
    lake.deliver(events, name).await.unwrap();
    lake.settle().await.unwrap();
    assert_eq!(lake.quarantined().await.unwrap(), Vec::<serde_json::Value>::new());
}

async fn show(lake: &Lake, model: &str, columns: &str) -> Vec<String> {
    texts(&lake.rows(model).await.unwrap(), columns)
}

/// Orders with their lines, by the day of the order.
const ORDERS: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Orders",
    "description": "Orders.", "type": "object",
    "x-dataset": {
        "source": "shop", "delivery": "stream", "key": ["shop_id", "order_id"],
        "version": "updated_at", "event_time": "created_at", "partition": "day(created_at)",
        "copies_within_days": 1, "sort": ["shop_id", "order_id"], "personal": []
    },
    "required": ["order_id", "created_at", "updated_at", "triggered_at", "line_items"],
    "properties": {
        "shop_id": {"type": "string", "description": "d"},
        "order_id": {"type": "string", "description": "d"},
        "created_at": {"type": "string", "format": "date-time", "description": "d"},
        "updated_at": {"type": "string", "format": "date-time", "description": "d"},
        "triggered_at": {"type": "string", "format": "date-time", "description": "d"},
        "line_items": {
            "type": "array", "description": "d",
            "x-child": {"dataset": "order_lines", "ordinal": "line_no"},
            "items": {
                "type": "object", "required": ["sku"],
                "properties": {"sku": {"type": "string", "description": "d"}}
            }
        }
    }
}"#;

const LINES: &str = r#"-- grain = "one row per shop, day and sku"
-- key = ["shop_id", "day", "sku"]
-- partition = "day"
-- inputs = ["silver.order_lines"]

with lines as (
    select
        shop_id,
        cast(created_at as date) as day,
        sku
    from silver.order_lines
),

final as (
    select
        shop_id,
        day,
        sku,
        count(*) as line_count
    from lines
    group by
        shop_id,
        day,
        sku
)

select *
from final
"#;

fn lake_of_orders() -> Lake {
    lake_of(ORDERS)
}

fn lake_of(orders: &str) -> Lake {
    let contracts = Contracts::from_sources([("orders", orders)]).unwrap();
    let sources = [("intermediate/lines.sql", LINES)];
    let models = Models::from_sources(&contracts, sources).unwrap();
    Lake::new(contracts, models)
}

/// An order of ten o'clock that was updated and sent at these minutes.
fn order(updated: u32, triggered: u32, skus: &[&str]) -> Event {
    let items: Vec<_> = skus.iter().map(|sku| json!({"sku": sku})).collect();
    let at = |minute: u32| format!("2026-03-01T10:{minute:02}:00Z");
    let data = json!({
        "order_id": "o1", "created_at": at(0), "updated_at": at(updated),
        "triggered_at": at(triggered), "line_items": items,
    });
    Event::new("orders", SHOP, data).received_at("2026-03-01T12:00:00Z")
}

#[tokio::test]
async fn lines_of_a_superseded_order_do_not_count() {
    let lake = lake_of_orders();
    deliver(&lake, "first", &[order(1, 1, &["a", "b", "c"])]).await;
    assert_eq!(show(&lake, "lines", "sku").await, ["a", "b", "c"]);
    deliver(&lake, "edited", &[order(2, 2, &["d", "b"])]).await;
    assert_eq!(show(&lake, "lines", "sku line_count").await, ["b 1", "d 1"]);
    deliver(&lake, "emptied", &[order(3, 3, &[])]).await;
    assert_eq!(show(&lake, "lines", "sku").await, Vec::<String>::new());
    // An earlier version that arrives last changes nothing.
    deliver(&lake, "late", &[order(1, 9, &["e"])]).await;
    assert_eq!(show(&lake, "lines", "sku").await, Vec::<String>::new());
}

/// Two versions of one time of update: the sender's clock decides, about the order and its lines.
#[tokio::test]
async fn lines_follow_the_order_that_was_sent_last() {
    let versions = [order(1, 2, &["new"]), order(1, 1, &["old", "older"])];
    for (one, other) in [(0, 1), (1, 0)] {
        let lake = lake_of_orders();
        deliver(&lake, "first", &versions[one..=one]).await;
        deliver(&lake, "second", &versions[other..=other]).await;
        assert_eq!(show(&lake, "lines", "sku").await, ["new"]);
    }
}

/// Two runs that deliver an order at the same instant: the newer one decides, about the order and
/// its lines.
#[tokio::test]
async fn lines_follow_the_newer_of_two_runs_at_one_instant() {
    let orders = ORDERS.replace("\"stream\"", "\"batch\"");
    let runs =
        [("2026-03-02T04:30:00.000000Z", ["y", "z"]), ("2026-03-02T05:30:00.000000Z", ["a", "b"])];
    let deliveries = runs.map(|(run, skus)| {
        let order = Event { id: Some("shop/o1".to_owned()), ..order(1, 1, &skus) };
        order.in_batch("2026-03-01").in_run(run)
    });
    for (one, other) in [(0, 1), (1, 0)] {
        let lake = lake_of(&orders);
        deliver(&lake, "first", &deliveries[one..=one]).await;
        deliver(&lake, "second", &deliveries[other..=other]).await;
        assert_eq!(show(&lake, "lines", "sku").await, ["a", "b"]);
    }
}

fn feedback(id: &str, at: &str, rating: i64) -> Event {
    let data = json!({
        "interaction_id": id, "customer_id": "c1", "channel": "email",
        "interaction_type": "feedback", "occurred_at": at, "rating": rating,
    });
    Event::new("crm_interactions", SHOP, data)
}

const COLUMNS: &str = "interaction_date responses average_rating";

/// The correction has a later time, on a day of the week after.
#[tokio::test]
async fn an_interaction_corrected_on_a_later_day_counts_once() {
    let times = [
        ["2026-03-01T23:50:00Z", "2026-03-02T00:10:00Z"],
        ["2026-03-01T10:00:00Z", "2026-03-03T10:00:00Z"],
        ["2026-03-01T00:00:00Z", "2026-03-08T23:59:59Z"],
    ];
    for [first, corrected] in times {
        let versions = [feedback("i1", first, 1), feedback("i1", corrected, 5)];
        for order in [[0, 1], [1, 0]] {
            let lake = Lake::of_repository().unwrap();
            for place in order {
                deliver(&lake, &place.to_string(), &versions[place..=place]).await;
            }
            let day = &corrected[..10];
            assert_eq!(show(&lake, "feedback_score", COLUMNS).await, [format!("{day} 1 5.0")]);
            let days =
                show(&lake, "interaction_volume_by_type", "interaction_date interactions").await;
            assert_eq!(days, [format!("{day} 1")]);
        }
    }
}

/// Each version is at most a week after the one before it.
#[tokio::test]
async fn an_interaction_corrected_twice_counts_on_its_last_day() {
    let lake = Lake::of_repository().unwrap();
    let days = ["2026-03-01T10:00:00Z", "2026-03-12T10:00:00Z", "2026-03-06T10:00:00Z"];
    for (rating, at) in (1..).zip(days) {
        deliver(&lake, at, &[feedback("i1", at, rating)]).await;
    }
    assert_eq!(show(&lake, "feedback_score", COLUMNS).await, ["2026-03-12 1 2.0"]);
}

/// The bound that `moved_interactions` states.
#[tokio::test]
async fn an_interaction_corrected_after_a_week_counts_on_both_days() {
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &[feedback("i1", "2026-03-01T23:59:59Z", 1)]).await;
    deliver(&lake, "second", &[feedback("i1", "2026-03-09T00:00:00Z", 5)]).await;
    let found = show(&lake, "feedback_score", COLUMNS).await;
    assert_eq!(found, ["2026-03-01 1 1.0", "2026-03-09 1 5.0"]);
}

/// A sender that corrects without a new time: the time of receipt decides, not the order in which
/// the rows are computed.
#[tokio::test]
async fn of_equal_versions_the_one_received_last_counts() {
    let at = "2026-03-01T10:00:00Z";
    for ratings in [[1, 5], [5, 1]] {
        let versions = [
            feedback("i1", at, ratings[0]).received_at("2026-03-01T11:00:00Z"),
            feedback("i1", at, ratings[1]).received_at("2026-03-01T12:00:00Z"),
        ];
        for order in [[0, 1], [1, 0]] {
            let lake = Lake::of_repository().unwrap();
            for place in order {
                deliver(&lake, &place.to_string(), &versions[place..=place]).await;
            }
            let expected = [format!("2026-03-01 1 {}.0", ratings[1])];
            assert_eq!(show(&lake, "feedback_score", COLUMNS).await, expected);
        }
    }
}

/// Copies of one event at these times, in every order: the days of the sessions, and those of the
/// customer's activities, are the expected ones.
async fn copies_count_on(times: &[&str], expected: &[&str]) {
    let view = |at: &str| {
        let data = json!({
            "event_id": "e1", "session_id": "s1", "visitor_id": "v1", "customer_id": "c1",
            "event_type": "page_view", "occurred_at": at, "page_url": "https://acme.example/",
        });
        Event::new("web_traffic", SHOP, data)
    };
    let mut copies: Vec<_> = times.iter().map(|at| view(at)).collect();
    for _ in times {
        copies.rotate_left(1);
        let lake = Lake::of_repository().unwrap();
        for (number, copy) in copies.iter().enumerate() {
            deliver(&lake, &number.to_string(), std::slice::from_ref(copy)).await;
        }
        let sessions = show(&lake, "session_duration_bounce_rate", "session_date sessions").await;
        assert_eq!(sessions, expected.iter().map(|day| format!("{day} 1")).collect::<Vec<_>>());
        let engaged = show(&lake, "customer_engagement_score", "activity_date").await;
        assert_eq!(engaged, expected);
    }
}

#[tokio::test]
async fn copies_of_a_web_event_on_several_days_count_once() {
    copies_count_on(&["2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z"], &["2026-03-01"]).await;
    copies_count_on(&["2026-03-01T00:00:00Z", "2026-03-08T23:59:59Z"], &["2026-03-01"]).await;
    // Each copy is at most a week after the one before it.
    let times = ["2026-03-01T10:00:00Z", "2026-03-06T10:00:00Z", "2026-03-12T10:00:00Z"];
    copies_count_on(&times, &["2026-03-01"]).await;
}

/// The bound that `repeated_web_events` states.
#[tokio::test]
async fn copies_of_a_web_event_a_week_apart_are_two_events() {
    let days = ["2026-03-01", "2026-03-09"];
    copies_count_on(&["2026-03-01T23:59:59Z", "2026-03-09T00:00:00Z"], &days).await;
}

/// A lake with the definitions of the repository, in which the decoder of a dataset has been
/// corrected.
fn corrected(dataset: &str) -> Lake {
    let folder = root().join("crates/contracts/schemas");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let schemas = files.map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut schema = std::fs::read_to_string(&path).unwrap();
        if name == dataset {
            schema = schema.replace("\"delivery\":", "\"generation\": 2, \"delivery\":");
        }
        (name, schema)
    });
    let contracts = Contracts::from_sources(schemas).unwrap();
    let models = Models::load(&root().join("glue-sql"), &contracts).unwrap();
    Lake::new(contracts, models)
}

/// Moves what a lake conformed to another one, where a replay from bronze adds objects.
async fn with_silver_of(lake: &Lake, next: &Lake) {
    for key in lake.objects().keys().iter().filter(|key| key.starts_with("silver/")) {
        let object = lake.objects().get(key).await.unwrap().unwrap();
        next.put(key, object.bytes.to_vec()).await.unwrap();
    }
    next.settle().await.unwrap();
}

/// The decoder read 5 where the sender had said 1, and another id. Bronze is conformed again.
#[tokio::test]
async fn what_a_corrected_decoder_reads_replaces_what_the_wrong_one_read() {
    let read = |id: &str, rating: i64| Event {
        id: Some("same envelope".to_owned()),
        ..feedback(id, "2026-03-01T10:00:00Z", rating)
    };
    let other = feedback("i2", "2026-03-01T11:00:00Z", 3);
    for wrong in ["i1", "read wrongly"] {
        let before = Lake::of_repository().unwrap();
        deliver(&before, "shard-0-1-1", &[read(wrong, 5), other.clone()]).await;
        assert_eq!(show(&before, "feedback_score", COLUMNS).await, ["2026-03-01 2 4.0"]);

        let lake = corrected("crm_interactions");
        with_silver_of(&before, &lake).await;
        assert_eq!(show(&lake, "feedback_score", COLUMNS).await, ["2026-03-01 2 4.0"]);
        deliver(&lake, "firehose-object", &[read("i1", 1)]).await;
        assert_eq!(show(&lake, "feedback_score", COLUMNS).await, ["2026-03-01 2 2.0"]);
        let keys = lake.objects().keys();
        let corrected = "silver/crm_interactions/dt=2026-03-01/";
        let written: Vec<_> = keys.iter().filter(|key| key.starts_with(corrected)).collect();
        assert!(written.iter().any(|key| key.ends_with(".g2.parquet")), "{written:?}");
    }
}

/// The corrected decoder reads another time: that of another day. The next day replaces the one
/// before it; in the other direction the operator deletes the objects of the wrong decoder, as the
/// runbook says.
#[tokio::test]
async fn a_row_that_a_corrected_decoder_moves_to_another_day_counts_once() {
    let times = ["2026-03-01T23:30:00Z", "2026-03-02T00:30:00Z"];
    let read = |time: &str| Event {
        id: Some("same envelope".to_owned()),
        ..feedback("i1", time, 3).received_at("2026-03-02T01:00:00Z")
    };
    for (wrong, right) in [(0, 1), (1, 0)] {
        let before = Lake::of_repository().unwrap();
        deliver(&before, "shard-0-1-1", &[read(times[wrong])]).await;
        let lake = corrected("crm_interactions");
        with_silver_of(&before, &lake).await;
        deliver(&lake, "firehose-object", &[read(times[right])]).await;

        let objects = lake.objects();
        let old = objects.keys().into_iter().filter(|key| key.starts_with("silver/crm_"));
        for key in old.filter(|key| wrong > right && !key.ends_with(".g2.parquet")) {
            objects.delete(&key).await.unwrap();
        }
        if wrong > right {
            let readers = ["interaction_ids", "feedback_score", "interaction_volume_by_type"];
            for (model, time) in readers.into_iter().flat_map(|name| times.map(|at| (name, at))) {
                lake.backfill(model, &time[..10]).unwrap();
            }
            lake.settle().await.unwrap();
        }
        let day = &times[right][..10];
        assert_eq!(show(&lake, "feedback_score", COLUMNS).await, [format!("{day} 1 3.0")]);
        let days = show(&lake, "interaction_volume_by_type", "interaction_date interactions").await;
        assert_eq!(days, [format!("{day} 1")]);
    }
}

/// The corrected decoder reads another field, which is empty, where the wrong one read lines.
#[tokio::test]
async fn lines_that_a_corrected_decoder_does_not_read_do_not_count() {
    let event = Event { id: Some("same envelope".to_owned()), ..order(1, 1, &["a", "b"]) };
    let before = lake_of_orders();
    deliver(&before, "first", std::slice::from_ref(&event)).await;
    assert_eq!(show(&before, "lines", "sku").await, ["a", "b"]);

    let corrected = ORDERS
        .replace("\"delivery\":", "\"generation\": 2, \"delivery\":")
        .replace(", \"line_items\"]", "]")
        .replace("\"line_items\"", "\"positions\"");
    let lake = lake_of(&corrected);
    with_silver_of(&before, &lake).await;
    assert_eq!(show(&lake, "lines", "sku").await, ["a", "b"], "nothing was read again yet");
    deliver(&lake, "replayed", &[event]).await;
    assert_eq!(show(&lake, "lines", "sku").await, Vec::<String>::new());
}

/// The rows of a run are counted by what the latest generation read.
#[tokio::test]
async fn a_run_that_is_replayed_with_a_corrected_decoder_stays_complete() {
    let (day, run) = ("2026-03-01", "2026-03-02T04:30:00.000000Z");
    let sale = |receipt: &str, quantity: i64| {
        let data = json!({
            "transaction_id": receipt, "line_no": 1, "store_id": "s1", "region": "north",
            "product_id": "p", "quantity": quantity, "unit_price": "10.00", "discount": "0",
            "currency": "EUR", "sold_at": "2026-03-01T10:00:00Z", "business_date": day,
        });
        let event = Event::new("pos_sales", SHOP, data).in_batch(day).in_run(run);
        Event { id: Some("pos/2026-03-01/t1/1".to_owned()), ..event }
    };
    let data = json!({
        "dataset": "pos_sales", "batch": day, "business_date": day, "run": run, "row_count": 1,
        "quantity_sum": 1, "completed_at": run,
    });
    let total = Event::new("control_totals", SHOP, data).in_batch(day).in_run(run);
    let before = Lake::of_repository().unwrap();
    deliver(&before, "object", &[sale("read wrongly", 5), total]).await;

    let lake = corrected("pos_sales");
    with_silver_of(&before, &lake).await;
    deliver(&lake, "object", &[sale("t1", 1)]).await;
    let table = "total_sales_by_region_product";
    assert_eq!(show(&lake, table, "units_sold transactions").await, ["1 1"]);
}
