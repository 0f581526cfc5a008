//! What is said of data that is not as it should be.

use std::collections::BTreeSet;

use serde_json::json;
use shoplake_jobs::Severity;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake};
use shoplake_testing::read;

use crate::given::{SHOP, failed, inquiry, lake, of_shop, sale, show, stock, then};

/// What the inventory system says it sent for 10 o'clock.
fn total(rows: i64, on_hand: i64) -> Event {
    let data = json!({
        "dataset": "inventory_levels", "batch": "2026-03-01T10", "business_date": "2026-03-01",
        "row_count": rows,
        "quantity_sum": on_hand, "completed_at": "2026-03-01T10:05:00Z",
    });
    Event::new("control_totals", SHOP, data).in_batch("2026-03-01T10")
}

/// Three rows of 10 o'clock, 12 units together.
fn hour() -> [Event; 3] {
    [("p1", 3), ("p2", 4), ("p3", 5)].map(|(product, on_hand)| {
        stock(product, "2026-03-01T10:00:00Z", on_hand).in_batch("2026-03-01T10")
    })
}

async fn deliver(lake: &Lake, name: &str, events: &[Event]) {
    lake.deliver(events, name).await.unwrap();
    lake.settle().await.unwrap();
}

#[tokio::test]
async fn a_batch_that_agrees_with_its_control_total_counts() {
    let [one, two, three] = hour();
    // other hours, and other shops, are batches of their own
    let others = [
        stock("p1", "2026-03-01T11:00:00Z", 100),
        of_shop("other", stock("p1", "2026-03-01T10:00:00Z", 100)),
    ];
    let lake = lake(&[&[one, two, three, total(3, 12)], &others[..]].concat()).await;
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
    let levels = show(&lake, "stock_availability", "shop_id product_id on_hand snapshots").await;
    assert_eq!(levels, ["acme p1 100 2", "acme p2 4 1", "acme p3 5 1", "other p1 100 1"]);
}

/// Rows and control totals of a sender that does not tell deliveries apart.
#[tokio::test]
async fn a_batch_with_a_lost_or_changed_row_counts_nowhere() {
    let [one, two, three] = hour();
    let lake = lake(&[one.clone(), two.clone(), total(3, 12)]).await;
    let batches = async || {
        let columns = "batch run expected_rows landed_rows landed_quantity is_complete";
        show(&lake, "batches", columns).await
    };
    let levels = async || {
        let levels = show(&lake, "stock_availability", "product_id on_hand").await;
        let totals = show(&lake, "daily_stock_totals", "product_id on_hand_total").await;
        assert_eq!(levels, totals, "every model agrees");
        levels
    };
    assert_eq!(batches().await, ["2026-03-01T10 null 3 2 7 false"]);
    let none: [&str; 0] = [];
    assert_eq!(levels().await, none);

    then(&lake, "wrong", &[three.clone().with(json!({"on_hand": 6}))]).await;
    assert_eq!(batches().await, ["2026-03-01T10 null 3 3 13 false"]);
    assert_eq!(levels().await, none);

    then(&lake, "right", &[three.received_at("2026-03-02T00:00:00Z")]).await;
    assert_eq!(levels().await, ["p1 3", "p2 4", "p3 5"]);
}

#[tokio::test]
async fn a_quarantined_row_counts_in_its_control_total() {
    let [one, two, three] = hour();
    let refused = three.with(json!({"reserved": -1}));
    let lake = Lake::of_repository().unwrap();
    let levels = async || show(&lake, "stock_availability", "product_id on_hand").await;
    deliver(&lake, "first", &[one, two, refused.clone(), total(3, 12)]).await;
    assert_eq!(lake.quarantined().await.unwrap().len(), 1);
    assert_eq!(levels().await, ["p1 3", "p2 4"]);

    // refused once more, it is still the same row
    deliver(&lake, "again", &[refused]).await;
    assert_eq!(levels().await, ["p1 3", "p2 4"]);
}

/// What the till of a shop says it sent of the first of March.
fn till(shop: &str, rows: i64, quantity: i64, completed_at: &str) -> Event {
    let data = json!({
        "dataset": "pos_sales", "batch": "2026-03-01", "business_date": "2026-03-01",
        "row_count": rows,
        "quantity_sum": quantity, "completed_at": completed_at,
    });
    of_shop(shop, Event::new("control_totals", SHOP, data).in_batch("2026-03-01"))
}

/// The shops of each alert about a failed check, in order.
fn alerted(lake: &Lake) -> Vec<String> {
    let alerts = lake.alerts().into_iter();
    let checks = alerts.filter(|alert| alert.subject.contains("a data check failed"));
    let shops = |check: serde_json::Value| {
        check["shops"].as_array().unwrap().iter().map(ToString::to_string).collect::<String>()
    };
    checks
        .flat_map(|alert| {
            let mut body = serde_json::from_str::<serde_json::Value>(&alert.body).unwrap();
            serde_json::from_value::<Vec<serde_json::Value>>(body["checks"].take()).unwrap()
        })
        .map(shops)
        .collect()
}

const SALES: &str = "total_sales_by_region_product";

#[tokio::test]
async fn a_till_that_does_not_add_up_hides_no_other_shop() {
    let on =
        |transaction: &str, shop: &str| of_shop(shop, sale(transaction, "2026-03-01", "p1", 1));
    let lake = lake(&[on("t1", SHOP), on("t1", "other")]).await;
    let units = async || {
        let units = show(&lake, SALES, "shop_id units_sold").await;
        let revenue = show(&lake, "revenue_by_region", "shop_id gross_sales").await;
        let shops = |rows: &[String]| -> BTreeSet<String> {
            rows.iter().filter_map(|row| row.split(' ').next().map(str::to_owned)).collect()
        };
        assert_eq!(shops(&units), shops(&revenue), "every model agrees");
        units
    };
    assert_eq!(units().await, ["acme 1", "other 1"]);

    // The till of a shop counted three units where two were sent.
    let second = [
        on("t2", SHOP),
        till(SHOP, 2, 3, "2026-03-02T00:00:00Z"),
        on("t2", "other"),
        till("other", 2, 2, "2026-03-02T00:00:00Z"),
    ];
    then(&lake, "second", &second).await;
    assert_eq!(units().await, ["other 2"]);
    assert_eq!(lake.warehouse_rows(SALES).unwrap(), lake.rows(SALES).await.unwrap());

    let again = "2026-03-03T00:00:00Z";
    let more = of_shop("other", sale("t3", "2026-03-01", "p2", 5));
    then(&lake, "again", &[till(SHOP, 2, 2, again), more, till("other", 3, 7, again)]).await;
    assert_eq!(units().await, ["acme 2", "other 2", "other 5"]);
    assert_eq!(alerted(&lake), Vec::<String>::new());
}

#[tokio::test]
async fn an_absurd_amount_of_one_shop_hides_no_other_shop() {
    // A barcode in place of the price fits the contract, and not a model with narrow amounts.
    let narrow = "-- grain = \"one row per shop and day\"\n\
        -- key = [\"shop_id\", \"business_date\"]\n-- partition = \"business_date\"\n\
        -- inputs = [\"silver.pos_sales\"]\n\
        select shop_id, business_date, cast(sum(unit_price) as decimal(10, 4)) as amount \
        from silver.pos_sales group by shop_id, business_date\n";
    let contracts = Lake::of_repository().unwrap().contracts().clone();
    let models = Models::from_sources(&contracts, [("sales/narrow.sql", narrow)]).unwrap();
    let lake = Lake::new(contracts, models);
    let scanned = |time: &str| {
        let price = json!({"unit_price": "4006381333931", "quantity": 25});
        sale("t2", "2026-03-01", "p1", 1).with(price).received_at(time)
    };
    let of_other = |name: &str| of_shop("other", sale(name, "2026-03-01", "p1", 1));
    then(&lake, "first", &[sale("t1", "2026-03-01", "p1", 1), of_other("t1")]).await;
    then(&lake, "scanned", &[scanned("2026-03-02T00:00:00Z"), of_other("t2")]).await;
    let amounts = async || show(&lake, "narrow", "shop_id amount").await;
    assert_eq!(amounts().await, ["acme 10.0000", "other 20.0000"]);
    assert_eq!(failed(&lake), ["narrow_computes"]);

    then(&lake, "again", &[of_other("t3")]).await;
    assert_eq!(amounts().await, ["acme 10.0000", "other 30.0000"]);
    assert_eq!(alerted(&lake), ["\"acme\""]);

    let corrected = scanned("2026-03-03T00:00:00Z").with(json!({"unit_price": "5"}));
    then(&lake, "corrected", &[corrected]).await;
    assert_eq!(amounts().await, ["acme 15.0000", "other 30.0000"]);
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn failed_check_names_all_its_shops_and_no_customer() {
    let shops: Vec<_> = (0..7).map(|number| format!("shop-{number}")).collect();
    let events: Vec<_> = shops
        .iter()
        .map(|shop| of_shop(shop, inquiry("i1", "c1", "2026-03-01T10:00:00Z")))
        .collect();
    let mut models: Vec<(String, String)> = ["web_event_ids", "repeated_web_events"]
        .into_iter()
        .chain(["interaction_ids", "moved_interactions"])
        .map(|name| format!("intermediate/{name}.sql"))
        .chain(["marketing/loyalty_activity_rate.sql".to_owned()])
        .map(|name| (name.clone(), read(&format!("glue-sql/{name}"))))
        .collect();
    let check = "-- model = \"loyalty_activity_rate\"\n-- severity = \"warn\"\n\
        -- inputs = [\"silver.crm_interactions\"]\n-- description = \"no customer asks\"\n\
        select shop_id, customer_id, agent_id, channel from silver.crm_interactions\n";
    models.push(("checks/silence.sql".to_owned(), check.to_owned()));
    let contracts = Lake::of_repository().unwrap().contracts().clone();
    let sources = models.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let lake = Lake::new(contracts.clone(), Models::from_sources(&contracts, sources).unwrap());
    then(&lake, "first", &events).await;

    let failed = &lake.failed_checks()[0];
    assert_eq!((failed.name.as_str(), failed.rows, &failed.shops), ("silence", 7, &shops));
    assert_eq!(failed.sample.len(), 5);
    for row in &failed.sample {
        assert_eq!(row["customer_id"].as_deref(), Some("***"));
        assert_eq!((row["agent_id"].as_deref(), row["channel"].as_deref()), (None, Some("email")));
    }
}

#[tokio::test]
async fn key_checks_withhold_shops() {
    let lake = Lake::of_repository().unwrap();
    for model in lake.models().iter() {
        let name = &model.name;
        assert_eq!(model.key[0], "shop_id", "{name}");
        for check in model.job_checks() {
            // The header or the file of every other check names its severity.
            if check.name.contains("_key_is_") {
                assert_eq!(check.severity, Severity::Error, "{}", check.name);
            }
        }
    }
}

#[tokio::test]
async fn a_sold_product_that_is_not_in_inventory_warns() {
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 1),
        sale("t2", "2026-03-01", "unknown", 2),
        sale("t3", "2026-03-01", "returned", -1),
        stock("p1", "2026-03-01T10:00:00Z", 5),
        // a shop without any inventory is none of which it could be said
        of_shop("other", sale("t1", "2026-03-01", "p1", 1)),
    ])
    .await;
    assert_eq!(failed(&lake), ["sold_products_are_in_inventory"]);
    let warning = &lake.failed_checks()[0];
    assert_eq!((warning.severity, warning.rows), (Severity::Warn, 1));
    assert_eq!(warning.sample[0]["product_id"].as_deref(), Some("unknown"));
    assert_eq!(
        show(&lake, "product_turnover_rate", "shop_id product_id units_sold_30d").await,
        ["acme p1 1", "acme returned 0", "acme unknown 2", "other p1 1"]
    );
}
