//! A shop whose rows fail is withheld, and changes no row of another shop.

use proptest::prelude::*;
use shoplake_engine::{DataFusion, EngineError, Gold, Output};
use shoplake_jobs::{CheckRun, FailedCheck, NO_SHOP, Severity};
use shoplake_models::Models;
use shoplake_testing::{Lake, Row, row, texts};

const DAY: &str = "2010-12-01";
const FOLDER: &str = "dt=2010-12-01";

/// A line of one unit. Its price is the number.
fn line(shop: &str, number: u32, product: &str) -> Row {
    row(
        &[
            ("transaction_id", "t1"),
            ("store_id", "s1"),
            ("region", "north"),
            ("quantity", "1"),
            ("discount", "0"),
            ("currency", "GBP"),
            ("sold_at", "2010-12-01T10:00:00Z"),
            ("business_date", DAY),
            ("_received_at", "2010-12-01T12:00:00Z"),
        ],
        &[
            ("shop_id", shop),
            ("product_id", product),
            ("line_no", &number.to_string()),
            ("unit_price", &number.to_string()),
            ("_envelope_id", &format!("{shop}-{number}")),
        ],
    )
}

/// A model called `daily` that returns these columns for each line.
fn model(key: &str, columns: &str) -> String {
    format!(
        "-- grain = \"one row per line\"\n-- key = [\"shop_id\", \"business_date\"{key}]\n\
         -- partition = \"business_date\"\n-- inputs = [\"silver.pos_sales\"]\n\n\
         select shop_id, business_date, {columns} from silver.pos_sales\n"
    )
}

/// Fails for a line with a product that is not a number.
fn number_of_product() -> String {
    model(", \"line_no\"", "line_no, cast(product_id as bigint) as number")
}

/// A check of `daily`.
fn check(severity: &str, query: &str) -> String {
    format!(
        "-- model = \"daily\"\n-- severity = \"{severity}\"\n-- description = \"all is well\"\n\n\
         {query}\n"
    )
}

fn lake(model: &str, check: Option<&str>) -> Lake {
    let check = check.map(|text| ("checks/all_is_well.sql", text));
    let sources: Vec<_> = [("intermediate/daily.sql", model)].into_iter().chain(check).collect();
    Lake::with_models(&sources)
}

async fn write(lake: &Lake, name: &str, lines: &[Row]) {
    lake.write("pos_sales", FOLDER, name, lines).await;
}

/// Runs the job of the day on top of `before`.
async fn run(lake: &Lake, before: Option<&Output>) -> Result<Output, EngineError> {
    let job = lake.job("daily", DAY).await;
    let before: Option<Gold> = before.map(|output| output.clone().into_gold());
    shoplake_engine::run(&lake.store, &job, before.as_ref(), &DataFusion::default()).await
}

/// The shops of a failed check.
fn shops(failed: &FailedCheck) -> Vec<&str> {
    failed.shops.iter().map(String::as_str).collect()
}

/// The checks of the alert with their shops.
fn alerted(output: &Output) -> Vec<String> {
    output.alert.iter().map(|alert| format!("{}: {}", alert.check, alert.shops.join(" "))).collect()
}

#[tokio::test]
async fn a_withheld_shop_keeps_its_rows_until_it_is_corrected() {
    let query = "select shop_id, line_no from gold.daily where price >= 100";
    let lake =
        lake(&model(", \"line_no\"", "line_no, unit_price as price"), Some(&check("error", query)));
    write(&lake, "a", &[line("acme", 1, "p"), line("other", 1, "p")]).await;
    let first = run(&lake, None).await.unwrap();
    assert_eq!((first.rows.num_rows(), &first.failed_checks[..]), (2, &[][..]));

    write(&lake, "b", &[line("acme", 2, "p"), line("acme", 100, "p"), line("other", 2, "p")]).await;
    let withheld = run(&lake, Some(&first)).await.unwrap();
    assert_eq!(
        texts(&withheld.rows),
        ["acme|2010-12-01|1|1.0000", "other|2010-12-01|1|1.0000", "other|2010-12-01|2|2.0000",]
    );
    assert!(withheld.changed);
    assert_eq!(shops(&withheld.failed_checks[0]), ["acme"]);
    assert_eq!(alerted(&withheld), ["all_is_well: acme"]);
    let again = run(&lake, Some(&withheld)).await.unwrap();
    assert_eq!((again.changed, alerted(&again).len()), (false, 0), "the failure is known");
    assert_eq!(again.failed_checks, withheld.failed_checks);

    let mut corrected = line("acme", 100, "p");
    corrected.insert("unit_price", "9".to_owned());
    corrected.insert("_received_at", "2010-12-01T13:00:00Z".to_owned());
    write(&lake, "c", &[corrected]).await;
    let corrected = run(&lake, Some(&again)).await.unwrap();
    assert_eq!(
        texts(&corrected.rows)[..3],
        ["acme|2010-12-01|1|1.0000", "acme|2010-12-01|2|2.0000", "acme|2010-12-01|100|9.0000"]
    );
    assert_eq!((corrected.failed_checks, corrected.alert), (vec![], vec![]));
}

#[tokio::test]
async fn a_shop_that_is_withheld_from_the_first_run_has_no_rows() {
    let query = "select shop_id, line_no from gold.daily";
    let model = model(", \"line_no\"", "line_no, unit_price as price");
    let lake = lake(&model, Some(&check("error", query)));
    write(&lake, "a", &[line("acme", 1, "p")]).await;
    let output = run(&lake, None).await.unwrap();
    assert_eq!((output.rows.num_rows(), output.rows.num_columns(), output.changed), (0, 4, false));
    assert_eq!(alerted(&output), ["all_is_well: acme"]);
}

#[tokio::test]
async fn rows_without_a_shop_are_withheld_and_named() {
    let model = model(", \"line_no\"", "line_no, unit_price as price")
        .replace("select shop_id,", "select nullif(shop_id, 'none') as shop_id,");
    let lake = lake(&model, None);
    write(&lake, "a", &[line("acme", 1, "p"), line("none", 1, "p")]).await;
    let output = run(&lake, None).await.unwrap();
    assert_eq!(texts(&output.rows), ["acme|2010-12-01|1|1.0000"]);
    assert_eq!(output.failed_checks[0].name, "daily_key_is_not_null");
    assert_eq!(shops(&output.failed_checks[0]), [NO_SHOP]);
}

#[tokio::test]
async fn a_failed_check_and_its_alert_name_all_shops() {
    let query = "select shop_id, line_no from gold.daily where shop_id <> 'zz'";
    let model = model(", \"line_no\"", "line_no, unit_price as price");
    let lake = lake(&model, Some(&check("error", query)));
    let shops: Vec<_> = (0..60).map(|number| format!("shop-{number}")).collect();
    let lines: Vec<_> =
        shops.iter().map(String::as_str).chain(["zz"]).map(|shop| line(shop, 1, "p")).collect();
    write(&lake, "a", &lines).await;
    let output = run(&lake, None).await.unwrap();
    assert_eq!(texts(&output.rows), ["zz|2010-12-01|1|1.0000"], "all 60 are withheld");
    assert_eq!((output.failed_checks[0].shops.len(), output.alert[0].shops.len()), (60, 60));
}

#[tokio::test]
async fn the_rows_of_a_shop_that_cannot_be_computed_are_withheld() {
    let lake = lake(&number_of_product(), None);
    write(&lake, "a", &[line("acme", 1, "1"), line("other", 1, "1")]).await;
    let first = run(&lake, None).await.unwrap();
    let fine = ["a", "b", "c", "d"].map(|shop| line(shop, 1, "7"));
    write(&lake, "b", &fine).await;
    write(&lake, "c", &[line("acme", 2, "secret"), line("zoo", 1, "x"), line("other", 2, "2")])
        .await;
    let output = run(&lake, Some(&first)).await.unwrap();
    assert_eq!(
        texts(&output.rows),
        [
            "a|2010-12-01|1|7",
            "acme|2010-12-01|1|1",
            "b|2010-12-01|1|7",
            "c|2010-12-01|1|7",
            "d|2010-12-01|1|7",
            "other|2010-12-01|1|1",
            "other|2010-12-01|2|2",
        ]
    );
    let [failed] = &output.failed_checks[..] else { panic!("{:?}", output.failed_checks) };
    assert_eq!((failed.severity, failed.rows), (Severity::Error, 2));
    assert_eq!((failed.name.as_str(), shops(failed)), ("daily_computes", vec!["acme", "zoo"]));
    assert_eq!(alerted(&output), ["daily_computes: acme zoo"]);
    assert_eq!(output.alert[0].description, CheckRun::computes("daily").description);
    let error = failed.sample[0]["error"].as_deref().unwrap();
    assert!(error.starts_with("model daily, its query: "), "{error}");
    assert!(error.contains("'***'") && !error.contains("secret"), "{error}");
    assert_eq!(failed.sample[1]["shop_id"].as_deref(), Some("zoo"));
}

#[tokio::test]
async fn a_shop_that_makes_a_check_fail_with_an_error_is_withheld() {
    let query = "select shop_id, line_no from gold.daily where cast(product_id as bigint) < 0";
    let model = model(", \"line_no\"", "line_no, product_id");
    let lake = lake(&model, Some(&check("warn", query)));
    write(&lake, "a", &[line("acme", 1, "x"), line("other", 1, "-1")]).await;
    let output = run(&lake, None).await.unwrap();
    assert_eq!(texts(&output.rows), ["other|2010-12-01|1|-1"]);
    let failed: Vec<_> = output.failed_checks.iter().map(|failed| &failed.name[..]).collect();
    assert_eq!(failed, ["all_is_well", "daily_computes"]);
    assert_eq!(shops(&output.failed_checks[1]), ["acme"]);
    assert_eq!(alerted(&output), ["daily_computes: acme", "all_is_well: other"], "errors first");
}

#[tokio::test]
async fn a_model_that_fails_without_any_row_is_an_error() {
    let names = "# description = \"d\"\n# key = [\"name\"]\n# columns.name = \"string\"\nname\nx\n";
    let model = model(", \"number\"", "line_no as number")
        .replace("\"silver.pos_sales\"", "\"silver.pos_sales\", \"reference.names\"")
        + "union all select cast('acme' as string) as shop_id, cast('2010-12-01' as date) as \
           business_date, cast(name as bigint) as number from reference.names\n";
    let lake =
        Lake::with_models(&[("reference/names.csv", names), ("intermediate/daily.sql", &model)]);
    write(&lake, "a", &[line("acme", 1, "p"), line("other", 1, "p")]).await;
    let error = run(&lake, None).await.unwrap_err();
    assert!(matches!(error, EngineError::Sql { .. }), "{error}");
}

#[tokio::test]
async fn a_model_that_fails_for_shops_together_is_an_error() {
    let sum = "line_no, cast(sum(unit_price) over (partition by business_date) as decimal(6, 4)) \
               as price";
    let lake = lake(&model(", \"line_no\"", sum), None);
    write(&lake, "a", &[line("acme", 60, "p")]).await;
    assert_eq!(run(&lake, None).await.unwrap().rows.num_rows(), 1);
    write(&lake, "b", &[line("other", 60, "p")]).await;
    let error = run(&lake, None).await.unwrap_err();
    assert!(matches!(error, EngineError::Sql { .. }), "{error}");
}

/// The rows of `acme` after the model changed, when a check withholds it.
async fn after_a_change(before: &str, after: &str) -> (Vec<String>, Vec<FailedCheck>) {
    let mut lake = lake(before, None);
    write(&lake, "a", &[line("acme", 1, "1"), line("acme", 2, "2")]).await;
    let first = run(&lake, None).await.unwrap();

    let check = check("error", "select shop_id from gold.daily where shop_id = 'acme'");
    let sources = [("intermediate/daily.sql", after), ("checks/all_is_well.sql", &check)];
    lake.models = Models::from_sources(&lake.contracts, sources).unwrap();
    write(&lake, "b", &[line("acme", 3, "3")]).await;
    let output = run(&lake, Some(&first)).await.unwrap();
    (texts(&output.rows), output.failed_checks)
}

#[tokio::test]
async fn withheld_rows_get_the_columns_of_a_changed_model() {
    let before = model(
        ", \"line_no\"",
        "line_no, region, quantity as units, cast(unit_price as decimal(18, 4)) as price",
    );
    let after = model(
        ", \"line_no\"",
        "cast(unit_price as decimal(38, 6)) as price, line_no, product_id, \
         cast(quantity as decimal(24, 2)) as units",
    );
    let (rows, failed) = after_a_change(&before, &after).await;
    assert_eq!(
        rows,
        ["acme|2010-12-01|1.000000|1|null|1.00", "acme|2010-12-01|2.000000|2|null|1.00",]
    );
    assert_eq!(failed.len(), 1);
}

#[tokio::test]
async fn withheld_rows_that_do_not_fit_a_changed_model_are_dropped() {
    let before = model(", \"line_no\"", "line_no, unit_price as price");
    for after in [
        // A type that does not hold every value.
        model(", \"line_no\"", "line_no, cast(unit_price as decimal(18, 2)) as price"),
        model(", \"line_no\"", "line_no, cast(unit_price as string) as price"),
        // A key of which the rows lack a column, and one that they repeat.
        model(", \"product_id\"", "product_id, unit_price as price"),
        model("", "max(unit_price) as price").trim_end().to_owned()
            + " group by shop_id, business_date\n",
    ] {
        let (rows, failed) = after_a_change(&before, &after).await;
        assert_eq!(rows, Vec::<String>::new(), "{after}");
        let names: Vec<_> = failed.iter().map(|failed| &failed.name[..]).collect();
        assert_eq!(names, ["all_is_well", "daily_computes"]);
        let error = failed[1].sample[0]["error"].as_deref().unwrap();
        assert!(error.starts_with("the previous rows of the withheld shop are dropped"), "{error}");
    }
}

#[tokio::test]
async fn a_withheld_shop_loses_no_rows_because_of_another() {
    let mut lake = lake(&model(", \"line_no\"", "line_no, unit_price as price"), None);
    let lines = [line("acme", 1, "p"), line("acme", 2, "p"), line("zenith", 1, "p")];
    write(&lake, "a", &lines).await;
    let first = run(&lake, None).await.unwrap();

    // The rows of acme repeat the new key, and those of zenith do not.
    let after =
        model("", "max(line_no) as line_no, max(unit_price) as price").trim_end().to_owned()
            + " group by shop_id, business_date\n";
    let check = check("error", "select shop_id from gold.daily where line_no > 2");
    let sources = [("intermediate/daily.sql", &after), ("checks/all_is_well.sql", &check)];
    let sources = sources.map(|(path, text)| (path, text.as_str()));
    lake.models = Models::from_sources(&lake.contracts, sources).unwrap();
    write(&lake, "b", &[line("acme", 3, "p"), line("zenith", 3, "p"), line("zoo", 1, "p")]).await;
    let output = run(&lake, Some(&first)).await.unwrap();
    assert_eq!(texts(&output.rows), ["zenith|2010-12-01|1|1.0000", "zoo|2010-12-01|1|1.0000"]);
    let failed: Vec<_> =
        output.failed_checks.iter().map(|failed| (failed.name.as_str(), shops(failed))).collect();
    let withheld = ("all_is_well", vec!["acme", "zenith"]);
    assert_eq!(failed, [withheld, ("daily_computes", vec!["acme"])]);
}

/// Lines of four shops. Some have a product that is not a number.
fn lines() -> impl Strategy<Value = Vec<(usize, u32, bool)>> {
    prop::collection::vec((0..4_usize, 1..6_u32, prop::bool::weighted(0.15)), 1..16)
}

fn rows_of(lines: &[(usize, u32, bool)], is_kept: impl Fn(usize) -> bool) -> Vec<Row> {
    let kept = lines.iter().filter(|(shop, _, _)| is_kept(*shop));
    let row = |(shop, number, is_bad): &(usize, u32, bool)| {
        line(["a", "b", "c", "d"][*shop], *number, if *is_bad { "x" } else { "7" })
    };
    kept.map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 6,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The rows of a shop are the same, whether other shops are computed, withheld or absent.
    #[test]
    fn a_failing_shop_changes_no_row_of_another((first, second) in (lines(), lines())) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let run_all = async |is_kept: &dyn Fn(usize) -> bool| {
                let lake = lake(&number_of_product(), None);
                write(&lake, "a", &rows_of(&first, is_kept)).await;
                let before = run(&lake, None).await.unwrap();
                write(&lake, "b", &rows_of(&second, is_kept)).await;
                let output = run(&lake, Some(&before)).await.unwrap();
                let failed = output.failed_checks.first();
                let withheld = failed.map(|failed| failed.shops.clone()).unwrap_or_default();
                (texts(&output.rows), withheld)
            };
            let (together, withheld) = run_all(&|_| true).await;
            let (mut alone, mut withheld_alone) = (Vec::new(), Vec::new());
            for shop in 0..4 {
                let (rows, withheld) = run_all(&|other| other == shop).await;
                alone.extend(rows);
                withheld_alone.extend(withheld);
            }
            assert_eq!(together, alone);
            assert_eq!(withheld, withheld_alone);
        });
    }
}
