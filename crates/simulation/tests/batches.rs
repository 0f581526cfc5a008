//! A delivery of a batch is a snapshot: what the source takes back, moves or corrects is right
//! after the batch has been delivered again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::json;
use shoplake_contracts::Contracts;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake, texts};
use shoplake_testing::read;

const SHOP: &str = "acme";
const DAY: &str = "2026-03-01";
const NEXT_DAY: &str = "2026-03-02";
const FIRST: &str = "2026-03-02T04:30:00.000000Z";
const SECOND: &str = "2026-03-03T04:30:00.000000Z";
const THIRD: &str = "2026-03-04T04:30:00.000000Z";
const SALES: &str = "total_sales_by_region_product";

/// A line of a receipt at 10.00 EUR a unit.
fn sale(transaction: &str, line: u32, day: &str, quantity: i64) -> Event {
    Event::new(
        "pos_sales",
        SHOP,
        json!({
            "transaction_id": transaction, "line_no": line, "store_id": "s1", "region": "north",
            "product_id": "p", "quantity": quantity, "unit_price": "10.00", "discount": "0",
            "currency": "EUR", "sold_at": format!("{day}T10:00:00Z"), "business_date": day,
        }),
    )
}

fn total(day: &str, rows: usize, quantity: i64, run: &str) -> Event {
    let data = json!({
        "dataset": "pos_sales", "batch": day, "business_date": day, "run": run,
        "row_count": rows, "quantity_sum": quantity, "completed_at": run,
    });
    Event::new("control_totals", SHOP, data).in_batch(day).in_run(run)
}

/// The rows of a day as one run delivers them, without their control total.
fn rows(day: &str, run: &str, lines: &[Event]) -> Vec<Event> {
    let deliver = |(number, line): (usize, &Event)| {
        let id = line.id.clone().unwrap_or_else(|| {
            let key = (&line.data["transaction_id"], &line.data["line_no"]);
            format!("pos/{day}/{}/{}", key.0.as_str().unwrap_or("row"), key.1)
        });
        let event = Event { id: Some(id), ..line.clone() }.in_batch(day).in_run(run);
        let received_at = event.received_at.max(run.parse().unwrap());
        // Of rows with one key the connector sends the last one with the latest receipt.
        let received_at = received_at + chrono::Duration::microseconds(number as i64);
        Event { received_at, ..event }
    };
    lines.iter().enumerate().map(deliver).collect()
}

/// The same with the control total that a connector sends: distinct rows, and their units.
fn delivery(day: &str, run: &str, lines: &[Event]) -> Vec<Event> {
    let mut keys = std::collections::BTreeMap::new();
    for line in lines {
        let key = (line.data["transaction_id"].to_string(), line.data["line_no"].to_string());
        keys.insert(key, line.data["quantity"].as_i64().unwrap());
    }
    let mut events = rows(day, run, lines);
    events.push(total(day, keys.len(), keys.values().sum(), run));
    events
}

async fn deliver(lake: &Lake, name: &str, events: &[Event]) {
    lake.deliver(events, name).await.unwrap();
    lake.settle().await.unwrap();
}

async fn show(lake: &Lake, model: &str, columns: &str) -> Vec<String> {
    texts(&lake.rows(model).await.unwrap(), columns)
}

/// Units by day in the two models that read sales, which must agree.
async fn units(lake: &Lake) -> Vec<String> {
    let units = show(lake, SALES, "shop_id business_date units_sold").await;
    let finance = show(lake, "revenue_by_region", "shop_id business_date gross_sales").await;
    let revenue = |row: &String| format!("{row}0.0000");
    assert_eq!(finance, units.iter().map(revenue).collect::<Vec<_>>());
    units
}

#[tokio::test]
async fn a_voided_and_a_corrected_line_are_right_after_redelivery() {
    let lake = Lake::of_repository().unwrap();
    let lines = [sale("t1", 1, DAY, 1), sale("t2", 1, DAY, 2), sale("t3", 1, DAY, 3)];
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 6"]);

    let lines = [sale("t1", 1, DAY, 5), sale("t2", 1, DAY, 2)];
    deliver(&lake, "second", &delivery(DAY, SECOND, &lines)).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 7"], "5 and 2; receipt t3 is voided");
    assert_eq!(show(&lake, SALES, "transactions").await, ["2"]);

    // Another shop's late sale of that day computes the partition again.
    let other = Event { shop_id: "other".to_owned(), ..sale("t1", 1, DAY, 9) };
    deliver(&lake, "other", &[other]).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 7", "other 2026-03-01 9"]);
}

#[tokio::test]
async fn a_renumbered_receipt_counts_once() {
    let lake = Lake::of_repository().unwrap();
    let lines = [sale("t1", 1, DAY, 1), sale("t1", 2, DAY, 2)];
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    let lines = [sale("t9", 1, DAY, 1), sale("t9", 2, DAY, 2)];
    deliver(&lake, "second", &delivery(DAY, SECOND, &lines)).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 3"]);
}

/// A line without the number of its receipt is known by its place in the batch.
#[tokio::test]
async fn a_rejected_line_that_moves_in_its_batch_is_one_line() {
    let lake = Lake::of_repository().unwrap();
    let rejected = |place: usize| {
        let mut line = sale("t", 1, DAY, 1);
        line.data.as_object_mut().unwrap().remove("transaction_id");
        Event { id: Some(format!("pos/{DAY}/row-{place}")), ..line }
    };
    let mut first = rows(DAY, FIRST, &[sale("t1", 1, DAY, 1), rejected(2)]);
    first.push(total(DAY, 2, 1, FIRST));
    deliver(&lake, "first", &first).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 1"], "the rejected line has arrived as well");

    let lines = [sale("t1", 1, DAY, 1), sale("t0", 1, DAY, 7), rejected(3)];
    let mut second = rows(DAY, SECOND, &lines);
    second.push(total(DAY, 3, 8, SECOND));
    deliver(&lake, "second", &second).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 8"]);
    assert_eq!(lake.quarantined().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_receipt_that_moves_to_another_day_counts_there() {
    let lake = Lake::of_repository().unwrap();
    let lines = [sale("t1", 1, DAY, 5), sale("t2", 1, DAY, 1)];
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    // Both days are delivered again: the one that it left, and the one that it moved to.
    let mut again = delivery(NEXT_DAY, SECOND, &[sale("t1", 1, NEXT_DAY, 5)]);
    again.extend(delivery(DAY, SECOND, &[sale("t2", 1, DAY, 1)]));
    deliver(&lake, "again", &again).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 1", "acme 2026-03-02 5"]);
    assert_eq!(
        show(&lake, "product_turnover_rate", "business_date units_sold_30d").await[1..],
        ["2026-03-02 6"]
    );
}

#[tokio::test]
async fn a_day_that_is_delivered_empty_has_no_sales() {
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)])).await;
    deliver(&lake, "second", &delivery(DAY, SECOND, &[])).await;
    assert_eq!(units(&lake).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_row_that_paging_repeats_counts_once() {
    let lake = Lake::of_repository().unwrap();
    let lines = ["t1", "t2", "t3", "t4", "t5", "t1"].map(|receipt| sale(receipt, 1, DAY, 1));
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 5"]);
}

#[tokio::test]
async fn a_run_counts_once_all_of_its_pages_have_arrived() {
    let lake = Lake::of_repository().unwrap();
    let first = delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)]);
    deliver(&lake, "first", &first).await;

    // The page that the source repeats with another quantity arrives before the last one.
    let pages = [sale("t1", 1, DAY, 9), sale("t2", 1, DAY, 1), sale("t1", 1, DAY, 2)];
    let second = delivery(DAY, SECOND, &pages);
    let (totals, lines): (Vec<_>, Vec<_>) =
        second.into_iter().partition(|event| event.dataset == "control_totals");
    deliver(&lake, "totals", &totals).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 5"]);
    deliver(&lake, "half", &lines[..2]).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 5"]);
    let incomplete = show(&lake, "batches", "batch run expected_rows landed_rows").await;
    assert_eq!(incomplete, [format!("2026-03-01 {SECOND} 2 2")]);

    deliver(&lake, "rest", &lines[2..]).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 3"]);
    assert_eq!(lake.alerts(), []);
}

#[tokio::test]
async fn an_incomplete_delivery_counts_nothing_and_hides_nothing() {
    let lake = Lake::of_repository().unwrap();
    let lines = [sale("t1", 1, DAY, 5), sale("t2", 1, DAY, 1)];
    // A run that was killed has no control total.
    deliver(&lake, "killed", &rows(DAY, "2026-03-02T04:00:00.000000Z", &lines[..1])).await;
    assert_eq!(units(&lake).await, Vec::<String>::new());
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    deliver(&lake, "killed again", &rows(DAY, SECOND, &[sale("t3", 1, DAY, 9)])).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 6"]);
}

/// Older deliveries, and senders that do not tell runs apart.
#[tokio::test]
async fn a_complete_run_replaces_rows_without_a_run() {
    let lake = Lake::of_repository().unwrap();
    let old = [sale("t1", 1, DAY, 5).in_batch(DAY), sale("t2", 1, DAY, 1)];
    deliver(&lake, "old", &old).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 6"]);
    let second = delivery(DAY, SECOND, &[sale("t2", 1, DAY, 1), sale("t3", 1, DAY, 1)]);
    deliver(&lake, "rows", &second[..1]).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 6"], "not yet complete");
    deliver(&lake, "rest", &second[1..]).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 2"]);
}

/// Also if both deliveries arrive before the first computation, or gold is rebuilt. Nothing
/// alerts before the freshness check finds the delivery late.
#[tokio::test]
async fn a_run_that_differs_from_its_total_counts_nowhere() {
    let first = delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)]);
    let lines = [sale("t1", 1, DAY, 6), sale("t2", 1, DAY, 1)];
    for (rows_sent, quantity, state) in [(1, 7, "2 1 7 7"), (2, 8, "2 2 7 8")] {
        let mut second = rows(DAY, SECOND, &lines);
        second.push(total(DAY, rows_sent, quantity, SECOND));
        let (apart, together) = (Lake::of_repository().unwrap(), Lake::of_repository().unwrap());
        deliver(&apart, "first", &first).await;
        deliver(&apart, "second", &second).await;
        deliver(&together, "both", &[&first[..], &second].concat()).await;
        for lake in [apart, together] {
            assert_eq!(units(&lake).await, ["acme 2026-03-01 5"]);
            let columns = "run landed_rows expected_rows landed_quantity expected_quantity \
                           is_complete";
            let batches = show(&lake, "batches", columns).await;
            assert_eq!(batches, [format!("{SECOND} {state} false")]);
            assert_eq!(lake.alerts(), []);

            deliver(&lake, "third", &delivery(DAY, THIRD, &[sale("t1", 1, DAY, 7)])).await;
            assert_eq!(units(&lake).await, ["acme 2026-03-01 7"]);
        }
    }
}

/// A till voids a line by its quantity or its price, which the contract refuses.
#[tokio::test]
async fn a_line_that_its_run_rejects_does_not_count() {
    let lake = Lake::of_repository().unwrap();
    let lines = [sale("t1", 1, DAY, 1), sale("t2", 1, DAY, 2)];
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    let second = delivery(DAY, SECOND, &[sale("t1", 1, DAY, 4), sale("t2", 1, DAY, 0)]);
    deliver(&lake, "second", &second).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 4"]);

    let mut third = rows(DAY, THIRD, &lines.map(|line| line.with(json!({"unit_price": "0"}))));
    third.push(total(DAY, 2, 0, THIRD));
    deliver(&lake, "third", &third).await;
    assert_eq!(units(&lake).await, Vec::<String>::new());
    assert_eq!(lake.quarantined().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_voided_line_that_a_later_run_rejects_stays_voided() {
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)])).await;
    deliver(&lake, "second", &delivery(DAY, SECOND, &[])).await;
    deliver(&lake, "third", &delivery(DAY, THIRD, &[sale("t1", 1, DAY, 0)])).await;
    assert_eq!(units(&lake).await, Vec::<String>::new());
}

/// The source dates the receipt to the next day, and its answer for the first day still has it.
#[tokio::test]
async fn a_moved_line_that_its_old_batch_lists_counts_once() {
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)])).await;
    let moved = [sale("t1", 1, NEXT_DAY, 5)];
    let again = [delivery(DAY, SECOND, &moved), delivery(NEXT_DAY, SECOND, &moved)].concat();
    deliver(&lake, "again", &again).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-02 5"]);
    assert_eq!(lake.quarantined().await.unwrap().len(), 1);
}

/// A row that was rejected and is valid now, put to the stream again with its original envelope.
#[tokio::test]
async fn a_redriven_row_counts_in_its_run() {
    let lake = Lake::of_repository().unwrap();
    let rejected = sale("t2", 1, DAY, 2).with(json!({"unit_price": "0"}));
    let lines = [sale("t1", 1, DAY, 1), rejected];
    let mut first = rows(DAY, FIRST, &lines);
    first.push(total(DAY, 2, 1, FIRST));
    deliver(&lake, "first", &first).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 1"]);

    let redriven = first[1].clone().with(json!({"unit_price": "10.00"}));
    deliver(&lake, "redriven", &[redriven]).await;
    // The connector did not know the quantity of the rejected row.
    assert_eq!(units(&lake).await, ["acme 2026-03-01 3"]);
}

/// It could not be found where its batch is read.
#[tokio::test]
async fn a_row_of_another_day_than_its_batch_is_quarantined() {
    let lake = Lake::of_repository().unwrap();
    let lines = [sale("t1", 1, DAY, 1), sale("t2", 1, NEXT_DAY, 2)];
    let mut first = rows(DAY, FIRST, &lines);
    first.push(total(DAY, 2, 1, FIRST));
    deliver(&lake, "first", &first).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 1"]);
    let quarantined = lake.quarantined().await.unwrap();
    let reason = &quarantined[0]["failure"]["reasons"][0];
    assert_eq!(
        (reason["field"].as_str(), reason["code"].as_str()),
        (Some("business_date"), Some("other_batch"))
    );
    assert!(reason["expected"].as_str().unwrap().contains(DAY));
}

fn level(product: &str, hour: u32, on_hand: i64, run: &str) -> Event {
    let data = json!({
        "location_id": "l1", "product_id": product,
        "snapshot_at": format!("{DAY}T{hour:02}:00:00Z"), "on_hand": on_hand, "reserved": 0,
        "reorder_point": 5, "unit_cost": "2.50", "currency": "EUR", "restocked_quantity": 0,
    });
    Event::new("inventory_levels", SHOP, data).in_batch(&format!("{DAY}T{hour:02}")).in_run(run)
}

fn total_of_hour(dataset: &str, hour: u32, rows: usize, sum: i64, run: &str) -> Event {
    let batch = format!("{DAY}T{hour:02}");
    let data = json!({
        "dataset": dataset, "batch": batch, "business_date": DAY, "run": run,
        "row_count": rows, "quantity_sum": sum, "completed_at": run,
    });
    Event::new("control_totals", SHOP, data).in_batch(&batch).in_run(run)
}

/// An hour is a batch of its own: delivered again, it replaces itself and no other hour.
#[tokio::test]
async fn an_hour_of_stock_replaces_itself_alone() {
    let total = |hour, rows, sum, run| total_of_hour("inventory_levels", hour, rows, sum, run);
    let lake = Lake::of_repository().unwrap();
    let first = [
        level("p1", 9, 10, FIRST),
        level("p2", 9, 10, FIRST),
        total(9, 2, 20, FIRST),
        level("p1", 10, 3, FIRST),
        total(10, 1, 3, FIRST),
    ];
    deliver(&lake, "first", &first).await;
    let columns = "product_id on_hand snapshots";
    assert_eq!(show(&lake, "daily_stock", columns).await, ["p1 3 2", "p2 10 1"]);
    deliver(&lake, "again", &[level("p1", 9, 7, SECOND), total(9, 1, 7, SECOND)]).await;
    assert_eq!(show(&lake, "daily_stock", columns).await, ["p1 3 2"]);
}

/// The hour counts nowhere, and the hours around it everywhere.
#[tokio::test]
async fn an_hour_that_differs_from_its_total_hides_no_other_hour() {
    let lake = Lake::of_repository().unwrap();
    for (name, hour, on_hand, sum) in [("nine", 9, 10, 10), ("ten", 10, 0, 5), ("eleven", 11, 0, 0)]
    {
        let total = total_of_hour("inventory_levels", hour, 1, sum, FIRST);
        deliver(&lake, name, &[level("p1", hour, on_hand, FIRST), total]).await;
    }
    let columns = "on_hand snapshots availability_rate";
    assert_eq!(show(&lake, "stock_availability", columns).await, ["0 2 0.5"]);
    assert_eq!(show(&lake, "daily_stock_totals", "snapshots on_hand_total").await, ["2 10"]);
    let changes = show(&lake, "stock_state_changes", "changed_at state").await;
    assert!(changes.last().is_some_and(|change| change.contains("11:00")), "{changes:?}");
}

/// Items of hourly deliveries that the key tells apart within their hour only.
const COUNTS: &str = r#"{
    "title": "Counts", "description": "Counts.", "type": "object",
    "x-dataset": {
        "source": "inventory", "delivery": "batch", "key": ["shop_id", "item"], "event_time": "at",
        "partition": "day(at)", "batch": "hour(at)", "complete": {"count": "row_count"},
        "fresh_within": "PT3H", "sort": ["shop_id", "item"], "personal": []
    },
    "required": ["item", "at"],
    "properties": {
        "item": {"type": "string", "description": "d"},
        "at": {"type": "string", "format": "date-time", "description": "d"}
    }
}"#;

#[tokio::test]
async fn a_row_is_identified_within_its_hour_if_that_is_its_batch() {
    let of_repository =
        |name: &str| (name.to_owned(), read(&format!("crates/contracts/schemas/{name}.json")));
    let counts = ("counts".to_owned(), COUNTS.to_owned());
    let sources = [counts, of_repository("control_totals"), of_repository("quarantined")];
    let contracts = Contracts::from_sources(sources).unwrap();
    let model = "-- grain = \"one row per shop and day\"\n-- key = [\"shop_id\", \"day\"]\n\
        -- partition = \"day\"\n-- inputs = [\"silver.counts\"]\n\
        select shop_id, cast(at as date) as day, count(*) as items \
        from silver.counts group by shop_id, cast(at as date)\n";
    let models = Models::from_sources(&contracts, [("intermediate/items.sql", model)]).unwrap();
    let lake = Lake::new(contracts, models);
    let mut events = Vec::new();
    for (hour, minute) in [(10, 0), (10, 30), (11, 0)] {
        let data = json!({"item": "x", "at": format!("{DAY}T{hour}:{minute:02}:00Z")});
        let event = Event::new("counts", SHOP, data).received_at(SECOND);
        events.push(event.in_batch(&format!("{DAY}T{hour}")).in_run(FIRST));
    }
    events.extend([10, 11].map(|hour| total_of_hour("counts", hour, 1, 0, FIRST)));
    deliver(&lake, "hours", &events).await;
    assert_eq!(show(&lake, "items", "items").await, ["2"], "one of each hour");
}
