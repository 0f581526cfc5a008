//! What tests send, with everything filled in that they do not care about, and what they look at.

use serde_json::json;
use shoplake_simulation::{Event, Lake, texts};

/// The shop of every event that does not say otherwise.
pub(crate) const SHOP: &str = "acme";

/// The customer `c1`, signed in, views a page.
pub(crate) fn page_view(id: &str, at: &str) -> Event {
    let data = json!({
        "event_id": id, "session_id": "s1", "visitor_id": "v1", "customer_id": "c1",
        "event_type": "page_view",
        "occurred_at": at, "page_url": "https://acme.example/",
    });
    Event::new("web_traffic", SHOP, data)
}

/// A web event of a customer.
pub(crate) fn web(id: &str, customer: &str, event_type: &str, at: &str) -> Event {
    page_view(id, at).with(json!({"customer_id": customer, "event_type": event_type}))
}

/// A customer asks something by e-mail.
pub(crate) fn inquiry(id: &str, customer: &str, at: &str) -> Event {
    let data = json!({
        "interaction_id": id, "customer_id": customer, "channel": "email",
        "interaction_type": "inquiry",
        "occurred_at": at,
    });
    Event::new("crm_interactions", SHOP, data)
}

/// A customer subscribes to newsletters, unsubscribes or opens one.
pub(crate) fn newsletter(id: &str, customer: &str, event_type: &str, at: &str) -> Event {
    let data = json!({
        "event_id": id, "customer_id": customer, "event_type": event_type, "occurred_at": at,
    });
    Event::new("newsletter_events", SHOP, data)
}

/// A ticket changes its status.
pub(crate) fn ticket(ticket: &str, status: &str, at: &str) -> Event {
    inquiry(&format!("{ticket} {status} {at}"), "c1", at).with(json!({
        "interaction_type": "support_ticket", "ticket_id": ticket, "ticket_status": status,
    }))
}

/// Units of a product at the location `l1`, of which nothing is reserved and of which 5 are low.
pub(crate) fn stock(product: &str, at: &str, on_hand: i64) -> Event {
    let data = json!({
        "location_id": "l1", "product_id": product, "snapshot_at": at, "on_hand": on_hand,
        "reserved": 0,
        "reorder_point": 5, "unit_cost": "2.50", "currency": "EUR", "restocked_quantity": 0,
    });
    Event::new("inventory_levels", SHOP, data)
}

/// Units sold in the region `north` at 10.00 EUR each, which had cost 4.00; returned if they are
/// negative.
pub(crate) fn sale(transaction: &str, day: &str, product: &str, quantity: i64) -> Event {
    let data = json!({
        "transaction_id": transaction, "line_no": 1, "store_id": "s1", "region": "north",
        "product_id": product,
        "quantity": quantity, "unit_price": "10.00", "discount": "0", "unit_cost": "4.00",
        "currency": "EUR",
        "sold_at": format!("{day}T10:00:00Z"), "business_date": day,
    });
    Event::new("pos_sales", SHOP, data)
}

/// The same event of another shop.
pub(crate) fn of_shop(shop: &str, event: Event) -> Event {
    Event { shop_id: shop.to_owned(), ..event }
}

/// A lake in which these events have come to everything that they come to.
pub(crate) async fn lake(events: &[Event]) -> Lake {
    let lake = Lake::of_repository().unwrap();
    then(&lake, "first", events).await;
    lake
}

/// More events come.
pub(crate) async fn then(lake: &Lake, name: &str, events: &[Event]) {
    lake.deliver(events, name).await.unwrap();
    lake.settle().await.unwrap();
    assert_eq!(lake.quarantined().await.unwrap(), Vec::<serde_json::Value>::new());
}

/// The rows of a model in the order of its key, each as one text with the named columns.
pub(crate) async fn show(lake: &Lake, model: &str, columns: &str) -> Vec<String> {
    texts(&lake.rows(model).await.unwrap(), columns)
}

/// The names of the checks that failed, in order.
pub(crate) fn failed(lake: &Lake) -> Vec<String> {
    let mut names: Vec<_> = lake.failed_checks().into_iter().map(|check| check.name).collect();
    names.sort();
    names
}
