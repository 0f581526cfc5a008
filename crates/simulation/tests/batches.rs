//! A delivery of a batch is a snapshot: what the source takes back, moves or corrects is right
//! after the batch has been delivered again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::json;
use shoplake_jobs::Severity;
use shoplake_simulation::{Event, Lake, texts};

const SHOP: &str = "acme";
const DAY: &str = "2026-03-01";
const NEXT_DAY: &str = "2026-03-02";
const FIRST: &str = "2026-03-02T04:30:00.000000Z";
const SECOND: &str = "2026-03-03T04:30:00.000000Z";
const THIRD: &str = "2026-03-04T04:30:00.000000Z";
const SALES: &str = "total_sales_by_region_product";
const CHECK: &str = "control_totals_pos_sales";

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

fn failed(lake: &Lake) -> Vec<String> {
    let checks = lake.failed_checks().into_iter().map(|check| check.name);
    checks.filter(|name| name.starts_with("control_totals")).collect()
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
    assert_eq!(failed(&lake), Vec::<String>::new());

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
    assert_eq!(failed(&lake), Vec::<String>::new());
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
    assert_eq!(failed(&lake), Vec::<String>::new());
}

#[tokio::test]
async fn a_total_that_arrives_before_its_rows_fails_no_check() {
    let lake = Lake::of_repository().unwrap();
    let first = delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)]);
    deliver(&lake, "first", &first).await;

    let second = delivery(DAY, SECOND, &[sale("t1", 1, DAY, 2), sale("t2", 1, DAY, 1)]);
    let (totals, lines): (Vec<_>, Vec<_>) =
        second.into_iter().partition(|event| event.dataset == "control_totals");
    deliver(&lake, "totals", &totals).await;
    assert_eq!((failed(&lake), units(&lake).await), (vec![], vec!["acme 2026-03-01 5".to_owned()]));
    deliver(&lake, "half", &lines[..1]).await;
    assert_eq!((failed(&lake), units(&lake).await), (vec![], vec!["acme 2026-03-01 5".to_owned()]));
    let incomplete = show(&lake, "batches", "batch run expected_rows landed_rows").await;
    assert_eq!(incomplete, [format!("2026-03-01 {SECOND} 2 1")]);

    deliver(&lake, "rest", &lines[1..]).await;
    assert_eq!((failed(&lake), units(&lake).await), (vec![], vec!["acme 2026-03-01 3".to_owned()]));
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

#[tokio::test]
async fn more_rows_than_expected_fail_and_do_not_count() {
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)])).await;
    let mut more = rows(DAY, SECOND, &[sale("t1", 1, DAY, 1), sale("t2", 1, DAY, 1)]);
    more.push(total(DAY, 1, 1, SECOND));
    deliver(&lake, "more", &more).await;
    assert_eq!(failed(&lake), [CHECK]);
    let failure = &lake.failed_checks()[0];
    assert_eq!((failure.severity, &failure.shops[..]), (Severity::Error, &[SHOP.to_owned()][..]));
    let row = &failure.sample[0];
    for (column, expected) in
        [("batch", DAY), ("run", SECOND), ("expected_rows", "1"), ("actual_rows", "2")]
    {
        assert_eq!(row[column].as_deref(), Some(expected), "{column}");
    }
    assert_eq!(units(&lake).await, ["acme 2026-03-01 5"]);
}

#[tokio::test]
async fn another_quantity_in_as_many_rows_withholds_the_shop() {
    let lake = Lake::of_repository().unwrap();
    let mut first = rows(DAY, FIRST, &[sale("t1", 1, DAY, 5)]);
    first.push(total(DAY, 1, 6, FIRST));
    deliver(&lake, "first", &first).await;
    assert_eq!(failed(&lake), [CHECK]);
    let row = &lake.failed_checks()[0].sample[0];
    assert_eq!(
        (row["expected_quantity"].as_deref(), row["actual_quantity"].as_deref()),
        (Some("6"), Some("5"))
    );
    let shown = show(&lake, SALES, "shop_id").await;
    assert_eq!(shown, Vec::<String>::new(), "models with the check withhold the shop");
    // The next delivery is compared with itself.
    deliver(&lake, "second", &delivery(DAY, SECOND, &[sale("t1", 1, DAY, 6)])).await;
    assert_eq!((failed(&lake), units(&lake).await), (vec![], vec!["acme 2026-03-01 6".to_owned()]));
}

/// In every model that reads the dataset, with and without the check, the delivery before counts.
#[tokio::test]
async fn a_run_of_another_quantity_counts_nowhere() {
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &delivery(DAY, FIRST, &[sale("t1", 1, DAY, 5)])).await;
    let mut second = rows(DAY, SECOND, &[sale("t1", 1, DAY, 6)]);
    second.push(total(DAY, 1, 7, SECOND));
    deliver(&lake, "second", &second).await;
    assert_eq!(
        (failed(&lake), units(&lake).await),
        (vec![CHECK.to_owned()], vec!["acme 2026-03-01 5".to_owned()])
    );
    let columns = "run landed_quantity expected_quantity is_complete";
    assert_eq!(show(&lake, "batches", columns).await, [format!("{SECOND} 6 7 false")]);
    deliver(&lake, "third", &delivery(DAY, THIRD, &[sale("t1", 1, DAY, 7)])).await;
    assert_eq!((failed(&lake), units(&lake).await), (vec![], vec!["acme 2026-03-01 7".to_owned()]));
}

/// A line that was accepted before, and that the source has made invalid since.
#[tokio::test]
async fn a_rejected_line_keeps_its_newest_accepted_row() {
    let lake = Lake::of_repository().unwrap();
    let invalid = |line: Event| line.with(json!({"unit_price": "0"}));
    let lines = [sale("t1", 1, DAY, 1), sale("t2", 1, DAY, 2)];
    deliver(&lake, "first", &delivery(DAY, FIRST, &lines)).await;
    let mut second = rows(DAY, SECOND, &[sale("t1", 1, DAY, 4), invalid(sale("t2", 1, DAY, 2))]);
    second.push(total(DAY, 2, 4, SECOND));
    deliver(&lake, "second", &second).await;
    assert_eq!((failed(&lake), units(&lake).await), (vec![], vec!["acme 2026-03-01 6".to_owned()]));

    let all = lines.map(invalid);
    let mut third = rows(DAY, THIRD, &all);
    third.push(total(DAY, 2, 0, THIRD));
    deliver(&lake, "third", &third).await;
    assert_eq!(units(&lake).await, ["acme 2026-03-01 6"]);
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
    assert_eq!(units(&lake).await, ["acme 2026-03-01 3"]);
    // The connector did not know the quantity of the rejected row.
    assert_eq!(failed(&lake), Vec::<String>::new());
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

/// An hour is a batch of its own: delivered again, it replaces itself and no other hour.
#[tokio::test]
async fn an_hour_of_stock_replaces_itself_alone() {
    let level = |product: &str, hour: u32, on_hand: i64, run: &str| {
        let data = json!({
            "location_id": "l1", "product_id": product,
            "snapshot_at": format!("{DAY}T{hour:02}:00:00Z"), "on_hand": on_hand, "reserved": 0,
            "reorder_point": 5, "unit_cost": "2.50", "currency": "EUR", "restocked_quantity": 0,
        });
        let event = Event::new("inventory_levels", SHOP, data);
        event.in_batch(&format!("{DAY}T{hour:02}")).in_run(run)
    };
    let total = |hour: u32, rows: usize, sum: i64, run: &str| {
        let batch = format!("{DAY}T{hour:02}");
        let data = json!({
            "dataset": "inventory_levels", "batch": batch, "business_date": DAY, "run": run,
            "row_count": rows, "quantity_sum": sum, "completed_at": run,
        });
        Event::new("control_totals", SHOP, data).in_batch(&batch).in_run(run)
    };
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
    assert_eq!(failed(&lake), Vec::<String>::new());
}
