//! A model by bucket, and one that reads its days by column.

use super::*;

const ORDERS: &str = r#"-- grain = "one row per order"
-- key = ["shop_id", "order_id"]
-- partition = "bucket(order_id, 16)"
-- inputs = ["silver.oltp_orders"]

select shop_id, order_id, cast(order_date as date) as ordered_on, total_amount
from silver.oltp_orders
"#;

const DAYS: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "ordered_on"]
-- partition = "ordered_on"
-- inputs = ["gold.orders_clean"]
-- by_column = { "gold.orders_clean" = "ordered_on" }

select shop_id, ordered_on, count(*) as orders
from gold.orders_clean
group by shop_id, ordered_on
"#;

/// The bucket of the order o1.
const BUCKET: &str = "0013";

fn world() -> World {
    World::new(Lake::with_models(&[
        ("core/orders_clean.sql", ORDERS),
        ("intermediate/order_days.sql", DAYS),
    ]))
}

/// Writes a version of the order, and runs the job of its bucket. Returns the dirty days that were
/// sent.
async fn order(world: &World, day: &str, extracted_at: &str) -> Vec<String> {
    let placed = format!("{day}T10:00:00Z");
    let row = shoplake_testing::row(
        &[
            ("shop_id", "acme"),
            ("order_id", "o1"),
            ("status", "paid"),
            ("total_amount", "1"),
            ("currency", "GBP"),
        ],
        &[
            ("order_date", placed.as_str()),
            ("extracted_at", extracted_at),
            ("_received_at", extracted_at),
            ("_envelope_id", extracted_at),
        ],
    );
    world.lake.write("oltp_orders", &format!("bucket={BUCKET}"), extracted_at, &[row]).await;
    let job = world.lake.job("orders_clean", BUCKET).await;
    let document = serde_json::to_vec(&job).unwrap();
    let always = Condition::Always;
    world.lake.store.put(&key(&job), document.into(), Metadata::new(), always).await.unwrap();
    assert_eq!(world.run(&job).await.outcome, JobOutcome::Committed);
    partitions(&taken(&world.events))
}

/// Returns the partitions of the model by day that have a marker and whose state is dirty.
async fn noted(world: &World) -> Vec<String> {
    let mut noted = Vec::new();
    for entry in world.lake.store.list("state/owed/order_days/").await.unwrap() {
        let (model, partition) = shoplake_lake::keys::parse_owed(&entry.key).unwrap();
        let stored = state::read(&world.lake.store, model, partition).await.unwrap();
        assert!(stored.state.dirty_since.is_some(), "{partition}");
        noted.push(partition.to_string());
    }
    noted
}

#[tokio::test]
async fn days_by_column_are_noted_in_their_states() {
    let world = world();
    let sent = order(&world, "2010-12-01", "2010-12-05T00:00:00Z").await;
    assert_eq!(sent, ["order_days 2010-12-01"]);
    assert_eq!(noted(&world).await, ["2010-12-01"]);

    let sent = order(&world, "2010-12-03", "2010-12-06T00:00:00Z").await;
    assert_eq!(sent, ["order_days 2010-12-01", "order_days 2010-12-03"], "the day that it left");
    assert_eq!(noted(&world).await, ["2010-12-01", "2010-12-03"]);
}

#[tokio::test]
async fn a_retry_notes_the_days_of_its_commit() {
    let world = world();
    let day = "2010-12-01".parse().unwrap();
    order(&world, "2010-12-01", "2010-12-05T00:00:00Z").await;
    let settled = |state: &mut PartitionState| state.up_to_date(now());
    state::update(&world.lake.store, "order_days", day, settled).await.unwrap();
    // The process ended right after its commit: the state does not say that it is published.
    let lost = |state: &mut PartitionState| *state = PartitionState::default();
    let bucket = BUCKET.parse().unwrap();
    state::update(&world.lake.store, "orders_clean", bucket, lost).await.unwrap();
    let document = world.lake.store.list("jobs/orders_clean/").await.unwrap().remove(0).key;
    world.transform.handle(&Request { job: document }).await.unwrap();
    assert_eq!(partitions(&taken(&world.events)), ["order_days 2010-12-01"]);
    let stored = state::read(&world.lake.store, "order_days", day).await.unwrap();
    assert!(stored.state.dirty_since.is_some());
}
