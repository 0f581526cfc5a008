//! Reference tables: rows that a job carries in its SQL.

use shoplake_engine::DataFusion;
use shoplake_jobs::Partition;
use shoplake_lake::Store;
use shoplake_lake::keys::FolderRange;
use shoplake_models::{GoldHead, Listing, Plan, References};
use shoplake_testing::{Lake, sale, texts};

const WEIGHTS: &str = r#"# description = "Weights of products."
# key = ["product_id"]
# columns.product_id = "string"
# columns.weight = "decimal(9,4)"
# columns.boxes = "bigint"
# columns.since = "date"
# columns.sold = "boolean"
product_id,weight,boxes,since,sold
p1,1.5,2,2010-12-01,true
p2,-0.0001,-9223372036854775808,2010-11-30,false
"#;

const MODEL: &str = r#"-- grain = "one row per shop, day and product"
-- key = ["shop_id", "business_date", "product_id"]
-- partition = "business_date"
-- inputs = ["silver.pos_sales", "reference.weights"]
with sold as (
    select
        pos_sales.shop_id,
        pos_sales.business_date,
        pos_sales.product_id,
        weights.weight,
        weights.boxes,
        weights.since,
        weights.sold
    from silver.pos_sales as pos_sales
    left join reference.weights as weights
    on pos_sales.product_id = weights.product_id
)

select
    shop_id,
    business_date,
    product_id,
    weight,
    boxes,
    since,
    sold
from sold
"#;

async fn lake() -> Lake {
    let lake = Lake::with_models(&[
        ("reference/weights.csv", WEIGHTS),
        ("intermediate/weighted.sql", MODEL),
    ]);
    let rows = [("1", "p1"), ("2", "p2"), ("3", "p3")]
        .map(|(line, product)| sale(&[("line_no", line), ("product_id", product)]));
    lake.write("pos_sales", "dt=2010-12-01", "a", &rows).await;
    lake
}

#[tokio::test]
async fn a_reference_table_keeps_the_type_of_each_column() {
    let output = lake().await.run("weighted", "2010-12-01").await.unwrap();
    assert_eq!(
        texts(&output.rows),
        [
            "acme|2010-12-01|p1|1.5000|2|2010-12-01|true",
            "acme|2010-12-01|p2|-0.0001|-9223372036854775808|2010-11-30|false",
            "acme|2010-12-01|p3|null|null|null|null",
        ]
    );
}

/// The job with these rows instead of the packaged ones.
async fn texts_with(lake: &Lake, csv: &str) -> Vec<String> {
    let model = lake.models.get("weighted").unwrap();
    let partition: Partition = "2010-12-01".parse().unwrap();
    let mut listing = Listing::new();
    for range in lake.models.input_ranges(model, partition) {
        let FolderRange { prefix, first, last } = &range.folders;
        let entries = lake.store.list_range(prefix, first, last).await.unwrap();
        listing.insert(range.input, entries);
    }
    let table = lake.models.reference("weights").unwrap().with_rows(csv).unwrap();
    let references = References::from([("weights".to_owned(), table)]);
    let Plan::Job(job) =
        lake.models.plan_with(model, partition, &listing, None::<&GoldHead>, &references)
    else {
        panic!("expected a job");
    };
    texts(
        &shoplake_engine::run(&lake.store, &job, None, &DataFusion::default()).await.unwrap().rows,
    )
}

#[tokio::test]
async fn a_table_with_edited_rows_or_none_keeps_its_types() {
    let lake = lake().await;
    let head = "boxes,sold,since,weight,product_id\n";
    let edited = texts_with(&lake, &format!("{head}7,false,1970-01-01,99999.9999,p3\n")).await;
    assert_eq!(edited[2], "acme|2010-12-01|p3|99999.9999|7|1970-01-01|false");
    let none = texts_with(&lake, head).await;
    assert!(none.iter().all(|row| row.ends_with("|null|null|null|null")), "{none:?}");
}

#[tokio::test]
async fn a_job_runs_with_the_most_rows_that_a_table_may_have() {
    let rows = (0..10_000).map(|number| format!("x{number},1,1,2010-12-01,true\n"));
    let csv: String =
        std::iter::once("product_id,weight,boxes,since,sold\n".to_owned()).chain(rows).collect();
    assert_eq!(texts_with(&lake().await, &csv).await.len(), 3);
}
