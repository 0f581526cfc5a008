//! The simulation itself: what is delivered arrives in the tables, and nowhere else.

use serde_json::json;
use simulation::{Event, Lake, texts};

fn sale(line: u32) -> Event {
    let data = json!({
        "transaction_id": "t1", "line_no": line, "store_id": "s1", "region": "north", "product_id": "p1", "quantity": 2,
        "unit_price": "2.50", "discount": "0.50", "currency": "GBP", "sold_at": "2026-03-01T10:00:00Z",
        "business_date": "2026-03-01",
    });
    Event::new("pos_sales", "acme", data).in_batch("2026-03-01")
}

fn view(id: &str) -> Event {
    Event::new(
        "web_traffic",
        "acme",
        json!({
            "event_id": id, "session_id": "s1", "visitor_id": "v1", "event_type": "page_view",
            "occurred_at": "2026-03-01T10:00:00Z", "page_url": "https://acme.example/",
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn given_events_of_a_stream_and_of_a_batch_then_both_are_in_the_tables() {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&[view("e1"), sale(1), sale(2)], "a").await.unwrap();

    let settled = lake.settle().await.unwrap();

    assert!(settled.commits > 0 && settled.conflicts == 0, "{settled:?}");
    let sales = lake.rows("total_sales_by_region_product").await.unwrap();
    // 2 lines of 2 units at 2.50 are 10.00, less 0.50 on each line
    assert_eq!(texts(&sales, "shop_id business_date units_sold net_sales"), ["acme 2026-03-01 4 9.0000"]);
    let sessions = lake.rows("session_duration_bounce_rate").await.unwrap();
    assert_eq!(texts(&sessions, "session_date sessions bounce_rate"), ["2026-03-01 1 1.0"]);
    assert_eq!(lake.failed_checks(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_the_same_batch_again_then_nothing_is_committed() {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&[sale(1)], "a").await.unwrap();
    lake.settle().await.unwrap();

    lake.deliver(&[sale(1)], "b").await.unwrap();
    let settled = lake.settle().await.unwrap();

    assert!(settled.jobs > 0, "the new object has to be looked at");
    assert_eq!(settled.commits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_event_that_breaks_its_contract_then_it_is_in_quarantine() {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&[sale(1).with(json!({"quantity": 0})), view("e1").with(json!({"event_id": ""}))], "a")
        .await
        .unwrap();
    lake.settle().await.unwrap();

    assert_eq!(lake.quarantined().await.unwrap().len(), 2);
    assert_eq!(lake.rows("total_sales_by_region_product").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_model_that_is_not_there_then_the_error_lists_those_there_are() {
    let lake = Lake::of_repository().unwrap();
    let error = lake.rows("total_sales").await.unwrap_err().to_string();
    assert!(
        error.contains("there is no model \"total_sales\"")
            && error.contains("total_sales_by_region_product"),
        "{error}"
    );
}
