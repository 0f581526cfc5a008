//! Checks: what a failed check does to a commit, and when it alerts.

use shoplake_engine::gold;
use shoplake_jobs::Withheld;
use shoplake_testing::row;

use super::*;

#[tokio::test]
async fn a_first_run_with_all_shops_withheld_commits_no_row() {
    let world = with_the_check("error");
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &[gift(1)]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, result.rows), (JobOutcome::Committed, 0));
    assert_eq!(alerted(&result), [CHECK]);
    assert_eq!(result.withheld, withheld(&["acme"]));
    assert_eq!(world.plan().await, None, "the partition is up to date");

    world.lake.write("pos_sales", "dt=2010-12-01", "b", &[gift(1)]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, alerted(&result)), (JobOutcome::Unchanged, vec![]), "it is known");
    assert_eq!(result.withheld, withheld(&["acme"]));

    world.write("c", &[2]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, result.rows), (JobOutcome::Committed, 1), "the sum is positive");
    assert_eq!((alerted(&result), result.withheld), (vec![], Withheld::default()));
}

#[tokio::test]
async fn other_shops_are_committed_and_the_withheld_named_once() {
    let world = with_the_check("error");
    let write = async |name: &str, rows: &[Row]| {
        world.lake.write("pos_sales", "dt=2010-12-01", name, rows).await;
        let result = world.run(&world.job().await).await;
        let alert: Vec<String> =
            result.alert.iter().flatten().map(|alert| alert.shops.join(" ")).collect();
        (world.gold().await.0.len(), result.withheld, alert)
    };
    let two = [line_of("acme", 1, true), line_of("other", 1, false)];
    let none = Vec::<String>::new();
    assert_eq!(write("a", &two).await, (1, withheld(&["acme"]), vec!["acme".into()]));
    assert_eq!(write("b", &[line_of("other", 2, false)]).await, (1, withheld(&["acme"]), none));
    assert_eq!(
        write("c", &[line_of("zoo", 1, true)]).await,
        (1, withheld(&["acme", "zoo"]), vec!["zoo".into()])
    );
    let corrected = [line_of("acme", 2, false)];
    assert_eq!(write("d", &corrected).await, (2, withheld(&["zoo"]), vec![]));
}

#[tokio::test]
async fn a_retry_after_the_commit_names_the_withheld_shops() {
    let world = with_the_check("error");
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &[gift(1)]).await;
    let job = world.job().await;
    world.run(&job).await;
    let result = world.run(&job).await;
    assert_eq!(result.outcome, JobOutcome::Committed);
    assert_eq!((alerted(&result), result.withheld), (vec![CHECK.into()], withheld(&["acme"])));
}

#[tokio::test]
async fn the_alert_of_a_commit_is_recorded_once() {
    let world = with_the_check("error");
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &[gift(1)]).await;
    let job = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();
    world.resume(&job).await;
    let result = world.run(&job).await;
    assert_eq!((alerted(&result), result.withheld), (vec![CHECK.into()], withheld(&["acme"])));
    let unsent = world.state().await.unsent_alerts;
    assert_eq!((unsent.len(), &unsent[0].checks), (1, result.alert.as_ref().unwrap()));

    world.change(|state| state.alert(1)).await;
    world.resume(&job).await;
    // The first answer is lost, and with it the lease.
    for _ in 0..2 {
        world.run(&job).await;
        assert_eq!(world.state().await.unsent_alerts, []);
    }
}

#[tokio::test]
async fn the_state_names_the_withheld_shops() {
    let world = with_the_check("error");
    for (name, rows, shops) in [
        ("a", vec![gift(1), line_of("other", 1, false)], vec!["acme"]),
        ("b", vec![line_of("other", 1, false)], vec!["acme"]),
        ("c", vec![sale(2)], vec![]),
    ] {
        world.lake.write("pos_sales", "dt=2010-12-01", name, &rows).await;
        world.run(&world.job().await).await;
        assert_eq!(world.state().await.computed.unwrap().withheld, withheld(&shops), "{name}");
    }
}

#[tokio::test]
async fn the_state_names_all_shops_of_an_alert() {
    let world = with_the_check("error");
    let shops: Vec<_> = (0..60).map(|number| format!("shop-{number:02}")).collect();
    let rows: Vec<_> = shops.iter().map(|shop| line_of(shop, 1, true)).collect();
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &rows).await;
    let result = world.run(&world.job().await).await;
    assert_eq!(result.alert.unwrap()[0].shops, shops[..50]);
    assert_eq!(result.failed_checks[0].shops, shops[..50]);
    assert_eq!(world.state().await.unsent_alerts[0].checks[0].shops, shops);
}

fn withheld(shops: &[&str]) -> Withheld {
    Withheld {
        count: shops.len() as u64,
        shops: shops.iter().map(|shop| (*shop).to_owned()).collect(),
    }
}

const CHECK: &str = "nothing_is_given_away";

/// The checks of the alert.
fn alerted(result: &JobResult) -> Vec<String> {
    result.alert.iter().flatten().map(|alert| alert.check.clone()).collect()
}

/// A world with a check of severity warn for free products.
fn with_a_check() -> World {
    with_the_check("warn")
}

fn with_the_check(severity: &str) -> World {
    let model = total_sales();
    let check = r#"-- model = "total_sales_by_region_product"
-- severity = "warn"
-- description = "nothing is given away"

select shop_id, product_id, net_sales from gold.total_sales_by_region_product where net_sales <= 0
"#
    .replace("\"warn\"", &format!("\"{severity}\""));
    World::new(Lake::with_models(&[
        ("sales/total_sales_by_region_product.sql", &model),
        ("checks/nothing_is_given_away.sql", &check),
    ]))
}

/// A line of one unit that is given away.
fn gift(line: u32) -> Row {
    let mut row = sale(line);
    row.insert("discount", "2.50".to_owned());
    row
}

/// A world whose row fails a check of severity warn.
async fn with_a_warning() -> World {
    let world = with_a_check();
    world.lake.write("pos_sales", "dt=2010-12-01", "a", &[gift(1)]).await;
    world
}

#[tokio::test]
async fn a_result_names_all_checks_and_the_time_of_planning() {
    let world = with_a_warning().await;
    let planned_at = "2010-12-02T03:04:05Z".parse().unwrap();
    world.lake.store.set_now(planned_at);
    let job = world.job().await;
    let result = world.run(&job).await;

    assert_eq!(
        (result.outcome, &result.job, result.version, result.planned_at),
        (JobOutcome::Committed, &job.id, 1, planned_at)
    );
    assert_eq!(result.checks, job.check_runs());
    let ran: Vec<_> = result.checks.iter().map(|check| check.name.as_str()).collect();
    assert!(ran.contains(&"total_sales_by_region_product_key_is_unique"));
    assert!(ran.contains(&"total_sales_by_region_product_computes"));
    assert!(result.checks.iter().all(|check| !check.description.is_empty()));
    let failed: Vec<_> = result.failed_checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(failed, ["nothing_is_given_away"]);
}

#[tokio::test]
async fn a_retry_after_the_commit_has_the_failed_checks() {
    let world = with_a_warning().await;
    let job = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();

    let result = world.run(&job).await;
    let failed = &result.failed_checks[0];
    assert_eq!((failed.name.as_str(), failed.rows), ("nothing_is_given_away", 1));
    assert_eq!(failed.sample[0]["net_sales"].as_deref(), Some("0.0000"));
}

/// A gift, or a line that is paid for, of a shop.
fn line_of(shop: &str, line: u32, is_gift: bool) -> Row {
    let mut row = if is_gift { gift(line) } else { sale(line) };
    row.insert("shop_id", shop.to_owned());
    row
}

#[tokio::test]
async fn a_failed_check_alerts_once_for_each_shop_that_begins_to_fail() {
    let world = with_a_check();
    let write = async |name: &str, rows: &[Row]| {
        world.lake.write("pos_sales", "dt=2010-12-01", name, rows).await;
        let result = world.run(&world.job().await).await;
        let shops =
            result.alert.iter().flatten().map(|alert| alert.shops.join(" ")).collect::<Vec<_>>();
        (result.outcome, shops)
    };
    assert_eq!(
        write("a", &[line_of("acme", 1, true)]).await,
        (JobOutcome::Committed, vec!["acme".into()])
    );
    assert_eq!(write("b", &[line_of("fine", 1, false)]).await, (JobOutcome::Committed, vec![]));
    assert_eq!(
        write("c", &[line_of("other", 1, true)]).await,
        (JobOutcome::Committed, vec!["other".into()])
    );
    // One shop passes now; the other still fails, which is a known failure.
    assert_eq!(write("d", &[line_of("acme", 2, false)]).await, (JobOutcome::Committed, vec![]));
    assert_eq!(write("e", &[line_of("other", 2, false)]).await, (JobOutcome::Committed, vec![]));
    // It has passed since, so this failure is new.
    let mut another = line_of("acme", 3, true);
    another.insert("product_id", "p2".to_owned());
    assert_eq!(write("f", &[another]).await, (JobOutcome::Committed, vec!["acme".into()]));
}

#[tokio::test]
async fn a_retry_after_the_commit_alerts_and_the_next_job_does_not() {
    let world = with_a_warning().await;
    let job = world.job().await;
    world.events.fail([Some(Fault::Refused)]);
    world.transform.handle(&Request { job: key(&job) }).await.unwrap_err();
    assert_eq!(alerted(&world.run(&job).await), [CHECK]);

    world.lake.write("pos_sales", "dt=2010-12-01", "b", &[gift(1)]).await;
    let result = world.run(&world.job().await).await;
    assert_eq!((result.outcome, alerted(&result)), (JobOutcome::Unchanged, vec![]));
}

#[tokio::test]
async fn the_state_has_an_alert_that_was_not_sent() {
    let world = with_a_warning().await;
    let job = world.job().await;
    // The response to the first call is lost.
    for _ in 0..2 {
        world.run(&job).await;
    }
    let state = world.state().await;
    let [unsent] = &state.unsent_alerts[..] else { panic!("expected one alert: {state:?}") };
    assert_eq!((unsent.version, &unsent.job), (1, &job.id));
    assert_eq!(unsent.checks[0].check, CHECK);
}

#[tokio::test]
async fn a_new_failure_of_unchanged_rows_is_committed_once() {
    let check = r#"-- model = "total_sales_by_region_product"
-- severity = "warn"
-- inputs = ["silver.control_totals"]
-- description = "no totals"

select shop_id from silver.control_totals
"#;
    let model = total_sales().replace("-- every_seconds = 20\n", "");
    let world = World::new(Lake::with_models(&[
        ("sales/total_sales_by_region_product.sql", &model),
        ("checks/no_totals.sql", check),
    ]));
    world.write("a", &[1]).await;
    world.run(&world.job().await).await;

    let totals = async |name: &str, shop: &str| {
        let texts = [
            ("shop_id", shop),
            ("dataset", "pos_sales"),
            ("batch", name),
            ("business_date", DAY),
            ("row_count", "2"),
            ("quantity_sum", "2"),
            ("completed_at", "2010-12-02T00:00:00Z"),
            ("_received_at", "2010-12-02T00:00:00Z"),
            ("_envelope_id", name),
        ];
        world.lake.write("control_totals", "dt=2010-12-01", name, &[row(&texts, &[])]).await;
        let result = world.run(&world.job().await).await;
        (result.outcome, result.version, alerted(&result).len())
    };
    assert_eq!(totals("a", "acme").await, (JobOutcome::Committed, 2, 1));
    assert_eq!(totals("b", "acme").await, (JobOutcome::Unchanged, 3, 0));
    assert_eq!(totals("c", "other").await, (JobOutcome::Committed, 3, 1));
}

/// A check that shows the customers of a model's rows.
#[tokio::test]
async fn no_result_of_a_failed_check_holds_a_customer() {
    let model = r#"-- grain = "one row per shop, day and customer"
-- key = ["shop_id", "business_date", "customer_id"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]

select shop_id, business_date, customer_id, count(*) as lines from silver.pos_sales
group by shop_id, business_date, customer_id
"#;
    for severity in ["warn", "error"] {
        let check = format!(
            "-- model = \"total_sales_by_region_product\"\n-- severity = \"{severity}\"\n\
             -- description = \"nothing is sold\"\n\n\
             select shop_id, customer_id from gold.total_sales_by_region_product\n"
        );
        let world = World::new(Lake::with_models(&[
            ("sales/total_sales_by_region_product.sql", model),
            ("checks/nothing_is_sold.sql", &check),
        ]));
        let mut sale = sale(1);
        sale.insert("customer_id", "customer-4711".to_owned());
        world.lake.write("pos_sales", "dt=2010-12-01", "a", &[sale]).await;
        let result = world.run(&world.job().await).await;
        assert_eq!(alerted(&result), ["nothing_is_sold"]);
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.contains("acme") && !text.contains("4711"), "{text}");
    }
}

/// The result of a commit, read from gold.
async fn result_in_gold(world: &World) -> JobResult {
    let object = world.lake.store.get(GOLD).await.unwrap().unwrap();
    let models = world.lake.models.index();
    gold::committed(models.get(MODEL).unwrap(), DAY.parse().unwrap(), &object).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each batch adds a line to one row of the day, whose sum may be zero.
    #[test]
    fn gold_has_the_result_of_each_commit(gifts in prop::collection::vec(any::<bool>(), 1..5)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let world = with_a_check();
            for (line, is_gift) in (1..).zip(gifts) {
                let row = if is_gift { gift(line) } else { sale(line) };
                world.lake.write("pos_sales", "dt=2010-12-01", &line.to_string(), &[row]).await;
                let result = world.run(&world.job().await).await;
                assert_eq!((result.outcome, result.version), (JobOutcome::Committed, line.into()));
                assert!(result.received_at.is_some() && result.load.is_some());
                let kept = JobResult { received_at: None, alert: None, ..result };
                assert_eq!(result_in_gold(&world).await, kept);
            }
        });
    }
}
