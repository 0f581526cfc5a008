//! Sales by region and product, and the checks of it, against numbers computed by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shoplake_lake::Store;
use shoplake_models::Models;
use shoplake_testing::{Lake, Row, row, sale, texts};

const MODEL: &str = "total_sales_by_region_product";
const DAY: &str = "2010-12-01";
const FOLDER: &str = "dt=2010-12-01";

fn total(rows: &str, quantity: &str) -> Row {
    row(
        &[
            ("shop_id", "acme"),
            ("dataset", "pos_sales"),
            ("batch", DAY),
            ("business_date", DAY),
            ("completed_at", "2010-12-02T00:00:01Z"),
            ("_envelope_id", "totals"),
            ("_received_at", "2010-12-02T00:00:01Z"),
        ],
        &[("row_count", rows), ("quantity_sum", quantity)],
    )
}

fn quarantined(envelope: &str, origin: &str) -> Row {
    row(
        &[
            ("shop_id", "acme"),
            ("dataset", "pos_sales"),
            ("batch", DAY),
            ("kind", "contract_violation"),
            ("code", "minimum"),
            ("expected", "more"),
            ("actual", "less"),
            ("quarantine_key", "quarantine/x"),
            ("day", DAY),
            ("_received_at", "2010-12-02T00:00:01Z"),
            ("_envelope_id", "q"),
        ],
        &[("envelope_id", envelope), ("origin", origin)],
    )
}

#[tokio::test]
async fn totals_of_sales_and_returns_equal_those_by_hand() {
    let lake = Lake::new();
    let first = [
        sale(&[("quantity", "6"), ("unit_price", "2.55"), ("discount", "0.30")]),
        sale(&[("line_no", "2"), ("quantity", "3"), ("unit_price", "0.3333")]),
        sale(&[
            ("transaction_id", "t2"),
            ("quantity", "-2"),
            ("unit_price", "2.55"),
            ("discount", "-0.10"),
        ]),
        sale(&[("transaction_id", "t3"), ("currency", "EUR"), ("unit_price", "3")]),
    ];
    let second = [
        sale(&[
            ("transaction_id", "t4"),
            ("region", "south"),
            ("product_id", "p2"),
            ("quantity", "10"),
            ("unit_price", "99999999999.9999"),
        ]),
        sale(&[("shop_id", "other"), ("transaction_id", "t1"), ("unit_price", "7")]),
    ];
    lake.write("pos_sales", FOLDER, "b", &second).await;
    lake.write("pos_sales", FOLDER, "a", &first).await;
    let output = lake.run(MODEL, DAY).await.unwrap();

    assert_eq!(
        texts(&output.rows),
        [
            // shop | day | region | product | currency | gross | discounts | net | sold | returned
            // | transactions
            "acme|2010-12-01|north|p1|EUR|3.0000|0.0000|3.0000|1|0|1",
            // 6 * 2.55 + 3 * 0.3333 - 2 * 2.55 = 15.30 + 0.9999 - 5.10
            "acme|2010-12-01|north|p1|GBP|11.1999|0.2000|10.9999|9|2|2",
            "acme|2010-12-01|south|p2|GBP|999999999999.9990|0.0000|999999999999.9990|10|0|1",
            "other|2010-12-01|north|p1|GBP|7.0000|0.0000|7.0000|1|0|1",
        ]
    );
    assert!(output.changed);
    assert_eq!(output.failed_checks, []);
    let types: Vec<_> = shoplake_engine::gold::columns(&output.rows.schema())
        .into_iter()
        .map(|column| format!("{} {}", column.name, column.column_type))
        .collect();
    assert_eq!(
        types[4..8],
        [
            "currency string",
            "gross_sales decimal(38,4)",
            "discounts decimal(38,4)",
            "net_sales decimal(38,4)"
        ]
    );
    assert_eq!(types[8..], ["units_sold bigint", "units_returned bigint", "transactions bigint"]);
}

#[tokio::test]
async fn the_copy_of_a_line_received_last_counts_once() {
    let lake = Lake::new();
    let late = |price| [sale(&[("unit_price", price), ("_received_at", "2010-12-03T00:00:00Z")])];
    lake.write("pos_sales", FOLDER, "a", &late("5")).await;
    lake.write("pos_sales", FOLDER, "b", &[sale(&[]), sale(&[]), sale(&[("line_no", "2")])]).await;
    let output = lake.run(MODEL, DAY).await.unwrap();
    assert_eq!(texts(&output.rows), ["acme|2010-12-01|north|p1|GBP|6.0000|0.0000|6.0000|2|0|1"]);
}

#[tokio::test]
async fn a_column_is_null_in_objects_from_before_it() {
    let lake = Lake::new();
    let mut columns = lake.contracts.get("pos_sales").unwrap().columns.clone();
    columns.retain(|column| !matches!(column.name.as_str(), "unit_cost" | "product_name"));
    lake.write_columns(
        "pos_sales",
        FOLDER,
        "old",
        &columns,
        &[sale(&[]), sale(&[("line_no", "2")])],
    )
    .await;
    // The newer copy of line 2 has the column, and the same line must not count twice for it.
    lake.write("pos_sales", FOLDER, "new", &[sale(&[("line_no", "2"), ("unit_cost", "0.5")])])
        .await;
    let output = lake.run(MODEL, DAY).await.unwrap();
    assert_eq!(texts(&output.rows), ["acme|2010-12-01|north|p1|GBP|2.0000|0.0000|2.0000|2|0|1"]);
}

#[tokio::test]
async fn an_empty_first_result_changes_nothing() {
    let lake = Lake::new();
    lake.write("pos_sales", FOLDER, "a", &[]).await;
    let output = lake.run(MODEL, DAY).await.unwrap();
    assert_eq!((output.rows.num_rows(), output.rows.num_columns(), output.changed), (0, 11, false));
    assert_eq!(output.failed_checks, []);
}

#[tokio::test]
async fn duplicates_since_the_last_commit_change_nothing() {
    let lake = Lake::new();
    lake.write("pos_sales", FOLDER, "a", &[sale(&[])]).await;
    assert!(lake.commit(MODEL, DAY).await.changed);

    lake.write("pos_sales", FOLDER, "b", &[sale(&[])]).await;
    assert!(!lake.run(MODEL, DAY).await.unwrap().changed, "the early cutoff");

    lake.write("pos_sales", FOLDER, "late", &[sale(&[("line_no", "2")])]).await;
    let output = lake.commit(MODEL, DAY).await;
    assert!(output.changed);
    assert_eq!(texts(&output.rows), ["acme|2010-12-01|north|p1|GBP|2.0000|0.0000|2.0000|2|0|1"]);
    assert_eq!(lake.plan(MODEL, DAY).await, shoplake_models::Plan::UpToDate);
}

#[tokio::test]
async fn rows_count_if_they_are_those_of_their_control_total() {
    let lake = Lake::new();
    let lines = [sale(&[("quantity", "3")]), sale(&[("line_no", "2"), ("quantity", "-1")])];
    lake.write("pos_sales", FOLDER, "a", &lines).await;
    lake.write("control_totals", FOLDER, "a", &[total("2", "2")]).await;
    let rows = async || texts(&lake.run(MODEL, DAY).await.unwrap().rows);
    let both = ["acme|2010-12-01|north|p1|GBP|2.0000|0.0000|2.0000|3|1|1"];
    assert_eq!(rows().await, both);

    // A rejected line counts, once however often it was rejected; without it, the quantities cannot
    // be compared.
    let line = "pos/2010-12-01/t9/1";
    let rejected = ["pos:shard/1:0", "pos:shard/2:0"].map(|origin| quarantined(line, origin));
    lake.write("quarantined", FOLDER, "a", &rejected).await;
    lake.write("control_totals", FOLDER, "a", &[total("3", "12")]).await;
    assert_eq!(rows().await, both);

    // What was replayed after it was rejected has landed.
    let replayed = sale(&[("transaction_id", "t9"), ("quantity", "10")]);
    lake.write("pos_sales", FOLDER, "b", &[replayed]).await;
    assert_eq!(rows().await, ["acme|2010-12-01|north|p1|GBP|12.0000|0.0000|12.0000|13|1|2"]);
}

#[tokio::test]
async fn a_control_total_of_other_rows_or_units_hides_its_batch() {
    let lake = Lake::new();
    let lines =
        [sale(&[]), sale(&[("line_no", "2")]), sale(&[("shop_id", "other"), ("quantity", "7")])];
    lake.write("pos_sales", FOLDER, "a", &lines).await;
    let shops = async |rows: &str, quantity: &str| {
        lake.write("control_totals", FOLDER, "a", &[total(rows, quantity)]).await;
        let output = lake.run(MODEL, DAY).await.unwrap();
        assert_eq!(output.failed_checks, []);
        let rows = texts(&output.rows).into_iter();
        rows.map(|row| row.split('|').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (rows, quantity) in [("3", "3"), ("0", "0"), ("2", "5")] {
        assert_eq!(shops(rows, quantity).await, ["other"], "{rows} rows, {quantity} units");
    }
    assert_eq!(shops("2", "2").await, ["acme", "other"]);
}

#[tokio::test]
async fn a_day_with_control_totals_alone_is_empty() {
    let lake = Lake::new();
    lake.write("control_totals", FOLDER, "a", &[total("2", "2")]).await;
    assert_eq!(lake.plan(MODEL, DAY).await, shoplake_models::Plan::UpToDate);
}

const FIRST: &str = "2010-12-02T04:30:00.000000Z";
const SECOND: &str = "2010-12-03T04:30:00.000000Z";

/// Older objects lack the columns of batch and run. Their rows are those of no run.
#[tokio::test]
async fn a_complete_run_replaces_objects_from_before_runs() {
    let lake = Lake::new();
    let mut columns = lake.contracts.get("pos_sales").unwrap().columns.clone();
    columns.retain(|column| !matches!(column.name.as_str(), "_batch" | "_run"));
    let old = [sale(&[]), sale(&[("line_no", "2")])];
    lake.write_columns("pos_sales", FOLDER, "old", &columns, &old).await;
    let mut columns = lake.contracts.get("control_totals").unwrap().columns.clone();
    columns.retain(|column| !matches!(column.name.as_str(), "run" | "_batch" | "_run"));
    lake.write_columns("control_totals", FOLDER, "old", &columns, &[total("2", "2")]).await;
    assert_eq!(lake.run(MODEL, DAY).await.unwrap().failed_checks, []);

    let run = [("_batch", DAY), ("_run", FIRST)];
    let lines = [sale(&run), sale(&[run[0], run[1], ("line_no", "3"), ("quantity", "4")])];
    lake.write("pos_sales", FOLDER, "new", &lines[..1]).await;
    let mut sent = total("2", "5");
    sent.insert("run", FIRST.to_owned());
    lake.write("control_totals", FOLDER, "new", &[sent]).await;
    let units = async || {
        let output = lake.run(MODEL, DAY).await.unwrap();
        assert_eq!(output.failed_checks, []);
        texts(&output.rows)
    };
    let old = ["acme|2010-12-01|north|p1|GBP|2.0000|0.0000|2.0000|2|0|1"];
    assert_eq!(units().await, old, "the run is not complete");
    lake.write("pos_sales", FOLDER, "rest", &lines[1..]).await;
    assert_eq!(units().await, ["acme|2010-12-01|north|p1|GBP|5.0000|0.0000|5.0000|5|0|1"]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The rows that count are those of the newest run that has the rows and the units of its
    /// control total; else those without a run, if they have no control total. `totals` are runs,
    /// each with the number of its missing rows, and the units by which it is wrong.
    #[test]
    fn the_newest_complete_run_counts_whatever_else_landed(
        lines in prop::collection::vec((0..3_usize, 1..4_u32, 1..50_i32), 1..16),
        totals in prop::collection::vec((0..3_usize, (0..3_usize, 0..3_i32)), 0..4),
    ) {
        let runs = [None, Some(FIRST), Some(SECOND)];
        let mut landed: [BTreeMap<u32, i32>; 3] = Default::default();
        let rows: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(number, (run, line, quantity))| {
                landed[*run].insert(*line, *quantity);
                let (line, quantity) = (line.to_string(), quantity.to_string());
                let received = format!("2010-12-02T00:00:{number:02}Z");
                let mut row = sale(&[
                    ("line_no", &line),
                    ("quantity", &quantity),
                    ("_received_at", &received),
                ]);
                if let Some(run) = runs[*run] {
                    row.extend([("_batch", DAY.to_owned()), ("_run", run.to_owned())]);
                }
                row
            })
            .collect();
        // Of two control totals of one run the last counts, and the test sends one for each.
        let totals: BTreeMap<usize, (usize, i32)> = totals.into_iter().collect();
        let complete = totals.iter().filter(|(_, difference)| **difference == (0, 0));
        let without_run = (!totals.contains_key(&0)).then_some(0);
        let counted = complete.map(|(run, _)| *run).max().or(without_run);
        let counted = counted.map(|run| &landed[run]).filter(|lines| !lines.is_empty());
        let units = counted.map(|lines| lines.values().sum::<i32>().to_string());
        let total_rows: Vec<_> = totals
            .iter()
            .map(|(run, (missing, wrong))| {
                let lines = &landed[*run];
                let quantity = lines.values().sum::<i32>() + wrong;
                let mut row = total(&(lines.len() + missing).to_string(), &quantity.to_string());
                row.extend(runs[*run].map(|run| ("run", run.to_owned())));
                row
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let lake = Lake::new();
            lake.write("pos_sales", FOLDER, "a", &rows).await;
            lake.write("control_totals", FOLDER, "a", &total_rows).await;
            texts(&lake.run(MODEL, DAY).await.unwrap().rows)
        });
        let sold: Vec<_> =
            found.iter().map(|row| row.split('|').nth(8).unwrap().to_owned()).collect();
        prop_assert_eq!(sold, Vec::from_iter(units));
    }
}

#[tokio::test]
async fn a_change_dirties_the_partitions_of_downstream_models() {
    let upstream = shoplake_testing::read("glue-sql/sales/total_sales_by_region_product.sql");
    let weekly = r#"-- grain = "one row per shop and week's last day"
-- key = ["shop_id", "business_date"]
-- partition = "business_date"
-- inputs = ["gold.total_sales_by_region_product"]
-- lookback_days = 6

with days as (
    select
        shop_id,
        cast('2010-12-03' as date) as business_date,
        sum(units_sold) as units_sold
    from gold.total_sales_by_region_product
    group by shop_id
)

select shop_id, business_date, units_sold from days
"#;
    let lake = Lake::with_models(&[
        ("sales/total_sales_by_region_product.sql", &upstream),
        ("intermediate/weekly.sql", weekly),
    ]);
    lake.write("pos_sales", FOLDER, "a", &[sale(&[("quantity", "4")])]).await;
    let output = lake.commit(MODEL, DAY).await;
    let [dirtied] = &output.dirtied[..] else { panic!("one message: {:?}", output.dirtied) };
    let week = (DAY.parse().unwrap(), "2010-12-07".parse().ok());
    assert_eq!((dirtied.model.as_str(), (dirtied.partition, dirtied.until)), ("weekly", week));
    let third = sale(&[("business_date", "2010-12-03"), ("quantity", "2")]);
    lake.write("pos_sales", "dt=2010-12-03", "a", &[third]).await;
    lake.commit(MODEL, "2010-12-03").await;
    assert_eq!(texts(&lake.commit("weekly", "2010-12-03").await.rows), ["acme|2010-12-03|6"]);

    let gold =
        |day: &str| format!("gold/total_sales_by_region_product/business_date={day}/data.parquet");
    let written = lake.store.get(&gold(DAY)).await;
    for day in [DAY, "2010-12-03"] {
        lake.store.delete(&gold(day)).await.unwrap();
    }
    let empty = lake.run("weekly", "2010-12-03").await.unwrap();
    assert_eq!(
        (empty.rows.num_rows(), empty.changed),
        (0, true),
        "its columns are known without any object"
    );
    let gold = shoplake_engine::Gold::decode(written.unwrap().unwrap().bytes).unwrap();
    assert_eq!(gold.dirtied, output.dirtied, "the commit says what it dirtied");
    assert_eq!(gold.rows, output.rows);
}

/// Days that were committed before a model's sum was widened are read with those since.
#[tokio::test]
async fn decimals_of_two_widths_are_read_as_the_wider() {
    let daily = |width: u8| {
        format!(
            "-- grain = \"one row per shop and day\"\n-- key = [\"shop_id\", \"business_date\"]\n\
             -- partition = \"business_date\"\n-- inputs = [\"silver.pos_sales\"]\n\
             with final as (select shop_id, business_date, \
             cast(sum(unit_price) as decimal({width}, 4)) as amount \
             from silver.pos_sales group by shop_id, business_date)\n\
             select shop_id, business_date, amount from final\n"
        )
    };
    let total = "-- grain = \"one row per shop\"\n-- key = [\"shop_id\", \"business_date\"]\n\
         -- partition = \"business_date\"\n-- inputs = [\"gold.daily\"]\n-- lookback_days = 6\n\
         with final as (select shop_id, max(business_date) as business_date, sum(amount) as amount \
         from gold.daily group by shop_id)\nselect shop_id, business_date, amount from final\n";
    let mut lake = Lake::with_models(&[
        ("intermediate/daily.sql", &daily(18)),
        ("intermediate/total.sql", total),
    ]);
    lake.write("pos_sales", FOLDER, "a", &[sale(&[("unit_price", "1.5")])]).await;
    lake.commit("daily", DAY).await;

    let wider = daily(38);
    let sources = [("intermediate/daily.sql", wider.as_str()), ("intermediate/total.sql", total)];
    lake.models = Models::from_sources(&lake.contracts, sources).unwrap();
    let second = "2010-12-02";
    let line = sale(&[("business_date", second), ("unit_price", "99999999999999.9999")]);
    lake.write("pos_sales", "dt=2010-12-02", "a", &[line]).await;
    lake.commit("daily", second).await;

    let total = lake.run("total", second).await.unwrap();
    assert_eq!(texts(&total.rows), ["acme|2010-12-02|100000000000001.4999"]);
}

#[tokio::test]
async fn key_checks_find_nulls_and_duplicates() {
    let model = r#"-- grain = "wrong on purpose"
-- key = ["shop_id", "business_date", "region"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales"]

with final as (
    select shop_id, business_date, nullif(region, 'north') as region from silver.pos_sales
)

select shop_id, business_date, region from final
"#;
    let lake = Lake::with_models(&[("intermediate/wrong.sql", model)]);
    let lines = ["1", "2", "3"].map(|line| {
        sale(&[("line_no", line), ("region", if line == "1" { "north" } else { "south" })])
    });
    lake.write("pos_sales", FOLDER, "a", &lines).await;
    let output = lake.run("wrong", DAY).await.unwrap();
    let failed: Vec<_> =
        output.failed_checks.iter().map(|check| (check.name.as_str(), check.rows)).collect();
    assert_eq!(failed, [("wrong_key_is_not_null", 1), ("wrong_key_is_unique", 1)]);
    assert_eq!(output.failed_checks[0].sample[0]["region"], None);
    assert_eq!(output.failed_checks[1].sample[0]["row_count"].as_deref(), Some("2"));
    assert_eq!((output.rows.num_rows(), output.changed), (0, false), "the shop is withheld");
}
