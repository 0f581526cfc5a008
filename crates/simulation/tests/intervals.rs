//! When partitions are computed: not again without a change, and not more often than their model
//! allows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde_json::json;
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake};

const DAY: &str = "2026-03-01";

fn sale(line: u32, product: &str) -> Event {
    Event::new(
        "pos_sales",
        "acme",
        json!({
            "transaction_id": "t", "line_no": line, "store_id": "s", "region": "north",
            "product_id": product, "customer_id": "c", "quantity": 1,
            "unit_price": "1", "discount": "0", "currency": "GBP",
            "sold_at": "2026-03-01T10:00:00Z", "business_date": DAY,
        }),
    )
}

/// The repository's lake with a day of sales.
async fn settled() -> Lake {
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&[sale(1, "p"), sale(2, "p")], "first").await.unwrap();
    assert!(lake.settle().await.unwrap().commits > 1);
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_delivered_again_computes_nothing() {
    let lake = settled().await;
    lake.run_for(TimeDelta::seconds(700)).await.unwrap();
    lake.deliver(&[sale(1, "p"), sale(2, "p")], "first").await.unwrap();
    assert_eq!(lake.settle().await.unwrap().jobs, 0, "the objects have new ETags");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_computes_a_day_that_is_up_to_date() {
    let lake = settled().await;
    lake.backfill("total_sales_by_region_product", DAY).unwrap();
    let settled = lake.settle().await.unwrap();
    assert_eq!((settled.jobs, settled.commits), (1, 0));
}

const LINES: &str = "-- grain = \"one row per shop, day and product\"
-- key = [\"shop_id\", \"business_date\", \"product_id\"]
-- partition = \"business_date\"
-- inputs = [\"silver.pos_sales\"]
-- every_seconds = 20
select shop_id, business_date, product_id, count(*) as line_count from silver.pos_sales
group by shop_id, business_date, product_id
";

const NOTHING_IS_FORBIDDEN: &str = "-- model = \"lines\"
-- severity = \"error\"
-- description = \"no product is forbidden\"

select shop_id from gold.lines where product_id = 'forbidden'
";

/// A lake whose only model withholds shops with a forbidden product.
fn lake_with_a_check() -> Lake {
    let contracts = Lake::of_repository().unwrap().contracts().clone();
    let sources = [("intermediate/lines.sql", LINES), ("checks/c.sql", NOTHING_IS_FORBIDDEN)];
    let models = Models::from_sources(&contracts, sources).unwrap();
    Lake::new(contracts, models)
}

/// How often a day is computed while a line arrives every two seconds, for two minutes.
async fn jobs_in_two_minutes(lake: &Lake) -> usize {
    let mut jobs = 0;
    for line in 1..=60 {
        lake.deliver(&[sale(line, "p")], &format!("line {line}")).await.unwrap();
        jobs += lake.run_for(TimeDelta::seconds(2)).await.unwrap().jobs;
    }
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_partition_is_computed_as_often_as_any_other() {
    let (undisturbed, withheld) = (lake_with_a_check(), lake_with_a_check());
    withheld.deliver(&[sale(100, "forbidden")], "forbidden").await.unwrap();
    withheld.settle().await.unwrap();
    assert!(withheld.rows("lines").await.unwrap().is_empty());
    assert_eq!(withheld.alerts().len(), 1);

    let jobs = jobs_in_two_minutes(&undisturbed).await;
    assert!((5..=8).contains(&jobs), "{jobs} jobs in 120 seconds, one per 20 seconds");
    assert!(jobs_in_two_minutes(&withheld).await <= jobs + 1);
    assert_eq!(withheld.alerts().len(), 1, "one alert, however often the check fails");
}
