//! The catalog of the repository's definitions, and of some made for tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use shoplake_catalog::{Catalog, Projection, Table, catalog, dictionary};
use shoplake_contracts::Contracts;
use shoplake_models::Models;

async fn of_repository() -> (Contracts, Models, Catalog) {
    let (contracts, models) = shoplake_testing::definitions();
    let catalog = catalog(&contracts, &models).await.unwrap();
    (contracts, models, catalog)
}

/// The tables of one contract and no model.
async fn of_contract(dataset: &str, schema: &str) -> Result<Catalog, String> {
    let contracts = Contracts::from_sources([(dataset, schema)]).unwrap();
    let models = Models::from_sources(&contracts, []).unwrap();
    catalog(&contracts, &models).await.map_err(|error| error.to_string())
}

fn columns(table: &Table) -> Vec<String> {
    table.columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect()
}

/// An order with its lines; `partition` and one more field are the test's.
fn orders(partition: &str, field: &str) -> String {
    format!(
        r#"{{
            "title": "Orders", "description": "What was ordered.", "type": "object",
            "x-dataset": {{
                "source": "shop", "delivery": "stream",
                "key": ["shop_id", "order_id", "placed_at"],
                "version": null, "event_time": "placed_at", "partition": "{partition}",
                "sort": ["shop_id", "order_id"],
                "personal": ["contact_email"]
            }},
            "required": ["order_id", "placed_at", "contact", "line_items"],
            "properties": {{
                "order_id": {{ "type": "string", "description": "Names it." }},
                "placed_at": {{ "type": "string", "format": "date-time", "description": "When." }},
                "{field}": {{
                    "type": ["string", "null"], "x-type": "decimal(18,4)",
                    "description": "Something.",
                    "pattern": "^-?(0|[1-9][0-9]{{0,13}})(\\.[0-9]{{1,4}})?$"
                }},
                "contact": {{
                    "type": "object", "description": "Who.", "required": ["email"],
                    "properties": {{
                        "email": {{ "type": "string", "description": "The address." }}
                    }}
                }},
                "line_items": {{
                    "type": "array", "description": "The lines.",
                    "x-child": {{ "dataset": "order_lines", "ordinal": "line_no" }},
                    "items": {{
                        "type": "object", "required": ["quantity"],
                        "properties": {{
                            "quantity": {{
                                "type": "integer", "minimum": 1, "maximum": 99,
                                "description": "How many."
                            }}
                        }}
                    }}
                }}
            }}
        }}"#
    )
}

#[tokio::test]
async fn every_source_dataset_and_model_has_a_table() {
    let (contracts, models, catalog) = of_repository().await;
    for contract in contracts.iter() {
        assert!(catalog.table("silver", &contract.dataset).is_some(), "{}", contract.dataset);
        for source in &contract.sources {
            assert!(catalog.table("bronze", source).is_some(), "{source}");
        }
    }
    for model in models.iter() {
        let (database, name) = model.reference.split_once('.').unwrap();
        let table = catalog.table(database, name).unwrap_or_else(|| panic!("{}", model.reference));
        let mut names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        names.extend(table.partition_keys.iter().map(|key| key.name.as_str()));
        names.sort_unstable();
        let mut expected: Vec<_> = model.columns.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{}", model.reference);
    }
    let tables: usize = catalog.databases.values().map(BTreeMap::len).sum();
    let sources = catalog.databases["bronze"].len();
    assert_eq!(
        tables,
        contracts.iter().count() + models.iter().count() + sources + 1,
        "and no other"
    );
}

#[tokio::test]
async fn a_dataset_has_the_columns_of_its_contract() {
    let (_, _, catalog) = of_repository().await;
    let sales = catalog.table("silver", "pos_sales").unwrap();
    assert_eq!(
        columns(sales),
        [
            "shop_id string",
            "transaction_id string",
            "line_no bigint",
            "store_id string",
            "region string",
            "product_id string",
            "product_name string",
            "quantity bigint",
            "unit_price decimal(18,4)",
            "discount decimal(18,4)",
            "unit_cost decimal(18,4)",
            "currency string",
            "customer_id string",
            "payment_method string",
            "sold_at timestamp",
            "business_date date",
            "_envelope_id string",
            "_received_at timestamp",
            "_batch string",
            "_run string",
        ]
    );
    assert_eq!(
        (sales.location.as_str(), sales.template.as_str()),
        ("silver/pos_sales/", "silver/pos_sales/dt=${dt}/")
    );
    assert_eq!(
        (sales.partition_keys[0].name.as_str(), sales.partition_keys[0].key_type),
        ("dt", "date")
    );
    assert_eq!(sales.partition_keys.len(), 1);
}

#[tokio::test]
async fn a_model_has_its_partition_column_as_partition_key_only() {
    let (_, _, catalog) = of_repository().await;
    let sales = catalog.table("gold", "total_sales_by_region_product").unwrap();
    assert_eq!(
        columns(sales),
        [
            "shop_id string",
            "region string",
            "product_id string",
            "currency string",
            "gross_sales decimal(38,4)",
            "discounts decimal(38,4)",
            "net_sales decimal(38,4)",
            "units_sold bigint",
            "units_returned bigint",
            "transactions bigint",
        ]
    );
    assert_eq!(sales.partition_keys[0].name, "business_date");
    assert_eq!(sales.partition_keys[0].projection, Projection::Date);
    assert_eq!(
        sales.template,
        "gold/total_sales_by_region_product/business_date=${business_date}/"
    );
    assert!(
        sales.description.starts_with("One row per shop, business date"),
        "{}",
        sales.description
    );

    let stock = catalog.table("gold", "daily_stock").unwrap();
    assert_eq!((&stock.location[..], stock.intermediate), ("gold/daily_stock/", true));
    assert!(!catalog.table("gold", "total_sales_by_region_product").unwrap().intermediate);
    assert!(catalog.table("silver", "daily_stock").is_none());
}

#[tokio::test]
async fn nested_fields_and_lines_make_flat_tables() {
    let catalog = of_contract("orders", &orders("day(placed_at)", "total")).await.unwrap();
    let orders = catalog.table("silver", "orders").unwrap();
    assert_eq!(
        columns(orders),
        [
            "shop_id string",
            "order_id string",
            "placed_at timestamp",
            "total decimal(18,4)",
            "contact_email string",
            "_envelope_id string",
            "_received_at timestamp",
        ]
    );
    assert_eq!(orders.personal, ["contact_email"]);
    let lines = catalog.table("silver", "order_lines").unwrap();
    assert_eq!(
        columns(lines),
        [
            "shop_id string",
            "order_id string",
            "placed_at timestamp",
            "line_no bigint",
            "quantity bigint",
            "_envelope_id string",
            "_received_at timestamp",
        ]
    );
    assert_eq!(
        (lines.template.as_str(), lines.personal.len()),
        ("silver/order_lines/dt=${dt}/", 0)
    );
}

#[tokio::test]
async fn hours_and_buckets_are_projected_as_their_folders_are_named() {
    let catalog = of_contract("orders", &orders("hour(placed_at)", "total")).await.unwrap();
    let (table, values) =
        catalog.table_of("silver/orders/dt=2026-11-21/hour=09/a.parquet").unwrap();
    assert_eq!(table.template, "silver/orders/dt=${dt}/hour=${hour}/");
    assert_eq!(
        values,
        BTreeMap::from([("dt", "2026-11-21".to_owned()), ("hour", "09".to_owned())])
    );
    for unknown in
        ["dt=2026-11-21/hour=9", "dt=2026-11-21/hour=24", "dt=2026-11-21", "dt=20261121/hour=09"]
    {
        assert!(
            catalog.table_of(&format!("silver/orders/{unknown}/a.parquet")).is_none(),
            "{unknown}"
        );
    }

    let catalog = of_contract("orders", &orders("bucket(order_id, 64)", "total")).await.unwrap();
    assert!(catalog.table_of("silver/orders/bucket=0063/a.parquet").is_some());
    assert!(catalog.table_of("silver/orders/bucket=0064/a.parquet").is_none());
    assert!(catalog.table_of("silver/order_lines/bucket=0000/a.parquet").is_some());
}

#[tokio::test]
async fn the_schemas_of_contributing_make_tables() {
    let text = shoplake_testing::read("CONTRIBUTING.md");
    let blocks = text.split("```json").skip(1);
    let schemas: Vec<_> = blocks.filter_map(|block| block.split("```").next()).collect();
    assert_eq!(schemas.len(), 2, "sign-ups and points");
    for schema in schemas {
        of_contract("example", schema).await.unwrap();
    }
}

#[tokio::test]
async fn a_field_with_the_name_of_the_partition_key_is_refused() {
    let error = of_contract("orders", &orders("day(placed_at)", "dt")).await.unwrap_err();
    assert!(error.contains("\"orders\" has a column \"dt\""), "{error}");
    assert!(of_contract("orders", &orders("hour(placed_at)", "hour")).await.is_err());
    assert!(of_contract("orders", &orders("hour(placed_at)", "bucket")).await.is_ok());
}

/// The catalog of the model `orders_per_day` with this table of columns, or its error.
async fn of_model(columns: &str) -> Result<Catalog, String> {
    of_model_and_view(columns, None).await
}

async fn of_model_and_view(columns: &str, view: Option<&str>) -> Result<Catalog, String> {
    let contracts =
        Contracts::from_sources([("orders", orders("day(placed_at)", "total"))]).unwrap();
    let model = format!(
        "-- grain = \"one row per shop and day\"\n-- key = [\"shop_id\", \"day\"]\n\
         -- partition = \"day\"\n-- inputs = [\"silver.orders\"]\n{columns}\n\
         with final as (\n    select shop_id, cast(placed_at as date) as day, count(*) as orders\n\
         from silver.orders group by shop_id, cast(placed_at as date)\n)\n\nselect *\nfrom final\n"
    );
    let view = view.map(|view| ("finance/orders_per_month.sql", view));
    let sources = [("sales/orders_per_day.sql", model.as_str())].into_iter().chain(view);
    let models = Models::from_sources(&contracts, sources).map_err(|error| error.to_string())?;
    catalog(&contracts, &models).await.map_err(|error| error.to_string())
}

const COLUMNS: &str =
    "-- columns = { shop_id = \"The shop.\", day = \"The day.\", orders = \"Orders.\" }";

/// A view over that model.
const VIEW: &str = "-- view = true
-- grain = \"one row per shop and month\"
-- key = [\"shop_id\", \"month\"]
-- inputs = [\"gold.orders_per_day\"]
--
-- [columns]
-- shop_id = \"The shop.\"
-- month = \"The first day of the month.\"
-- orders = \"Orders | items.\"
-- share = \"The share of days.\"

select
    shop_id,
    cast(date_trunc('month', day) as date) as month,
    cast(sum(orders) as decimal(38, 0)) as orders,
    cast(count(*) as double) as share
from gold.orders_per_day
group by shop_id, cast(date_trunc('month', day) as date)
";

#[tokio::test]
async fn a_view_has_the_types_of_its_query_over_its_models() {
    let catalog = of_model_and_view(COLUMNS, Some(VIEW)).await.unwrap();
    assert!(catalog.table("gold", "orders_per_month").is_none(), "it has no objects");
    let view = &catalog.views["orders_per_month"];
    let columns: Vec<_> = view
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.column_type))
        .collect();
    assert_eq!(columns, ["shop_id string", "month date", "orders decimal(38,0)", "share double"]);
    assert_eq!(view.description, "One row per shop and month.");
    assert_eq!(view.key, ["shop_id", "month"]);
    assert!(view.sql.contains("from \"${gold}\".\"orders_per_day\"\n"), "{}", view.sql);

    let text = dictionary(&catalog);
    let expected = "## gold.orders_per_month\n\nA view. One row per shop and month.\n\n\
                    Key: shop_id, month.\n\n| column | type | description |\n|---|---|---|\n\
                    | `shop_id` | string | The shop. |\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("| `orders` | decimal(38,0) | Orders \\| items. |\n"), "{text}");
}

#[tokio::test]
async fn a_view_that_does_not_fit_its_models_is_refused() {
    let undescribed = VIEW.replace("-- share = \"The share of days.\"\n", "");
    let unknown = VIEW.replace("sum(orders)", "sum(sales)");
    for (view, message) in [
        (undescribed, "the header of \"orders_per_month\" does not describe the column \"share\""),
        (unknown, "\"orders_per_month\" fails over inputs without rows"),
    ] {
        let error = of_model_and_view(COLUMNS, Some(&view)).await.unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}

#[tokio::test]
async fn a_model_describes_every_column_and_no_other() {
    let columns = COLUMNS;
    let catalog = of_model(columns).await.unwrap();
    let table = catalog.table("gold", "orders_per_day").unwrap();
    let texts: Vec<_> = table.columns.iter().map(|column| column.description.as_str()).collect();
    assert_eq!(texts, ["The shop.", "Orders."]);
    assert_eq!(table.partition_keys[0].description, "The day.");

    let missing = of_model(&columns.replace(", orders = \"Orders.\"", "")).await.unwrap_err();
    assert!(missing.contains("does not describe the column \"orders\""), "{missing}");
    let unknown = of_model(&columns.replace("orders =", "sales =")).await.unwrap_err();
    assert!(unknown.contains("unknown column \"sales\" in columns"), "{unknown}");
}

#[tokio::test]
async fn the_dictionary_has_every_table_and_column() {
    let (_, _, catalog) = of_repository().await;
    let text = dictionary(&catalog);
    for (database, tables) in &catalog.databases {
        for (name, table) in tables {
            assert!(text.contains(&format!("\n## {database}.{name}\n")), "{database}.{name}");
            for column in &table.columns {
                assert!(!column.description.is_empty(), "{database}.{name}.{}", column.name);
                assert!(text.contains(&format!("| `{}` | {} |", column.name, column.column_type)));
            }
        }
    }
}
