//! What is said of data that is not as it should be.

use serde_json::json;
use shoplake_jobs::Severity;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake};

use crate::given::{SHOP, failed, inquiry, lake, of_shop, sale, show, stock, then};

const CONTROL_TOTALS: &str = "control_totals_inventory_levels";

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
async fn given_a_batch_that_landed_as_it_was_sent_then_nothing_is_said() {
    let [one, two, three] = hour();
    // other hours, and other shops, are batches of their own
    let others = [
        stock("p1", "2026-03-01T11:00:00Z", 100),
        of_shop("other", stock("p1", "2026-03-01T10:00:00Z", 100)),
    ];
    let lake = lake(&[&[one, two, three, total(3, 12)], &others[..]].concat()).await;
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn given_a_lost_row_or_a_changed_one_then_it_is_a_warning_until_it_lands() {
    let [one, two, three] = hour();
    let lake = lake(&[one.clone(), two.clone(), total(3, 12)]).await;
    assert_eq!(failed(&lake), [CONTROL_TOTALS]);
    let warning = &lake.failed_checks()[0];
    assert_eq!(warning.severity, Severity::Warn);
    let row = &warning.sample[0];
    for (column, expected) in [
        ("batch", "2026-03-01T10"),
        ("expected_rows", "3"),
        ("actual_rows", "2"),
        ("actual_quantity", "7"),
    ] {
        assert_eq!(row[column].as_deref(), Some(expected), "{column}");
    }
    // what did land is shown all the same
    assert_eq!(show(&lake, "stock_availability", "product_id on_hand").await, ["p1 3", "p2 4"]);

    then(&lake, "wrong", &[three.clone().with(json!({"on_hand": 6}))]).await;
    assert_eq!(failed(&lake), [CONTROL_TOTALS]);
    then(&lake, "right", &[three.received_at("2026-03-02T00:00:00Z")]).await;
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn given_a_refused_row_then_it_has_landed_in_quarantine_on_the_day_of_its_batch() {
    let [one, two, three] = hour();
    let refused = three.with(json!({"reserved": -1}));
    let lake = Lake::of_repository().unwrap();
    deliver(&lake, "first", &[one, two, refused.clone(), total(3, 12)]).await;
    assert_eq!(lake.quarantined().await.unwrap().len(), 1);
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());

    // refused once more, it is still the same row
    deliver(&lake, "again", &[refused]).await;
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

/// The till of one shop says two lines of which one landed.
#[tokio::test]
async fn till_that_does_not_add_up_hides_no_sales() {
    let total = |shop: &str, rows: i64| {
        let data = json!({
            "dataset": "pos_sales", "batch": "2026-03-01", "business_date": "2026-03-01",
            "row_count": rows,
            "quantity_sum": 2, "completed_at": "2026-03-02T00:00:00Z",
        });
        of_shop(shop, Event::new("control_totals", SHOP, data).in_batch("2026-03-01"))
    };
    let lake = lake(&[
        sale("t1", "2026-03-01", "p1", 1),
        total(SHOP, 2),
        of_shop("other", sale("t1", "2026-03-01", "p1", 2)),
        total("other", 1),
    ])
    .await;
    assert_eq!(
        show(&lake, "total_sales_by_region_product", "shop_id units_sold").await,
        ["acme 1", "other 2"]
    );
    assert_eq!(failed(&lake), ["control_totals_pos_sales"]);
    let warning = &lake.failed_checks()[0];
    assert_eq!((warning.severity, &warning.shops[..]), (Severity::Warn, &[SHOP.to_owned()][..]));
}

#[tokio::test]
async fn failed_check_names_all_its_shops_and_no_customer() {
    let shops: Vec<_> = (0..7).map(|number| format!("shop-{number}")).collect();
    let events: Vec<_> = shops
        .iter()
        .map(|shop| of_shop(shop, inquiry("i1", "c1", "2026-03-01T10:00:00Z")))
        .collect();
    let mut models: Vec<(String, String)> = Vec::new();
    models.push((
        "marketing/loyalty_activity_rate.sql".to_owned(),
        std::fs::read_to_string(root().join("glue-sql/marketing/loyalty_activity_rate.sql"))
            .unwrap(),
    ));
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

/// A check whose failure one shop's data can cause keeps no other shop's rows back.
#[tokio::test]
async fn only_checks_of_the_key_stop_a_commit_and_every_check_says_whose_rows() {
    let lake = Lake::of_repository().unwrap();
    for model in lake.models().iter() {
        for check in &model.checks {
            assert_eq!(check.severity, Severity::Warn, "{}", check.name);
            // A common check returns all columns of the model, or has no file.
            let file = root().join(format!("glue-sql/checks/{}.sql", check.name));
            let Ok(text) = std::fs::read_to_string(file) else { continue };
            let (_, columns) = text.rsplit_once("\nselect\n").unwrap();
            let first = columns.split(',').next().unwrap().trim();
            assert_eq!(first.rsplit('.').next(), Some("shop_id"), "{}", check.name);
        }
        let of_key =
            model.job_checks().into_iter().filter(|check| check.severity == Severity::Error);
        let names: Vec<_> = of_key.map(|check| check.name).collect();
        let name = &model.name;
        assert_eq!(names, [format!("{name}_key_is_not_null"), format!("{name}_key_is_unique")]);
        assert_eq!(model.key[0], "shop_id", "{name}");
    }
}

fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[tokio::test]
async fn given_a_sold_product_that_inventory_does_not_know_then_it_is_a_warning() {
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
